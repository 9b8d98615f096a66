"""Whole pixels moved: flips, shifts and crops, without interpolation."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer

from dlcore.augment._batch import (
    Augmentation,
    draw_whole,
    each,
    expect_count,
    expect_strength,
    get_images,
    with_entries,
)
from dlcore.augment._sealed import sealed
from dlcore.recipe import recipe


@recipe
def flip(probability: Any = 0.5, axis: Literal["horizontal", "vertical"] = "horizontal") -> Augmentation:
    """Mirrors each image with a probability.

    Args:
      probability: in [0, 1]; may be traced.
      axis: "horizontal" exchanges left and right, "vertical" top and bottom.

    Returns:
      An augmentation of images (B, H, W, C).

    Raises:
      ValueError: for a probability out of range and for an unknown axis.

    Source: Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep Convolutional Neural Networks, 2012.

    Example:
      >>> flip(1.0)(jax.random.key(0), {"x": jnp.arange(3.0).reshape(1, 1, 3, 1)})["x"].ravel().tolist()
      [2.0, 1.0, 0.0]
    """
    expect_strength("probability", probability, 0, 1)
    if axis not in ("horizontal", "vertical"):
        raise ValueError(f"axis: expected 'horizontal' or 'vertical', found {axis!r}")

    def augment(key: Any, batch: Any) -> dict[str, Any]:
        x = get_images("flip", batch)
        return with_entries(batch, x=_flip(key, x, probability, axis=2 if axis == "horizontal" else 1))

    return augment


@recipe
def shift(pixels: Any, fill: Any = 0.0) -> Augmentation:
    """Moves each image by whole pixels, up to `pixels` either way, along both axes.

    Args:
      pixels: the largest move, whole; a fraction is cut off. 0 or more; may be traced.
      fill: what comes in at the edges; may be traced.

    Returns:
      An augmentation of images (B, H, W, C).

    Raises:
      ValueError: for a negative number of pixels.

    Source: Simard, Steinkraus and Platt, Best Practices for Convolutional Neural Networks, 2003.

    Example:
      >>> shift(2)(jax.random.key(0), {"x": jnp.ones((4, 8, 8, 1))})["x"].shape
      (4, 8, 8, 1)
    """
    expect_strength("pixels", pixels)

    def augment(key: Any, batch: Any) -> dict[str, Any]:
        x = get_images("shift", batch)
        # A known number pads, and cuts a window; that takes less time, and moves the same.
        is_small = not isinstance(pixels, Tracer) and pixels < min(x.shape[1:3])
        return with_entries(batch, x=_shift(key, x, pixels, fill, padding=int(pixels) if is_small else None))

    return augment


@recipe
def crop(padding: int, mode: Literal["constant", "edge", "reflect"] = "constant") -> Augmentation:
    """Pads each image on all sides and cuts a window of the old size out of it, at random.

    With zeros it is `shift(padding)`; "reflect" leaves no edge that a network could see.

    Args:
      padding: pixels on each side, 0 or more; decides on shapes, so it cannot be traced.
      mode: what the padding is: zeros, the nearest pixel, or a reflection.

    Returns:
      An augmentation of images (B, H, W, C).

    Raises:
      TypeError: for a padding that is no integer.
      ValueError: for a negative padding, an unknown mode, and a reflection wider than the image.

    Source: He, Zhang, Ren and Sun, Deep Residual Learning, 2016, section 4.2 (4 pixels, zeros).

    Example:
      >>> crop(4)(jax.random.key(0), {"x": jnp.ones((2, 8, 8, 3))})["x"].shape
      (2, 8, 8, 3)
    """
    padding = expect_count("padding", padding)
    if mode not in ("constant", "edge", "reflect"):
        raise ValueError(f"mode: expected 'constant', 'edge' or 'reflect', found {mode!r}")

    def augment(key: Any, batch: Any) -> dict[str, Any]:
        x = get_images("crop", batch)
        if mode == "reflect" and padding >= min(x.shape[1:3]):
            raise ValueError(f"padding: expected less than the sides {x.shape[1:3]} to reflect, found {padding}")
        return with_entries(batch, x=_crop(key, x, padding=padding, mode=mode))

    return augment


@sealed("axis")
def _flip(key: Any, x: jax.Array, probability: Any, *, axis: int) -> jax.Array:
    chosen = jax.random.uniform(key, x.shape[:1]) < probability
    return jnp.where(each(chosen, x), jnp.flip(x, axis), x)


@sealed("padding")
def _shift(key: Any, x: jax.Array, pixels: Any, fill: Any, *, padding: int | None) -> jax.Array:
    count, height, width, channels = x.shape
    pixels = jnp.floor(jnp.asarray(pixels, jnp.float32))
    down, right = draw_whole(key, -pixels, 2 * pixels + 1, (2, count))
    if padding is not None:
        return _window(x, padding - jnp.stack([down, right], 1), padding, constant_values=jnp.asarray(fill, x.dtype))
    # A roll of the flat image, and then only what did not come round: faster than gathers by row and column.
    size = height * width * channels
    twice = jnp.tile(x.reshape(count, size), (1, 2))
    # Moves of an image's side or more leave nothing of it; kept small, their product cannot overflow.
    offsets = jnp.clip(down, -height, height) * width + jnp.clip(right, -width, width)
    start = jnp.mod(-offsets * channels, max(size, 1))
    rolled = jax.vmap(lambda image, at: lax.dynamic_slice(image, (at,), (size,)))(twice, start).reshape(x.shape)
    is_row = _is_within(jnp.arange(height) - down[:, None], height)[:, :, None, None]
    is_column = _is_within(jnp.arange(width) - right[:, None], width)[:, None, :, None]
    return jnp.where(is_row & is_column, rolled, jnp.asarray(fill, x.dtype))


@sealed("padding", "mode")
def _crop(key: Any, x: jax.Array, *, padding: int, mode: str) -> jax.Array:
    return _window(x, draw_whole(key, 0, 2 * padding + 1, (len(x), 2)), padding, mode=mode)


def _window(x: jax.Array, corners: jax.Array, padding: int, **filling: Any) -> jax.Array:
    padded = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)), **filling)
    return jax.vmap(lambda image, at: lax.dynamic_slice(image, (*at, 0), x.shape[1:]))(padded, corners)


def _is_within(place: jax.Array, size: int) -> jax.Array:
    return (place >= 0) & (place < size)
