"""Layers that enlarge images, and the one that undoes it."""

from collections.abc import Sequence
from typing import Any

from dlcore import ops
from dlcore.core import lambda_layer, layer


@layer
def upsample(factor: int | Sequence[int], *, method: str = "nearest") -> Any:
    """Enlarges images by a whole factor; see `dlcore.ops.upsample`. `resize` is for a given size.

    Args:
      factor: output pixels per input pixel, one number or one a spatial axis.
      method: `"nearest"` (the default), `"bilinear"` or `"bicubic"`.

    Returns:
      A layer from (B, *spatial, C) to (B, *larger, C).

    Raises:
      TypeError: for images that are not floating.
      ValueError: for another number of spatial axes, and for an unknown method.

    Example:
      >>> import jax.numpy as jnp
      >>> upsample(2).apply({}, {}, jnp.ones((1, 4, 4, 3)))[0].shape
      (1, 8, 8, 3)
    """
    if method not in ("nearest", "bilinear", "bicubic"):
        raise ValueError(f"method: expected 'nearest', 'bilinear' or 'bicubic', found {method!r}")
    return lambda_layer(lambda x: ops.upsample(x, factor, method=method))


@layer
def pixel_shuffle(factor: int | Sequence[int]) -> Any:
    """Lays channels out in space, in blocks of `factor` pixels per axis; see `dlcore.ops.pixel_shuffle`.

    Args:
      factor: the block's size in pixels, one number or one a spatial axis.

    Returns:
      A layer from (B, *spatial, C) to (B, *(factor * spatial), C / prod(factor)).

    Raises:
      ValueError: for channels that blocks do not divide.

    Source: Shi et al., 2016.

    Example:
      >>> import jax.numpy as jnp
      >>> pixel_shuffle(2).apply({}, {}, jnp.ones((1, 4, 4, 12)))[0].shape
      (1, 8, 8, 3)
    """
    return lambda_layer(lambda x: ops.pixel_shuffle(x, factor))


@layer
def pixel_unshuffle(factor: int | Sequence[int]) -> Any:
    """Lays blocks of pixels out in channels, the inverse of `pixel_shuffle`; see `dlcore.ops.pixel_unshuffle`.

    Args:
      factor: the block's size in pixels, one number or one a spatial axis.

    Returns:
      A layer from (B, *spatial, C) to (B, *(spatial / factor), C * prod(factor)).

    Raises:
      ValueError: for an image that blocks do not divide.

    Source: Shi et al., 2016.

    Example:
      >>> import jax.numpy as jnp
      >>> pixel_unshuffle(2).apply({}, {}, jnp.ones((1, 8, 8, 3)))[0].shape
      (1, 4, 4, 12)
    """
    return lambda_layer(lambda x: ops.pixel_unshuffle(x, factor))
