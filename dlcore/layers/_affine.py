"""What the norms share: their learnt scale and offset, and what is checked at their door."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer


def affine(shape: tuple[int, ...], dtype: Any, use_scale: bool, use_offset: bool) -> dict[str, jax.Array]:
    """Returns the params of a norm, `scale` from ones and `offset` from zeros."""
    dtype = np.promote_types(dtype, np.float32)
    return named(jnp.ones(shape, dtype), jnp.zeros(shape, dtype), use_scale, use_offset)


def named(scale: Any, offset: Any, use_scale: bool, use_offset: bool) -> dict[str, Any]:
    """Returns those of `scale` and `offset` that are used, by name."""
    return ({"scale": scale} if use_scale else {}) | ({"offset": offset} if use_offset else {})


def expect_epsilon(epsilon: Any) -> None:
    """Refuses an epsilon that is negative, or no number."""
    if not isinstance(epsilon, Tracer) and not 0 <= float(epsilon) < math.inf:
        raise ValueError(f"epsilon: expected a number from 0 up, which is added inside the root, found {epsilon}")


def expect_several(values: int, norm: str, x: Any, repair: str) -> None:
    """Refuses statistics of one value, whose variance is zero."""
    if values < 2:
        raise ValueError(
            f"{norm} needs two or more values for each mean and variance, found {values} in x {tuple(x.shape)}: the "
            f"output would be the offset whatever the input. {repair}"
        )


def spatial_axes(x: Any, norm: str) -> tuple[int, ...]:
    """Returns the axes between the batch and the channels, of which there is at least one."""
    if len(x.shape) < 3:
        raise ValueError(f"{norm} works on (B, *spatial, channels), found x {tuple(x.shape)}: use layer_norm")
    return tuple(range(1, len(x.shape) - 1))
