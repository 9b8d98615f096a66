"""Draws: initializers of a given spread, and how every draw is made."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer

from dlcore.recipe import recipe

Initializer = Callable[..., jax.Array]


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
    return lambda key, shape, dtype=jnp.float32: scaled(jax.random.normal, key, shape, dtype, stddev)


@recipe
def truncated_normal(stddev: float = 0.01) -> Initializer:
    """Gaussian cut at two deviations, `stddev` *before* the cut (as in JAX; after it, 0.88 of that).

    Example:
      >>> bool(abs(truncated_normal(0.1)(jax.random.key(0), (1000,))).max() <= 0.2)
      True
    """
    return lambda key, shape, dtype=jnp.float32: scaled(draw_truncated, key, shape, dtype, stddev)


@recipe
def uniform(scale: float = 0.01) -> Initializer:
    """Uniform on `[0, scale)`, as in JAX.

    Example:
      >>> bool(uniform(0.1)(jax.random.key(0), (1000,)).min() >= 0)
      True
    """
    return lambda key, shape, dtype=jnp.float32: scaled(jax.random.uniform, key, shape, dtype, scale)


def draw_truncated(key: Any, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """Draws from a unit normal that is cut at two deviations."""
    return jax.random.truncated_normal(key, -2, 2, shape, dtype)


def draw_symmetric(key: Any, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """Draws uniformly from -1 to 1."""
    return jax.random.uniform(key, shape, dtype, -1)


def scaled(draw: Callable[..., jax.Array], key: Any, shape: tuple[int, ...], dtype: Any, factor: Any) -> jax.Array:
    """Returns a draw times a factor, with the same bits eagerly, compiled and mapped."""
    size = math.prod(shape)
    is_threefry = str(jax.random.key_impl(key)) == "threefry2x32" and jax.config.jax_threefry_partitionable  # pyright: ignore
    if isinstance(key, Tracer) or size == 0 or not is_threefry:
        values = draw(key, shape, dtype)
    else:
        values = draw(key, (max(4096, 1 << (size - 1).bit_length()),), dtype)[:size].reshape(shape)
    # Without the barrier the compiler merges `factor` with the constants of the draw, and the bits would depend on
    # whether the caller is compiled.
    return lax.optimization_barrier(values) * jnp.asarray(factor, dtype)
