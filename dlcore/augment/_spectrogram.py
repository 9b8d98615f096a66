"""SpecAugment's masks of spectrograms."""

from typing import Any

import jax
import jax.numpy as jnp

from dlcore.augment._batch import Augmentation, expect_count, expect_strength, get_floating, with_entries
from dlcore.augment._sealed import sealed
from dlcore.recipe import recipe


@recipe
def time_mask(width: Any, count: int = 1, fill: Any = 0.0) -> Augmentation:
    """Covers stretches of time steps of each spectrogram, each of 0 to `width` steps.

    Args:
      width: the longest stretch, whole; a fraction is cut off. 0 or more; may be traced.
      count: how many stretches, which may overlap.
      fill: what they hold: 0 is the mean of standardized features. May be traced.

    Returns:
      An augmentation of spectrograms (B, T, F).

    Raises:
      TypeError: for a count that is no integer.
      ValueError: for a negative width or count.

    Source: Park, Chan, Zhang, Chiu, Zoph, Cubuk and Le, SpecAugment, 2019.

    Example:
      >>> time_mask(4)(jax.random.key(0), {"x": jnp.ones((2, 20, 8))})["x"].shape
      (2, 20, 8)
    """
    return _masking("time_mask", width, count, fill, 1)


@recipe
def frequency_mask(width: Any, count: int = 1, fill: Any = 0.0) -> Augmentation:
    """Covers bands of frequencies of each spectrogram, each of 0 to `width` channels.

    Args:
      width: the widest band, whole; a fraction is cut off. 0 or more; may be traced.
      count: how many bands, which may overlap.
      fill: what they hold: 0 is the mean of standardized features. May be traced.

    Returns:
      An augmentation of spectrograms (B, T, F).

    Raises:
      TypeError: for a count that is no integer.
      ValueError: for a negative width or count.

    Source: Park, Chan, Zhang, Chiu, Zoph, Cubuk and Le, SpecAugment, 2019.

    Example:
      >>> frequency_mask(4)(jax.random.key(0), {"x": jnp.ones((2, 20, 8))})["x"].shape
      (2, 20, 8)
    """
    return _masking("frequency_mask", width, count, fill, 2)


def _masking(name: str, width: Any, count: int, fill: Any, axis: int) -> Augmentation:
    expect_strength("width", width)
    count = expect_count("count", count)

    def augment(key: Any, batch: Any) -> dict[str, Any]:
        x = get_floating(name, batch, 3, "(B, T, F)")
        return with_entries(batch, x=_mask(key, x, width, fill, count=count, axis=axis))

    return augment


@sealed("count", "axis")
def _mask(key: Any, x: jax.Array, width: Any, fill: Any, *, count: int, axis: int) -> jax.Array:
    size = x.shape[axis]
    how_wide, where = jax.random.uniform(key, (2, len(x), count))
    widest = jnp.minimum(jnp.floor(width), size)
    drawn = jnp.minimum(jnp.floor(how_wide * (widest + 1)), widest)
    # Any place at which the stretch lies within.
    first = jnp.minimum(jnp.floor(where * (size - drawn + 1)), size - drawn)
    place = jnp.arange(size)
    is_covered = jnp.any((place >= first[..., None]) & (place < (first + drawn)[..., None]), axis=1)
    is_covered = is_covered[:, :, None] if axis == 1 else is_covered[:, None, :]
    return jnp.where(is_covered, jnp.asarray(fill, x.dtype), x)
