"""Initializers that do not look at the shape: constants, and draws of a given width."""

from typing import Any

import jax
import jax.numpy as jnp

from dlcore.initializers._draw import Initializer, draw_truncated, scaled
from dlcore.recipe import recipe


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
