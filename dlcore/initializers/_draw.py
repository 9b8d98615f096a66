"""Draws whose bits do not depend on whether the caller is compiled."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer

Initializer = Callable[..., jax.Array]


def draw_truncated(key: Any, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    return jax.random.truncated_normal(key, -2, 2, shape, dtype)


def draw_symmetric(key: Any, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    return jax.random.uniform(key, shape, dtype, -1)


def scaled(draw: Callable[..., jax.Array], key: Any, shape: tuple[int, ...], dtype: Any, factor: Any) -> jax.Array:
    size = math.prod(shape)
    is_threefry = str(jax.random.key_impl(key)) == "threefry2x32" and jax.config.jax_threefry_partitionable  # pyright: ignore
    if isinstance(key, Tracer) or size == 0 or not is_threefry:
        values = draw(key, shape, dtype)
    else:
        values = draw(key, (max(4096, 1 << (size - 1).bit_length()),), dtype)[:size].reshape(shape)
    # Without the barrier the compiler merges `factor` with the constants of the draw, and the bits would depend on
    # whether the caller is compiled.
    return lax.optimization_barrier(values) * jnp.asarray(factor, dtype)
