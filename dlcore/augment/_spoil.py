"""Something taken away or added: cutout and noise."""

from typing import Any

import jax
import jax.numpy as jnp

from dlcore.augment._batch import (
    Augmentation,
    draw_whole,
    expect_strength,
    get_floating,
    get_images,
    with_entries,
)
from dlcore.augment._sealed import sealed
from dlcore.recipe import recipe


@recipe
def cutout(size: Any, fill: Any = 0.0) -> Augmentation:
    """Covers a square of each image, whose centre may be any pixel; what sticks out of the image is cut off.

    Args:
      size: side of the square in pixels, whole; a fraction is cut off. 0 or more; may be traced.
      fill: what the square holds; may be traced.

    Returns:
      An augmentation of images (B, H, W, C).

    Raises:
      ValueError: for a negative size.

    Source: DeVries and Taylor, Improved Regularization of Convolutional Neural Networks with Cutout, 2017.

    Example:
      >>> covered = cutout(4)(jax.random.key(0), {"x": jnp.ones((64, 8, 8, 1))})["x"]
      >>> int(16 * 64 - (covered == 0).sum()) > 0, int((covered == 0).sum((1, 2, 3)).max())
      (True, 16)
    """
    expect_strength("size", size)

    def augment(key: Any, batch: Any) -> dict[str, Any]:
        return with_entries(batch, x=_cutout(key, get_images("cutout", batch), size, fill))

    return augment


@recipe
def noise(std: Any) -> Augmentation:
    """Adds Gaussian noise, `x + std * normal`; what leaves [0, 1] is not cut.

    Args:
      std: standard deviation, 0 or more; may be traced.

    Returns:
      An augmentation of floating arrays (B, ...).

    Raises:
      ValueError: for a negative deviation.

    Source: Bishop, Training with Noise is Equivalent to Tikhonov Regularization, 1995.

    Example:
      >>> noise(0.1)(jax.random.key(0), {"x": jnp.ones((2, 3))})["x"].shape
      (2, 3)
    """
    expect_strength("std", std)

    def augment(key: Any, batch: Any) -> dict[str, Any]:
        return with_entries(batch, x=_noise(key, get_floating("noise", batch, None, "(B, ...)"), std))

    return augment


@sealed()
def _cutout(key: Any, x: jax.Array, size: Any, fill: Any) -> jax.Array:
    size = jnp.floor(size).astype(jnp.int32)
    sides = jnp.array(x.shape[1:3])[:, None]
    low = draw_whole(key, 0, sides, (2, len(x))) - size // 2
    is_row, is_column = (
        (jnp.arange(side) >= edge[:, None]) & (jnp.arange(side) < edge[:, None] + size)
        for side, edge in zip(x.shape[1:3], low, strict=True)
    )
    is_covered = is_row[:, :, None, None] & is_column[:, None, :, None]
    return jnp.where(is_covered, jnp.asarray(fill, x.dtype), x)


@sealed()
def _noise(key: Any, x: jax.Array, std: Any) -> jax.Array:
    added = x.astype(jnp.float32) + std * jax.random.normal(key, x.shape)
    # Adding zero makes 0 of -0.
    return jnp.where(std == 0, x, added.astype(x.dtype))
