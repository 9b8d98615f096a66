"""What augmentations expect of batches and strengths, and how each example gets its own."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

Augmentation = Callable[[Any, Mapping[str, Any]], dict[str, Any]]


def expect_strength(name: str, value: Any, low: float = 0.0, high: float = np.inf) -> None:
    """Refuses a strength out of range where its value is known.

    Raises:
      TypeError: for what is no number.
      ValueError: names the strength and the range.
    """
    if isinstance(value, Tracer):
        if value.shape:
            raise ValueError(f"{name}: expected one number, found a traced array of shape {value.shape}")
        return
    known = np.asarray(value)
    if known.shape or known.dtype.kind not in "iuf" and known.dtype != jnp.bfloat16:
        raise TypeError(f"{name}: expected one number, found {value!r}")
    if not low <= float(known) <= high or not np.isfinite(float(known)):  # not a number is refused too
        end = f"from {low:g} to {high:g}" if np.isfinite(high) else f"of {low:g} or more"
        raise ValueError(f"{name}: expected a number {end}, found {value}")


def expect_count(name: str, value: Any, low: int = 0) -> int:
    """Returns an option that decides on shapes or on the program as an int.

    Raises:
      TypeError: for what is no integer, traced values among it.
      ValueError: below `low`.
    """
    if isinstance(value, bool | Tracer) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}: expected an integer that is known when compiling, found {value!r}")
    if value < low:
        raise ValueError(f"{name}: expected an integer of {low} or more, found {value}")
    return int(value)


def get(name: str, batch: Any, entry: str = "x") -> jax.Array:
    """Returns an entry of a batch as an array.

    Raises:
      TypeError: where the batch is no dict.
      ValueError: where it has no such entry.
    """
    if not isinstance(batch, Mapping):
        raise TypeError(f"{name}: expected a batch, a dict with 'x', found {type(batch).__name__}: {{'x': x}}")
    if entry not in batch:
        raise ValueError(f"{name}: expected {entry!r} in the batch, found {sorted(batch)}")
    return jnp.asarray(batch[entry])


def get_floating(name: str, batch: Any, axes: int | None, form: str) -> jax.Array:
    """Returns `x`, which must be floating and of a number of axes.

    Raises:
      TypeError: for integers, which would be cut to whole numbers.
      ValueError: for another number of axes.
    """
    x = get(name, batch)
    if x.ndim != axes if axes is not None else x.ndim < 1:
        raise ValueError(f"{name}: expected x of shape {form}, found {x.shape}")
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"{name}: expected floating x, found {x.dtype}: x.astype('float32') / 255")
    return x


def get_images(name: str, batch: Any, channels: tuple[int, ...] = ()) -> jax.Array:
    """Returns `x`, floating images (B, H, W, C).

    Raises:
      TypeError: for integers.
      ValueError: for another number of axes, or of channels than one of `channels` where they are given.
    """
    x = get_floating(name, batch, 4, "(B, H, W, C)")
    if channels and x.shape[3] not in channels:
        known = " or ".join(map(str, channels))
        raise ValueError(f"{name}: expected images of {known} channels, (B, H, W, {known}), found {x.shape}")
    return x


def with_entries(batch: Mapping[str, Any], **entries: Any) -> dict[str, Any]:
    """Returns a batch with entries put in place of its own."""
    return {**batch, **entries}


def each(values: jax.Array, like: jax.Array) -> jax.Array:
    """Returns one value per example (B,) in a shape that broadcasts to the examples: (B, 1, ..., 1)."""
    return values.reshape(values.shape + (1,) * (like.ndim - 1))


def draw_whole(key: Any, low: Any, count: Any, shape: tuple[int, ...]) -> jax.Array:
    """Draws whole numbers, uniform on `low, ..., low + count - 1`; both may be traced."""
    # A product just below the count may round up to it.
    drawn = jnp.minimum(jnp.floor(jax.random.uniform(key, shape) * count), count - 1)
    return (low + drawn).astype(jnp.int32)
