"""Kernels most of whose weights are zero."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from dlcore.initializers._draw import Initializer, scaled
from dlcore.recipe import recipe


@recipe
def sparse(sparsity: float, stddev: Any = 0.01) -> Initializer:
    """Gaussian weights with, for every unit, the same number of zeros at random places.

    Every unit has `inputs - ceil(sparsity * inputs)` incoming weights, so that what it sums does not grow with the
    number of inputs, and units start unlike each other.

    Args:
      sparsity: the share of each unit's weights that is zero, in [0, 1), rounded up to whole weights.
      stddev: the standard deviation of the others: .01 as in PyTorch; Martens took 1, with 15 weights a unit.

    Returns:
      An initializer of matrices (inputs, features); for another number of axes it raises a ValueError.

    Raises:
      ValueError: for a sparsity outside [0, 1).

    Source: Martens, 2010.

    Example:
      >>> (sparse(0.75)(jax.random.key(0), (8, 3)) != 0).sum(0)
      Array([2, 2, 2], dtype=int32)
    """
    if not 0 <= sparsity < 1:
        raise ValueError(f"sparsity: expected the share of zeros, a number in [0, 1), found {sparsity}")

    def init(key: Any, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
        if len(shape) != 2:
            raise ValueError(f"sparse needs a matrix (inputs, features), found shape {shape}")
        key_values, key_places = jax.random.split(key)
        values = scaled(jax.random.normal, key_values, shape, dtype, stddev)
        zeros = math.ceil(sparsity * shape[0])
        is_kept = jnp.broadcast_to(jnp.arange(shape[0])[:, None] >= zeros, shape)
        return jnp.where(jax.random.permutation(key_places, is_kept, axis=0, independent=True), values, 0)

    return init
