"""Equinox: its usual training loop, `filter_jit` of one step, on batches that NumPy gathers."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.bench.peers.problem import EPSILON, HEADS, LENGTH, VOCABULARY, WIDTH, Problem

he, lecun = jax.nn.initializers.he_normal(), jax.nn.initializers.lecun_normal()
glorot, small = jax.nn.initializers.glorot_uniform(), jax.nn.initializers.normal(0.02)


class System:
    def __init__(self, problem: Problem):
        self.problem, self.model, self.state = problem, None, None
        self.adam, self.generator = optax.adam(problem.rate), np.random.default_rng(0)
        network = {"mlp": Mlp, "lenet": LeNet, "transformer": Transformer}[problem.name]
        self.make = eqx.filter_jit(lambda key: network(problem.depth, key))

        @eqx.filter_jit
        def step(model: Any, state: Any, x: Any, y: Any) -> Any:
            def loss_fn(model: Any) -> Any:
                return optax.softmax_cross_entropy_with_integer_labels(jax.vmap(model)(x), y).mean()

            loss, gradient = eqx.filter_value_and_grad(loss_fn)(model)
            change, state = self.adam.update(gradient, state, eqx.filter(model, eqx.is_inexact_array))
            return eqx.apply_updates(model, change), state, loss

        self.step = step
        self.predict = eqx.filter_jit(lambda model, x: jax.vmap(model)(x))

    def reset(self, seed: int) -> None:
        self.model = self.make(jax.random.key(seed))
        self.state = self.adam.init(eqx.filter(self.model, eqx.is_inexact_array))
        self.generator = np.random.default_rng(seed)

    def train(self) -> None:
        problem = self.problem
        for _ in range(problem.epochs):
            for rows in self.generator.permutation(len(problem.x)).reshape(-1, problem.batch_size):
                self.model, self.state, _ = self.step(self.model, self.state, problem.x[rows], problem.y[rows])
        jax.block_until_ready(eqx.filter(self.model, eqx.is_array))

    def accuracy(self) -> float:
        return float((self.predict(self.model, self.problem.test_x).argmax(-1) == self.problem.test_y).mean())


def linear(inputs: int, outputs: int, key: Any, init: Any = lecun) -> Any:
    drawn = (init(key, (inputs, outputs)).T, jnp.zeros(outputs))
    return eqx.tree_at(lambda made: (made.weight, made.bias), eqx.nn.Linear(inputs, outputs, key=key), drawn)


def conv(inputs: int, outputs: int, padding: int, key: Any) -> Any:
    drawn = (he(key, (5, 5, inputs, outputs)).transpose(3, 2, 0, 1), jnp.zeros((outputs, 1, 1)))
    made = eqx.nn.Conv2d(inputs, outputs, 5, padding=padding, key=key)
    return eqx.tree_at(lambda made: (made.weight, made.bias), made, drawn)


class Mlp(eqx.Module):
    layers: list[Any]

    def __init__(self, depth: int, key: Any):
        a, b, c = jax.random.split(key, 3)
        self.layers = [linear(64, 128, a, he), linear(128, 128, b, he), linear(128, 10, c)]

    def __call__(self, x: Any) -> Any:
        for one in self.layers[:-1]:
            x = jax.nn.relu(one(x))
        return self.layers[-1](x)


class LeNet(eqx.Module):
    convs: list[Any]
    pool: Any
    layers: list[Any]

    def __init__(self, depth: int, key: Any):
        a, b, c, d, e = jax.random.split(key, 5)
        self.convs, self.pool = [conv(1, 6, 2, a), conv(6, 16, 0, b)], eqx.nn.MaxPool2d(2, 2)
        self.layers = [linear(400, 120, c, he), linear(120, 84, d, he), linear(84, 10, e)]

    def __call__(self, x: Any) -> Any:
        x = x.transpose(2, 0, 1)
        for one in self.convs:
            x = self.pool(jax.nn.relu(one(x)))
        x = x.ravel()
        for one in self.layers[:-1]:
            x = jax.nn.relu(one(x))
        return self.layers[-1](x)


class Block(eqx.Module):
    norm: Any
    attention: Any
    norm_2: Any
    up: Any
    down: Any

    def __init__(self, key: Any):
        q, k, v, o, up, down = jax.random.split(key, 6)
        self.norm, self.norm_2 = eqx.nn.LayerNorm(WIDTH, eps=EPSILON), eqx.nn.LayerNorm(WIDTH, eps=EPSILON)
        biases = {f"use_{name}_bias": True for name in ("query", "key", "value", "output")}
        made = eqx.nn.MultiheadAttention(HEADS, WIDTH, **biases, key=key)
        projections = lambda made: (made.query_proj, made.key_proj, made.value_proj, made.output_proj)
        self.attention = eqx.tree_at(
            projections, made, tuple(linear(WIDTH, WIDTH, one, glorot) for one in (q, k, v, o))
        )
        self.up, self.down = linear(WIDTH, 4 * WIDTH, up), linear(4 * WIDTH, WIDTH, down)

    def __call__(self, x: Any, mask: Any) -> Any:
        h = jax.vmap(self.norm)(x)
        x = x + self.attention(h, h, h, mask=mask)
        h = jax.nn.gelu(jax.vmap(self.up)(jax.vmap(self.norm_2)(x)))
        return x + jax.vmap(self.down)(h)


class Transformer(eqx.Module):
    embed: Any
    positions: Any
    blocks: list[Any]
    norm: Any
    out: Any

    def __init__(self, depth: int, key: Any):
        first, second, last, *keys = jax.random.split(key, 3 + depth)
        self.embed = eqx.nn.Embedding(weight=small(first, (VOCABULARY, WIDTH)))
        self.positions = small(second, (LENGTH, WIDTH))
        self.blocks = [Block(one) for one in keys]
        self.norm, self.out = eqx.nn.LayerNorm(WIDTH, eps=EPSILON), linear(WIDTH, VOCABULARY, last)

    def __call__(self, tokens: Any) -> Any:
        mask = jnp.tril(jnp.ones((LENGTH, LENGTH), bool))
        x = jax.vmap(self.embed)(tokens) + self.positions
        for block in self.blocks:
            x = block(x, mask)
        return jax.vmap(self.out)(jax.vmap(self.norm)(x))
