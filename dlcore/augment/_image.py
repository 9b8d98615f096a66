"""Deterministic functions of images (B, H, W, C), one strength (B,) per image: what the random ones draw for.

Values are floats; 0 is black and 1 is white. They compute in float32.
"""

from typing import Any

import jax
import jax.numpy as jnp

from dlcore.augment._batch import each, get_images
from dlcore.augment._sealed import sealed

LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as in Pillow and torchvision


def warp(images: Any, matrix: Any, fill: Any = 0.0) -> jax.Array:
    """Each image seen through an affine map of places, `image'[p] = image[A p + b]`, between pixels bilinearly.

    Places are (row, column) measured from the image's centre; the matrix leads from a place of the result to one of the
    source, as in `scipy.ndimage.affine_transform`. Places between pixels are mixed from the four around them.

    Args:
      images: (B, H, W, C), floating.
      matrix: (B, 2, 3) or (2, 3): A and, in the last column, b in pixels.
      fill: what lies around an image.

    Returns:
      (B, H, W, C) of the same dtype. The gradient with respect to the matrix is that of the bilinear surface.

    Raises:
      TypeError: for images of integers.
      ValueError: for another shape of images or matrix.

    Source: Jaderberg, Simonyan, Zisserman and Kavukcuoglu, Spatial Transformer Networks, 2015.

    Example:
      >>> shifted = warp(jnp.arange(3.0).reshape(1, 1, 3, 1), jnp.array([[1.0, 0, 0], [0, 1, 0.5]]), 0.0)
      >>> shifted.ravel().tolist()
      [0.5, 1.5, 1.0]
    """
    images, matrix = get_images("warp", {"x": images}), jnp.asarray(matrix)
    if matrix.shape not in ((2, 3), (len(images), 2, 3)):
        raise ValueError(f"warp: expected a matrix (2, 3) or ({len(images)}, 2, 3), found {matrix.shape}")
    return _warp(images, matrix, fill)


@sealed()
def _warp(images: jax.Array, matrix: jax.Array, fill: Any) -> jax.Array:
    count, height, width, _ = images.shape
    matrix = jnp.broadcast_to(matrix.astype(jnp.float32), (count, 2, 3))
    rows = (jnp.arange(height) - (height - 1) / 2)[:, None]
    columns = (jnp.arange(width) - (width - 1) / 2)[None, :]
    a = matrix[:, :, :, None, None]
    row = a[:, 0, 0] * rows + a[:, 0, 1] * columns + a[:, 0, 2] + (height - 1) / 2
    column = a[:, 1, 0] * rows + a[:, 1, 1] * columns + a[:, 1, 2] + (width - 1) / 2
    # One pixel of filling all around: whatever lies further out reads that one.
    fill = jnp.asarray(fill, images.dtype)
    framed = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=fill)
    row, column = jnp.clip(row, -1, height) + 1, jnp.clip(column, -1, width) + 1
    top = jnp.minimum(jnp.floor(row), height).astype(jnp.int32)
    left = jnp.minimum(jnp.floor(column), width).astype(jnp.int32)
    example = jnp.arange(count)[:, None, None]
    corner = lambda down, right: framed[example, top + down, left + right].astype(jnp.float32)
    right_share, down_share = (column - left)[..., None], (row - top)[..., None]
    upper = _between(corner(0, 0), corner(0, 1), right_share)
    lower = _between(corner(1, 0), corner(1, 1), right_share)
    return _between(upper, lower, down_share).astype(images.dtype)


def brightened(images: jax.Array, factor: jax.Array) -> jax.Array:
    """`factor * x`, cut to [0, 1]."""
    return _blended(images, jnp.zeros((), jnp.float32), factor)


def contrasted(images: jax.Array, factor: jax.Array) -> jax.Array:
    """`m + factor * (x - m)` with m the image's mean brightness, cut to [0, 1]."""
    # The brightness of the mean colour is the mean brightness, and reads the image once.
    return _blended(images, gray(images.astype(jnp.float32).mean((1, 2), keepdims=True)), factor)


def saturated(images: jax.Array, factor: jax.Array) -> jax.Array:
    """`g + factor * (x - g)` with g the pixel's brightness, cut to [0, 1]."""
    return _blended(images, gray(images), factor)


def sharpened(images: jax.Array, factor: jax.Array) -> jax.Array:
    """`s + factor * (x - s)` with s the image smoothed by Pillow's filter, except at its edge, cut to [0, 1]."""
    wide = images.astype(jnp.float32)
    height, width = wide.shape[1:3]
    if min(height, width) < 3:
        return images
    part = lambda i, j: wide[:, i : height - 2 + i, j : width - 2 + j]
    total = sum(part(i, j) for i in range(3) for j in range(3)) + 4 * part(1, 1)
    return _blended(images, wide.at[:, 1:-1, 1:-1].set(total / 13), factor)


def turned(images: jax.Array, turn: jax.Array) -> jax.Array:
    """Hue turned by a share of the circle; (B, H, W, 3) in [0, 1]."""
    x = images.astype(jnp.float32)
    red, green, blue = x[..., 0], x[..., 1], x[..., 2]
    value, low = x.max(-1), x.min(-1)
    chroma = value - low
    safe = jnp.where(chroma > 0, chroma, 1.0)  # gray has no hue; nor may its gradient be a NaN
    sector = jnp.where(
        value == red,
        (green - blue) / safe,
        jnp.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    place = sector[..., None] + 6 * each(turn, images) + jnp.array([5.0, 3.0, 1.0])
    place = place - 6 * jnp.floor(place / 6)  # cheaper than `mod`
    changed = value[..., None] - chroma[..., None] * jnp.clip(jnp.minimum(place, 4 - place), 0, 1)
    return jnp.where(each(turn == 0, images), images, changed.astype(images.dtype))


def solarized(images: jax.Array, threshold: jax.Array) -> jax.Array:
    """`1 - x` from the threshold up."""
    return jnp.where(images >= each(threshold, images).astype(images.dtype), 1 - images, images)


def posterized(images: jax.Array, bits: jax.Array) -> jax.Array:
    """The highest of the eight bits of `round(255 x)`; with 8 the image as it is."""
    bits = jnp.clip(jnp.round(bits), 0, 8).astype(jnp.int32)
    dropped = each(8 - bits, images)
    kept = jnp.left_shift(jnp.right_shift(_levels(images), dropped), dropped)
    return jnp.where(dropped == 0, images, (kept / 255).astype(images.dtype))


def autocontrasted(images: jax.Array) -> jax.Array:
    """Each channel stretched to [0, 1]; a constant one stays."""
    x = images.astype(jnp.float32)
    low, high = x.min((1, 2), keepdims=True), x.max((1, 2), keepdims=True)
    is_flat = high <= low
    stretched = jnp.clip((x - low) / jnp.where(is_flat, 1.0, high - low), 0, 1)
    return jnp.where(is_flat, images, stretched.astype(images.dtype))


def equalized(images: jax.Array) -> jax.Array:
    """Each channel with its 256 levels spread so that all are about as frequent, by Pillow's integer rule."""
    count, height, width, channels = images.shape
    levels = _levels(images).transpose(0, 3, 1, 2).reshape(count * channels, height * width)
    of = jnp.arange(count * channels)[:, None]
    histogram = jnp.zeros((count * channels, 256), jnp.int32).at[of, levels].add(1)
    # The highest level that occurs does not count: what is beneath it is spread over the range.
    last = 255 - jnp.argmax(histogram[:, ::-1] > 0, axis=1)
    step = (height * width - jnp.take_along_axis(histogram, last[:, None], 1)) // 255  # (B * C, 1)
    beneath = jnp.cumsum(histogram, axis=1) - histogram
    table = jnp.clip((step // 2 + beneath) // jnp.maximum(step, 1), 0, 255)
    spread = jnp.take_along_axis(table, levels, 1).reshape(count, channels, height, width).transpose(0, 2, 3, 1)
    is_still = (step == 0).reshape(count, 1, 1, channels)
    return jnp.where(is_still, images, (spread / 255).astype(images.dtype))


def gray(images: jax.Array) -> jax.Array:
    """Brightness (B, H, W, 1) in float32: of three channels by ITU-R 601, otherwise their mean."""
    x = images.astype(jnp.float32)
    if x.shape[-1] != 3:
        return x.mean(-1, keepdims=True)
    return sum(share * x[..., i : i + 1] for i, share in enumerate(LUMA))  # pyright: ignore[reportReturnType]


def _blended(images: jax.Array, other: jax.Array, factor: jax.Array) -> jax.Array:
    factor = each(factor, images)
    mixed = jnp.clip(images.astype(jnp.float32) * factor + other * (1 - factor), 0, 1)
    return jnp.where(factor == 1, images, mixed.astype(images.dtype))


def _between(first: jax.Array, second: jax.Array, share: jax.Array) -> jax.Array:
    return first + share * (second - first)


def _levels(images: jax.Array) -> jax.Array:
    return jnp.clip(jnp.round(images.astype(jnp.float32) * 255), 0, 255).astype(jnp.int32)
