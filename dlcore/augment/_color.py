"""Colours, brightness and tones."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from dlcore.augment._batch import Augmentation, expect_strength, get_images, with_entries
from dlcore.augment._image import (
    autocontrasted,
    brightened,
    contrasted,
    equalized,
    posterized,
    saturated,
    solarized,
    turned,
)
from dlcore.augment._sealed import sealed
from dlcore.recipe import recipe


@recipe
def color(brightness: Any = 0.0, contrast: Any = 0.0, saturation: Any = 0.0, hue: Any = 0.0) -> Augmentation:
    """Changes brightness, contrast, saturation and hue of each image, in this order.

    A strength s means a factor drawn from `[max(0, 1 - s), 1 + s]`; the hue is turned by a share of the circle drawn
    from `[-s, s]`. Results are cut to [0, 1].

    Args:
      brightness: 0 or more.
      contrast: 0 or more.
      saturation: 0 or more; gray images have none.
      hue: from 0 to 0.5.

    All may be traced.

    Returns:
      An augmentation of images (B, H, W, 3) or (B, H, W, 1), with values in [0, 1].

    Raises:
      ValueError: for what is out of range, and where saturation or hue are asked of gray images.

    Source: Howard, Some Improvements on Deep Convolutional Neural Network Based Image Classification, 2013; the ranges
      are torchvision's `ColorJitter`.

    Example:
      >>> color(0.4, 0.4)(jax.random.key(0), {"x": jnp.full((2, 8, 8, 1), 0.5)})["x"].shape
      (2, 8, 8, 1)
    """
    for name, value in (("brightness", brightness), ("contrast", contrast), ("saturation", saturation)):
        expect_strength(name, value)
    expect_strength("hue", hue, 0, 0.5)

    def augment(key: Any, batch: Any) -> dict[str, Any]:
        x = get_images("color", batch, (1, 3))
        known = {name: v for name, v in (("saturation", saturation), ("hue", hue)) if not isinstance(v, Tracer)}
        if x.shape[3] == 1 and any(known.values()):
            raise ValueError(f"color: expected images of 3 channels for {' and '.join(known)}, found {x.shape}")
        return with_entries(batch, x=_color(key, x, brightness, contrast, saturation, hue))

    return augment


@recipe
def solarize(threshold: Any = 0.5) -> Augmentation:
    """Inverts what is bright: `1 - x` where `x >= threshold`.

    It draws nothing: `sometimes(solarize(0.5), 0.2)` does it at random.

    Args:
      threshold: 0 or more; above 1 nothing changes. May be traced.

    Returns:
      An augmentation of images (B, H, W, C), with values in [0, 1].

    Raises:
      ValueError: for a negative threshold.

    Source: Cubuk, Zoph, Mané, Vasudevan and Le, AutoAugment, 2019; Pillow's `ImageOps.solarize`.

    Example:
      >>> solarize(0.5)(jax.random.key(0), {"x": jnp.array([0.25, 0.75]).reshape(1, 1, 2, 1)})["x"].ravel().tolist()
      [0.25, 0.25]
    """
    expect_strength("threshold", threshold)
    return _plain("solarize", _solarize, threshold)


@recipe
def posterize(bits: Any = 4) -> Augmentation:
    """Keeps the highest of the eight bits of each value.

    It draws nothing: `sometimes(posterize(4), 0.2)` does it at random.

    Args:
      bits: how many, from 0 to 8, which is the image as it is; rounded; may be traced.

    Returns:
      An augmentation of images (B, H, W, C), with values in [0, 1].

    Raises:
      ValueError: for a number out of range.

    Source: Cubuk, Zoph, Mané, Vasudevan and Le, AutoAugment, 2019; Pillow's `ImageOps.posterize`.

    Example:
      >>> x = jnp.array([0.2, 0.9]).reshape(1, 1, 2, 1)
      >>> (255 * posterize(1)(jax.random.key(0), {"x": x})["x"]).ravel().tolist()
      [0.0, 128.0]
    """
    expect_strength("bits", bits, 0, 8)
    return _plain("posterize", _posterize, bits)


@recipe
def equalize() -> Augmentation:
    """Spreads the 256 levels of each channel so that all are about as frequent.

    It draws nothing: `sometimes(equalize(), 0.2)` does it at random. It has no gradient but zero.

    Returns:
      An augmentation of images (B, H, W, C), with values in [0, 1].

    Source: Cubuk, Zoph, Mané, Vasudevan and Le, AutoAugment, 2019; Pillow's `ImageOps.equalize`.

    Example:
      >>> equalize()(jax.random.key(0), {"x": jnp.ones((2, 8, 8, 3))})["x"].shape
      (2, 8, 8, 3)
    """
    return _plain("equalize", _equalize)


@recipe
def autocontrast() -> Augmentation:
    """Stretches each channel to [0, 1], `(x - min) / (max - min)`; a constant one stays as it is.

    It draws nothing: `sometimes(autocontrast(), 0.2)` does it at random.

    Returns:
      An augmentation of images (B, H, W, C).

    Source: Cubuk, Zoph, Mané, Vasudevan and Le, AutoAugment, 2019; Pillow's `ImageOps.autocontrast`, which rounds.

    Example:
      >>> x = jnp.array([0.25, 0.375, 0.5]).reshape(1, 1, 3, 1)
      >>> autocontrast()(jax.random.key(0), {"x": x})["x"].ravel().tolist()
      [0.0, 0.5, 1.0]
    """
    return _plain("autocontrast", _autocontrast)


def _plain(name: str, function: Any, *strengths: Any) -> Augmentation:
    def augment(key: Any, batch: Any) -> dict[str, Any]:
        return with_entries(batch, x=function(get_images(name, batch), *strengths))

    augment.__name__ = name
    return augment


@sealed()
def _color(key: Any, x: jax.Array, brightness: Any, contrast: Any, saturation: Any, hue: Any) -> jax.Array:
    draws = jax.random.uniform(key, (4, len(x)))

    def factor(draw: jax.Array, strength: Any) -> jax.Array:
        low = jnp.maximum(0.0, 1 - strength)
        return jnp.where(strength == 0, 1.0, low + draw * (1 + strength - low))

    x = contrasted(brightened(x, factor(draws[0], brightness)), factor(draws[1], contrast))
    if x.shape[-1] == 1:
        return x
    return turned(saturated(x, factor(draws[2], saturation)), (2 * draws[3] - 1) * hue)


@sealed()
def _solarize(x: jax.Array, threshold: Any) -> jax.Array:
    return solarized(x, jnp.full(len(x), threshold))


@sealed()
def _posterize(x: jax.Array, bits: Any) -> jax.Array:
    return posterized(x, jnp.full(len(x), bits, jnp.float32))


@sealed()
def _equalize(x: jax.Array) -> jax.Array:
    return equalized(x)


@sealed()
def _autocontrast(x: jax.Array) -> jax.Array:
    return autocontrasted(x)
