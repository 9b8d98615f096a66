"""Every function beside the obvious hand-written JAX, under jit, forward and with its gradient.

`python experiments/bench/functions.py [name ...]`: all of them unless some are named. Rivals run in turn in one
process; a figure is the median over rounds of the ratio of two neighbours in time. Give the machine nothing else to do.
"""

import argparse
import functools
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dlcore import activations, layers, losses, ops, optim

ROUNDS, SECONDS = 25, 0.005

_draw = np.random.default_rng(0)
X = jnp.asarray(_draw.normal(size=(2048, 1024)), jnp.float32)
WIDE = jnp.asarray(_draw.normal(size=(2048, 2048)), jnp.float32)
IMAGES = jnp.asarray(_draw.normal(size=(32, 28, 28, 16)), jnp.float32)
LOGITS, TARGETS = (jnp.asarray(_draw.normal(size=(16384, 100)), jnp.float32) for _ in range(2))
LABELS = jnp.asarray(_draw.integers(0, 100, 16384), jnp.int32)
YES = (TARGETS > 0).astype(jnp.float32)
SIGNS = 2 * YES - 1
HEADS = [jnp.asarray(_draw.normal(size=(8, 128, 4, 32)), jnp.float32) for _ in range(3)]
KERNEL = jnp.asarray(_draw.normal(size=(3, 3, 16, 16)) / 12, jnp.float32)
MATRIX = {"kernel": X, "bias": X[0]}


def _layer(layer: Any, x: jax.Array, train: bool = False) -> Callable[..., Any]:
    params, state = layer.init(jax.random.key(0), x)
    key = jax.random.key(1) if train else None
    return lambda x: layer.apply(params, state, x, key=key, train=train)[0]


def _norm(x: jax.Array, axes: Any, epsilon: float) -> jax.Array:
    mean = x.mean(axes, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(x.var(axes, keepdims=True) + epsilon)


def _softmax_cross_entropy(x: jax.Array) -> jax.Array:
    return jax.nn.logsumexp(x, axis=-1) - jnp.take_along_axis(x, LABELS[:, None], -1)[:, 0]


def _binary(x: jax.Array) -> jax.Array:
    return (jnp.maximum(x, 0) - x * YES + jnp.log1p(jnp.exp(-jnp.abs(x)))).mean(-1)


def _attention(query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
    scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) / 32**0.5
    scores = jnp.where(jnp.tril(jnp.ones((128, 128), bool)), scores, -jnp.inf)
    return jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores), value)


def _native(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _looped(convolve: Callable[..., Any]) -> Callable[..., Any]:
    """Four one after another in a loop, as in compiled training."""
    return lambda x, kernel: jax.lax.scan(lambda x, _: (convolve(x, kernel), None), x, None, length=4)[0]


def _dropout(x: jax.Array) -> jax.Array:
    return jnp.where(jax.random.bernoulli(jax.random.key(1), 0.5, x.shape), x / 0.5, 0)


def _update(optimizer: Any) -> Callable[..., Any]:
    state = optimizer.init(MATRIX)
    return lambda x: optax.apply_updates(MATRIX, optimizer.update({"kernel": x, "bias": x[0]}, state, MATRIX)[0])


# Name: (ours, by hand, arguments).
PAIRS: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[Any, ...]]] = {
    "sigmoid": (activations.sigmoid, jax.nn.sigmoid, (X,)),
    "tanh": (activations.tanh, jnp.tanh, (X,)),
    "relu": (activations.relu, jax.nn.relu, (X,)),
    "leaky_relu": (activations.leaky_relu, jax.nn.leaky_relu, (X,)),
    "elu": (activations.elu, jax.nn.elu, (X,)),
    "selu": (activations.selu, jax.nn.selu, (X,)),
    "celu": (activations.celu, jax.nn.celu, (X,)),
    "gelu": (activations.gelu, lambda x: jax.nn.gelu(x, approximate=False), (X,)),
    "silu": (activations.silu, jax.nn.silu, (X,)),
    "mish": (activations.mish, jax.nn.mish, (X,)),
    "softplus": (activations.softplus, jax.nn.softplus, (X,)),
    "softsign": (activations.softsign, jax.nn.soft_sign, (X,)),
    "hard_sigmoid": (activations.hard_sigmoid, jax.nn.hard_sigmoid, (X,)),
    "hard_swish": (activations.hard_swish, jax.nn.hard_swish, (X,)),
    "hard_tanh": (activations.hard_tanh, jax.nn.hard_tanh, (X,)),
    "softmax": (activations.softmax, jax.nn.softmax, (X,)),
    "log_softmax": (activations.log_softmax, jax.nn.log_softmax, (X,)),
    "glu": (activations.glu, lambda x: x[:, :1024] * jax.nn.sigmoid(x[:, 1024:]), (WIDE,)),
    "swiglu": (activations.swiglu, lambda x: x[:, :1024] * jax.nn.silu(x[:, 1024:]), (WIDE,)),
    "mse": (losses.mse, lambda p, t: jnp.square(p - t).mean(-1), (LOGITS, TARGETS)),
    "mae": (losses.mae, lambda p, t: jnp.abs(p - t).mean(-1), (LOGITS, TARGETS)),
    "huber": (losses.huber, lambda p, t: optax.losses.huber_loss(p, t).mean(-1), (LOGITS, TARGETS)),
    "log_cosh": (losses.log_cosh, lambda p, t: optax.losses.log_cosh(p, t).mean(-1), (LOGITS, TARGETS)),
    "cross_entropy": (lambda x: losses.cross_entropy(x, LABELS), _softmax_cross_entropy, (LOGITS,)),
    "binary_cross_entropy": (lambda x: losses.binary_cross_entropy(x, YES), _binary, (LOGITS,)),
    "hinge": (lambda x: losses.hinge(x, SIGNS), lambda x: jnp.maximum(0, 1 - SIGNS * x).mean(-1), (LOGITS,)),
    "kl_divergence": (
        lambda x: losses.kl_divergence(x, jax.nn.softmax(TARGETS)),
        lambda x: optax.losses.kl_divergence(jax.nn.log_softmax(x), jax.nn.softmax(TARGETS)),
        (LOGITS,),
    ),
    "layer_norm": (
        _layer(layers.layer_norm(), X),
        lambda x: _norm(x, -1, 1e-6) * jnp.ones(1024) + jnp.zeros(1024),
        (X,),
    ),
    "rms_norm": (
        _layer(layers.rms_norm(), X),
        lambda x: x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6),
        (X,),
    ),
    "batch_norm": (_layer(layers.batch_norm(), IMAGES, True), lambda x: _norm(x, (0, 1, 2), 1e-5), (IMAGES,)),
    "group_norm": (
        _layer(layers.group_norm(4), IMAGES),
        lambda x: _norm(x.reshape(32, 28, 28, 4, 4), (1, 2, 4), 1e-6).reshape(x.shape),
        (IMAGES,),
    ),
    "instance_norm": (_layer(layers.instance_norm(), IMAGES), lambda x: _norm(x, (1, 2), 1e-6), (IMAGES,)),
    "dropout": (_layer(layers.dropout(0.5), X, True), _dropout, (X,)),
    "conv": (ops.conv, _native, (IMAGES, KERNEL)),
    "conv in a loop": (_looped(ops.conv), _looped(_native), (IMAGES, KERNEL)),
    "conv_transpose": (
        functools.partial(ops.conv_transpose, strides=2),
        lambda x, k: jax.lax.conv_transpose(x, k, (2, 2), "SAME"),
        (IMAGES[:8], KERNEL),
    ),
    "max_pool": (
        lambda x: ops.max_pool(x, 2),
        lambda x: jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID"),
        (IMAGES,),
    ),
    "avg_pool": (
        lambda x: ops.avg_pool(x, 2),
        lambda x: jax.lax.reduce_window(x, 0.0, jax.lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4,
        (IMAGES,),
    ),
    "attention": (functools.partial(ops.attention, causal=True), _attention, tuple(HEADS)),
    "sgd": (_update(optim.sgd(0.1)), lambda x: {"kernel": X - 0.1 * x, "bias": X[0] - 0.1 * x[0]}, (X + 1,)),
    "adam": (_update(optim.adam(0.1)), _update(optax.adam(0.1)), (X,)),
    "adamw": (_update(optim.adamw(0.1)), _update(optax.adamw(0.1)), (X,)),
}


def _gradient(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    # Of the squares, so that the way back begins with the result, as in training, and not with a constant.
    squares = lambda *args: sum(jnp.sum(jnp.square(y)) for y in jax.tree.leaves(function(*args)))
    return jax.jit(jax.value_and_grad(squares, argnums=tuple(range(count))))


def ratio(ours: Callable[..., Any], hand: Callable[..., Any], args: tuple[Any, ...]) -> tuple[float, float]:
    """Returns the seconds that ours takes, and its ratio to the other."""
    for run in (ours, hand):
        jax.block_until_ready(run(*args))
    began = time.perf_counter()
    jax.block_until_ready(ours(*args))
    repeats = max(1, round(SECONDS / (time.perf_counter() - began)))

    def seconds(run: Callable[..., Any]) -> float:
        began = time.perf_counter()
        for _ in range(repeats):
            out = run(*args)
        jax.block_until_ready(out)
        return (time.perf_counter() - began) / repeats

    # Each round in the other order, so that neither always follows the other.
    pairs = [(seconds(ours), seconds(hand)) if n % 2 else (seconds(hand), seconds(ours))[::-1] for n in range(ROUNDS)]
    return statistics.median(a for a, _ in pairs), statistics.median(a / b for a, b in pairs)


def main() -> None:
    """Times them, and prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", nargs="*", choices=[*PAIRS, []], help="all of them unless some are named")
    chosen = parser.parse_args().name or list(PAIRS)
    print("| function | forward, ms | of by hand | with gradient, ms | of by hand |\n|---|---|---|---|---|")
    for name in chosen:
        ours, hand, args = PAIRS[name]
        forward = ratio(jax.jit(ours), jax.jit(hand), args)
        gradient = ratio(_gradient(ours, len(args)), _gradient(hand, len(args)), args)
        row = f"| {name} | {forward[0] * 1e3:.2f} | {forward[1]:.2f} | {gradient[0] * 1e3:.2f} | {gradient[1]:.2f} |"
        print(row, flush=True)


if __name__ == "__main__":
    main()
