"""Flax NNX: its usual training loop, `nnx.jit` of one step, on batches that NumPy gathers."""

from typing import Any

import jax
import numpy as np
import optax
from flax import nnx

from experiments.bench.peers.problem import EPSILON, HEADS, LENGTH, VOCABULARY, WIDTH, Problem

he, lecun = nnx.initializers.he_normal(), nnx.initializers.lecun_normal()
glorot, small = nnx.initializers.glorot_uniform(), nnx.initializers.normal(0.02)


class System:
    def __init__(self, problem: Problem):
        self.problem, self.tx = problem, optax.adam(problem.rate)
        self.generator = np.random.default_rng(0)
        self.model: Any = None
        self.optimizer: Any = None

    def reset(self, seed: int) -> None:
        rngs = nnx.Rngs(seed)
        network = {"mlp": Mlp, "lenet": LeNet, "transformer": Transformer}[self.problem.name]
        self.model = network(self.problem.depth, rngs)
        self.optimizer = nnx.Optimizer(self.model, self.tx, wrt=nnx.Param)
        self.generator = np.random.default_rng(seed)

    def train(self) -> None:
        problem = self.problem
        for _ in range(problem.epochs):
            for rows in self.generator.permutation(len(problem.x)).reshape(-1, problem.batch_size):
                loss = step(self.model, self.optimizer, problem.x[rows], problem.y[rows])
        jax.block_until_ready((loss, nnx.state(self.model)))

    def accuracy(self) -> float:
        return float((predict(self.model, self.problem.test_x).argmax(-1) == self.problem.test_y).mean())


@nnx.jit
def step(model: Any, optimizer: nnx.Optimizer, x: Any, y: Any) -> Any:
    def loss_fn(model: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(model(x), y).mean()

    loss, gradient = nnx.value_and_grad(loss_fn)(model)
    optimizer.update(model, gradient)
    return loss


@nnx.jit
def predict(model: Any, x: Any) -> Any:
    return model(x)


class Mlp(nnx.Module):
    def __init__(self, depth: int, rngs: nnx.Rngs):
        self.first = nnx.Linear(64, 128, kernel_init=he, rngs=rngs)
        self.second = nnx.Linear(128, 128, kernel_init=he, rngs=rngs)
        self.out = nnx.Linear(128, 10, kernel_init=lecun, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.out(nnx.relu(self.second(nnx.relu(self.first(x)))))


class LeNet(nnx.Module):
    def __init__(self, depth: int, rngs: nnx.Rngs):
        self.conv1 = nnx.Conv(1, 6, (5, 5), kernel_init=he, rngs=rngs)
        self.conv2 = nnx.Conv(6, 16, (5, 5), padding="VALID", kernel_init=he, rngs=rngs)
        self.dense1 = nnx.Linear(400, 120, kernel_init=he, rngs=rngs)
        self.dense2 = nnx.Linear(120, 84, kernel_init=he, rngs=rngs)
        self.out = nnx.Linear(84, 10, kernel_init=lecun, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        for conv in (self.conv1, self.conv2):
            x = nnx.max_pool(nnx.relu(conv(x)), (2, 2), strides=(2, 2))
        x = nnx.relu(self.dense1(x.reshape(len(x), -1)))
        return self.out(nnx.relu(self.dense2(x)))


class Block(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.norm = nnx.LayerNorm(WIDTH, epsilon=EPSILON, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(HEADS, WIDTH, kernel_init=glorot, decode=False, rngs=rngs)
        self.norm_2 = nnx.LayerNorm(WIDTH, epsilon=EPSILON, rngs=rngs)
        self.up = nnx.Linear(WIDTH, 4 * WIDTH, kernel_init=lecun, rngs=rngs)
        self.down = nnx.Linear(4 * WIDTH, WIDTH, kernel_init=lecun, rngs=rngs)

    def __call__(self, x: Any, mask: Any) -> Any:
        x = x + self.attention(self.norm(x), mask=mask)
        return x + self.down(nnx.gelu(self.up(self.norm_2(x))))


class Transformer(nnx.Module):
    def __init__(self, depth: int, rngs: nnx.Rngs):
        self.embed = nnx.Embed(VOCABULARY, WIDTH, embedding_init=small, rngs=rngs)
        self.positions = nnx.Embed(LENGTH, WIDTH, embedding_init=small, rngs=rngs)
        self.blocks = nnx.List([Block(rngs) for _ in range(depth)])
        self.norm = nnx.LayerNorm(WIDTH, epsilon=EPSILON, rngs=rngs)
        self.out = nnx.Linear(WIDTH, VOCABULARY, kernel_init=lecun, rngs=rngs)

    def __call__(self, tokens: Any) -> Any:
        mask = nnx.make_causal_mask(tokens)
        x = self.embed(tokens) + self.positions.embedding[...]
        for block in self.blocks:
            x = block(x, mask)
        return self.out(self.norm(x))
