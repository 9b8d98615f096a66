"""Lengths of padded sequences as masks over time."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from dlcore.ops._window import integer

__all__ = ["length_mask"]


def length_mask(lengths: Any, steps: int) -> jax.Array:
    """Which steps belong to sequences that are padded on the right, `mask[b, t] = t < lengths[b]`.

    Args:
      lengths: (B,), whole numbers; 0 is allowed.
      steps: number of steps T with the padding.

    Returns:
      (B, steps) booleans, as `recurrent` takes them. For `attention` they are those of the keys: `mask[:, None, None]`.

    Raises:
      TypeError: lengths that are no whole numbers.
      ValueError: lengths outside [0, steps], where they are not traced.

    Example:
      >>> length_mask(jnp.array([2, 0]), 3).tolist()
      [[True, True, False], [False, False, False]]
    """
    steps, lengths = integer("steps", steps, 0), jnp.asarray(lengths)
    if not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise TypeError(f"lengths: expected whole numbers, found {lengths.dtype}")
    if not isinstance(lengths, Tracer) and bool(((lengths < 0) | (lengths > steps)).any()):
        raise ValueError(f"lengths: expected numbers in [0, {steps}], found {lengths.min()} to {lengths.max()}")
    return jnp.arange(steps) < lengths[..., None]
