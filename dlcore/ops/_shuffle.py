"""Larger images: by repeating or interpolating pixels, or by laying channels out in space, and back."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from dlcore.ops._pool import check_floating
from dlcore.ops._window import IntOrInts, per_axis, spatial_shape

__all__ = ["pixel_shuffle", "pixel_unshuffle", "upsample"]


def upsample(x: jax.Array, factor: IntOrInts, *, method: str = "nearest") -> jax.Array:
    """Enlarge images by a whole factor.

    Pixels are areas: pixel `p` of the result lies at `(p + 0.5) / factor - 0.5` in `x` (`align_corners=False`).

    Args:
        x: `(batch, *spatial, channels)`, one to three spatial axes, floating dtype.
        factor: output positions per input position; an int or one per spatial axis.
        method: `"nearest"` repeats every pixel; `"bilinear"` (linear along every axis) and `"bicubic"` interpolate,
            as in `jax.image.resize`.

    Returns:
        `(batch, *(factor * spatial), channels)` in the dtype of `x`.

    Raises:
        ValueError: a wrong number of axes, a factor below 1, or an unknown method.
        TypeError: `x` is not floating, or `factor` is not an integer.

    Example:
        >>> import jax.numpy as jnp
        >>> from dlcore.ops import upsample
        >>> upsample(jnp.array([1.0, 5.0]).reshape(1, 2, 1), 2, method="bilinear").ravel().tolist()
        [1.0, 2.0, 4.0, 5.0]
    """
    x = jnp.asarray(x)
    check_floating(x)
    factors = per_axis("factor", factor, len(spatial_shape(x)))
    if method not in ("nearest", "bilinear", "bicubic"):
        raise ValueError(f"method must be 'nearest', 'bilinear' or 'bicubic', got {method!r}")
    shape = _times(x, factors)
    if method != "nearest":
        return jax.image.resize(x, shape, method)
    axes = [2 * axis + 2 for axis in range(len(factors))]
    x = jnp.expand_dims(x, axes)
    pairs = zip(x.shape[1:-1:2], factors, strict=True)
    return jnp.broadcast_to(x, (x.shape[0], *(n for pair in pairs for n in pair), x.shape[-1])).reshape(shape)


def pixel_shuffle(x: jax.Array, factor: IntOrInts) -> jax.Array:
    """Lay channels out in space (depth to space): every position becomes a block of `factor` positions per axis.

    `y[b, h * r + i, w * s + j, c] = x[b, h, w, (c * r + i) * s + j]` for factors `(r, s)`: the place in the block
    varies fastest, as in PyTorch. (TensorFlow's `depth_to_space` has the channel fastest.)

    Args:
        x: `(batch, *spatial, channels)`, one to three spatial axes; channels are a multiple of the block's size.
        factor: the block's size; an int or one per spatial axis.

    Returns:
        `(batch, *(factor * spatial), channels / prod(factor))` in the dtype of `x`.

    Raises:
        ValueError: a wrong number of axes, or channels that blocks do not divide.
        TypeError: `factor` is not an integer.

    Source: Shi et al., "Real-time single image and video super-resolution" (2016).

    Example:
        >>> import jax.numpy as jnp
        >>> from dlcore.ops import pixel_shuffle
        >>> pixel_shuffle(jnp.arange(4.0).reshape(1, 1, 1, 4), 2)[0, ..., 0].tolist()
        [[0.0, 1.0], [2.0, 3.0]]
    """
    x = jnp.asarray(x)
    factors = per_axis("factor", factor, len(spatial_shape(x)))
    if x.shape[-1] % (block := math.prod(factors)):
        raise ValueError(f"x of shape {x.shape} has {x.shape[-1]} channels, which blocks of {block} do not divide")
    axes = len(factors)
    y = x.reshape(*x.shape[:-1], x.shape[-1] // block, *factors)
    order = (axis for i in range(axes) for axis in (i + 1, axes + 2 + i))
    return y.transpose(0, *order, axes + 1).reshape(*_times(x, factors)[:-1], x.shape[-1] // block)


def pixel_unshuffle(x: jax.Array, factor: IntOrInts) -> jax.Array:
    """Lay blocks of pixels out in channels (space to depth), the inverse of `pixel_shuffle`.

    Args:
        x: `(batch, *spatial, channels)`, one to three spatial axes, each a multiple of its factor.
        factor: the block's size; an int or one per spatial axis.

    Returns:
        `(batch, *(spatial / factor), channels * prod(factor))` in the dtype of `x`.

    Raises:
        ValueError: a wrong number of axes, or an axis that its factor does not divide.
        TypeError: `factor` is not an integer.

    Source: Shi et al., "Real-time single image and video super-resolution" (2016).

    Example:
        >>> import jax.numpy as jnp
        >>> from dlcore.ops import pixel_unshuffle
        >>> pixel_unshuffle(jnp.arange(4.0).reshape(1, 2, 2, 1), 2).ravel().tolist()
        [0.0, 1.0, 2.0, 3.0]
    """
    x = jnp.asarray(x)
    spatial = spatial_shape(x)
    factors = per_axis("factor", factor, len(spatial))
    if any(n % r for n, r in zip(spatial, factors, strict=True)):
        raise ValueError(f"x of shape {x.shape} has a spatial axis that its factor, of {factors}, does not divide")
    axes = len(factors)
    sides = [(n // r, r) for n, r in zip(spatial, factors, strict=True)]
    y = x.reshape(x.shape[0], *(size for side in sides for size in side), x.shape[-1])
    y = y.transpose(0, *range(1, 2 * axes, 2), 2 * axes + 1, *range(2, 2 * axes + 1, 2))
    return y.reshape(x.shape[0], *(n for n, _ in sides), x.shape[-1] * math.prod(factors))


def _times(x: jax.Array, factors: Sequence[int]) -> tuple[int, ...]:
    return (x.shape[0], *(n * r for n, r in zip(x.shape[1:-1], factors, strict=True)), x.shape[-1])
