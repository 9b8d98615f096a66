"""JAX by hand: a whole run, its initialisation too, is one jitted `lax.scan`, with optax's Adam."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from experiments.bench.peers.problem import EPSILON, HEADS, LENGTH, VOCABULARY, WIDTH, Problem

he, lecun = jax.nn.initializers.he_normal(), jax.nn.initializers.lecun_normal()
glorot, small = jax.nn.initializers.glorot_uniform(), jax.nn.initializers.normal(0.02)


class System:
    def __init__(self, problem: Problem):
        init, self.forward = networks[problem.name]
        rows, forward = len(problem.x), self.forward
        adam = optax.adam(problem.rate)

        def loss(params: Any, x: Any, y: Any) -> Any:
            return optax.softmax_cross_entropy_with_integer_labels(forward(params, x), y).mean()

        def run(key: Any, x: Any, y: Any) -> Any:
            init_key, data_key = jax.random.split(key)
            params = init(init_key, problem.depth)
            orders = jax.vmap(lambda k: jax.random.permutation(k, rows))(jax.random.split(data_key, problem.epochs))

            def step(carry: Any, batch: Any) -> Any:
                params, state = carry
                value, gradient = jax.value_and_grad(loss)(params, x[batch], y[batch])
                change, state = adam.update(gradient, state)
                return (optax.apply_updates(params, change), state), value

            (params, _), losses = lax.scan(step, (params, adam.init(params)), orders.reshape(problem.steps, -1))
            return params, losses

        self.problem, self.seed, self.params = problem, 0, None
        self.data = (jnp.asarray(problem.x), jnp.asarray(problem.y))
        self.run, self.predict = jax.jit(run), jax.jit(forward)

    def reset(self, seed: int) -> None:
        self.seed = seed

    def train(self) -> None:
        self.params, _ = jax.block_until_ready(self.run(jax.random.key(self.seed), *self.data))

    def accuracy(self) -> float:
        return float((self.predict(self.params, self.problem.test_x).argmax(-1) == self.problem.test_y).mean())


def dense(key: Any, inputs: int, outputs: int, init: Any = lecun) -> Any:
    return init(key, (inputs, outputs)), jnp.zeros(outputs)


def init_mlp(key: Any, depth: int) -> Any:
    a, b, c = jax.random.split(key, 3)
    return dense(a, 64, 128, he), dense(b, 128, 128, he), dense(c, 128, 10)


def mlp(params: Any, x: Any) -> Any:
    for kernel, bias in params[:-1]:
        x = jax.nn.relu(x @ kernel + bias)
    return x @ params[-1][0] + params[-1][1]


def init_lenet(key: Any, depth: int) -> Any:
    a, b, c, d, e = jax.random.split(key, 5)
    convs = (he(a, (5, 5, 1, 6)), jnp.zeros(6)), (he(b, (5, 5, 6, 16)), jnp.zeros(16))
    return convs, (dense(c, 400, 120, he), dense(d, 120, 84, he), dense(e, 84, 10))


def lenet(params: Any, x: Any) -> Any:
    for (kernel, bias), padding in zip(params[0], ("SAME", "VALID"), strict=True):
        x = lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = lax.reduce_window(jax.nn.relu(x + bias), -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    return mlp(params[1], x.reshape(len(x), -1))


def init_transformer(key: Any, depth: int) -> Any:
    first, second, last, *keys = jax.random.split(key, 3 + depth)
    norm = lambda: (jnp.ones(WIDTH), jnp.zeros(WIDTH))

    def block(key: Any) -> Any:
        q, k, v, o, up, down = jax.random.split(key, 6)
        attention = {name: dense(one, WIDTH, WIDTH, glorot) for name, one in (("q", q), ("k", k), ("v", v), ("o", o))}
        return {"norm": norm(), **attention, "norm_2": norm()} | {
            "up": dense(up, WIDTH, 4 * WIDTH),
            "down": dense(down, 4 * WIDTH, WIDTH),
        }

    tables = small(first, (VOCABULARY, WIDTH)), small(second, (LENGTH, WIDTH))
    return tables, [block(one) for one in keys], norm(), dense(last, WIDTH, VOCABULARY)


def transformer(params: Any, tokens: Any) -> Any:
    (table, positions), blocks, last_norm, out = params
    x = table[tokens] + positions
    causal = jnp.tril(jnp.ones((LENGTH, LENGTH), bool))

    def norm(p: Any, x: Any) -> Any:
        x = x - x.mean(-1, keepdims=True)
        return x * lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + EPSILON) * p[0] + p[1]

    for p in blocks:
        h = norm(p["norm"], x)
        q, k, v = ((h @ p[n][0] + p[n][1]).reshape(*h.shape[:2], HEADS, WIDTH // HEADS) for n in "qkv")
        logits = jnp.einsum("bthf,bshf->bhts", q, k) * (WIDTH // HEADS) ** -0.5
        weights = jax.nn.softmax(jnp.where(causal, logits, -jnp.inf))
        h = jnp.einsum("bhts,bshf->bthf", weights, v).reshape(h.shape)
        x = x + h @ p["o"][0] + p["o"][1]
        h = jax.nn.gelu(norm(p["norm_2"], x) @ p["up"][0] + p["up"][1])
        x = x + h @ p["down"][0] + p["down"][1]
    return norm(last_norm, x) @ out[0] + out[1]


networks: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "mlp": (init_mlp, mlp),
    "lenet": (init_lenet, lenet),
    "transformer": (init_transformer, transformer),
}
