"""Initializers: factories of `(key, shape, dtype) -> array`, JAX's own protocol.

The bits are those of `jax.nn.initializers`. Two things are added. The draw and its scaling are kept apart, so that an
eager call and a compiled one give the same bits. And an eager draw is made flat, at the next power of two, and cut: the
bits are the same, but the many shapes of a model share a few compilations.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer

from dlcore.recipe import recipe

__all__ = [
    "constant",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "truncated_normal",
    "uniform",
    "zeros",
    "ones",
]

Initializer = Callable[..., jax.Array]

_TRUNCATED_STD = 0.87962566103423978  # standard deviation of a unit normal cut at two deviations


def zeros(key: Any, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
    """All zeros: for biases. Weights of zero would leave every unit of a layer alike.

    Example:
      >>> zeros(None, (2,))
      Array([0., 0.], dtype=float32)
    """
    return jnp.zeros(shape, dtype)


def ones(key: Any, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
    """All ones: for the scale of a norm.

    Example:
      >>> ones(None, (2,))
      Array([1., 1.], dtype=float32)
    """
    return jnp.ones(shape, dtype)


@recipe
def constant(value: float) -> Initializer:
    """Every element is `value`.

    Example:
      >>> constant(0.5)(None, (2,))
      Array([0.5, 0.5], dtype=float32)
    """
    return lambda key, shape, dtype=jnp.float32: jnp.full(shape, value, dtype)


@recipe
def normal(stddev: float = 0.01) -> Initializer:
    """Gaussian with mean 0 and standard deviation `stddev`.

    Example:
      >>> normal(0.1)(jax.random.key(0), (2, 3)).shape
      (2, 3)
    """
    return lambda key, shape, dtype=jnp.float32: _scaled(jax.random.normal, key, shape, dtype, stddev)


@recipe
def truncated_normal(stddev: float = 0.01) -> Initializer:
    """Gaussian cut at two deviations, `stddev` *before* the cut (as in JAX; after it, 0.88 of that).

    Example:
      >>> bool(abs(truncated_normal(0.1)(jax.random.key(0), (1000,))).max() <= 0.2)
      True
    """
    return lambda key, shape, dtype=jnp.float32: _scaled(_draw_truncated, key, shape, dtype, stddev)


@recipe
def uniform(scale: float = 0.01) -> Initializer:
    """Uniform on `[0, scale)`, as in JAX.

    Example:
      >>> bool(uniform(0.1)(jax.random.key(0), (1000,)).min() >= 0)
      True
    """
    return lambda key, shape, dtype=jnp.float32: _scaled(jax.random.uniform, key, shape, dtype, scale)


@recipe
def lecun_normal() -> Initializer:
    """Variance `1 / fan_in`: keeps the variance of linear and SELU units. Truncated, with the variance corrected.

    `sqrt(1 / fan_in)` is LeCun's, though it is often called Xavier's.

    Source: LeCun, Bottou, Orr and Mueller, 1998.

    Example:
      >>> lecun_normal()(jax.random.key(0), (400, 100)).std().round(3)
      Array(0.05, dtype=float32)
    """
    return _variance_scaling(1.0, "fan_in", "normal")


@recipe
def lecun_uniform() -> Initializer:
    """Variance `1 / fan_in`, uniform on `+-sqrt(3 / fan_in)`.

    Source: LeCun, Bottou, Orr and Mueller, 1998.

    Example:
      >>> lecun_uniform()(jax.random.key(0), (400, 100)).std().round(3)
      Array(0.05, dtype=float32)
    """
    return _variance_scaling(1.0, "fan_in", "uniform")


@recipe
def glorot_normal() -> Initializer:
    """Variance `2 / (fan_in + fan_out)`, also Xavier: for tanh, forward and backward. Truncated, corrected.

    Source: Glorot and Bengio, 2010.

    Example:
      >>> glorot_normal()(jax.random.key(0), (400, 400)).std().round(3)
      Array(0.05, dtype=float32)
    """
    return _variance_scaling(1.0, "fan_avg", "normal")


@recipe
def glorot_uniform() -> Initializer:
    """Variance `2 / (fan_in + fan_out)`, uniform.

    Source: Glorot and Bengio, 2010.

    Example:
      >>> glorot_uniform()(jax.random.key(0), (400, 400)).std().round(3)
      Array(0.05, dtype=float32)
    """
    return _variance_scaling(1.0, "fan_avg", "uniform")


@recipe
def he_normal() -> Initializer:
    """Variance `2 / fan_in`: keeps the variance of ReLU units. Truncated, with the variance corrected.

    Source: He, Zhang, Ren and Sun, 2015.

    Example:
      >>> he_normal()(jax.random.key(0), (800, 100)).std().round(3)
      Array(0.05, dtype=float32)
    """
    return _variance_scaling(2.0, "fan_in", "normal")


@recipe
def he_uniform() -> Initializer:
    """Variance `2 / fan_in`, uniform on `+-sqrt(6 / fan_in)`.

    Source: He, Zhang, Ren and Sun, 2015.

    Example:
      >>> he_uniform()(jax.random.key(0), (800, 100)).std().round(3)
      Array(0.05, dtype=float32)
    """
    return _variance_scaling(2.0, "fan_in", "uniform")


def _variance_scaling(scale: float, mode: str, distribution: str) -> Initializer:
    def init(key: Any, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
        if len(shape) < 2:
            raise ValueError(f"fan-in needs a kernel of two or more axes, found shape {shape}: use `normal` or `zeros`")
        window = math.prod(shape[:-2])  # the receptive field of a convolution kernel
        fan_in, fan_out = window * shape[-2], window * shape[-1]
        variance = np.asarray(scale / max(1.0, fan_in if mode == "fan_in" else (fan_in + fan_out) / 2), dtype)
        if distribution == "normal":
            # rounded step by step in `dtype`, as JAX does
            return _scaled(_draw_truncated, key, shape, dtype, np.sqrt(variance) / np.asarray(_TRUNCATED_STD, dtype))
        return _scaled(_draw_symmetric, key, shape, dtype, np.sqrt(np.asarray(3, dtype) * variance))

    return init


def _draw_truncated(key: Any, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    return jax.random.truncated_normal(key, -2, 2, shape, dtype)


def _draw_symmetric(key: Any, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    return jax.random.uniform(key, shape, dtype, -1)


def _scaled(draw: Callable[..., jax.Array], key: Any, shape: tuple[int, ...], dtype: Any, factor: Any) -> jax.Array:
    size = math.prod(shape)
    is_threefry = str(jax.random.key_impl(key)) == "threefry2x32" and jax.config.jax_threefry_partitionable  # pyright: ignore
    if isinstance(key, Tracer) or size == 0 or not is_threefry:
        values = draw(key, shape, dtype)
    else:
        values = draw(key, (max(4096, 1 << (size - 1).bit_length()),), dtype)[:size].reshape(shape)
    # Without the barrier the compiler merges `factor` with the constants of the draw, and the bits would depend on
    # whether the caller is compiled.
    return lax.optimization_barrier(values) * jnp.asarray(factor, dtype)
