"""RandAugment: a few of fourteen operations, all at one magnitude."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from dlcore.augment._batch import Augmentation, each, expect_count, expect_strength, get_images, with_entries
from dlcore.augment._image import (
    autocontrasted,
    brightened,
    contrasted,
    equalized,
    posterized,
    saturated,
    sharpened,
    solarized,
)
from dlcore.augment._sealed import sealed
from dlcore.augment._warp import inverse_map, warped
from dlcore.recipe import recipe

MAXIMUM = 30
# Its index in this list is an operation's number. The first five are one warp, with another matrix.
OPERATIONS = (
    *("rotate", "shear_x", "shear_y", "translate_x", "translate_y"),
    *("brightness", "color", "contrast", "sharpness"),
    *("posterize", "solarize", "autocontrast", "equalize", "identity"),
)


@recipe
def rand_augment(n: int = 2, magnitude: Any = 9, fill: Any = 0.0) -> Augmentation:
    """Applies n operations to each image, drawn with replacement from fourteen, all at one magnitude.

    With m = magnitude / 30: rotate by 30 m degrees; shear by 0.3 m; translate by 0.45 m of the side; brightness, color
    (saturation), contrast and sharpness by a factor of 1 + 0.9 m, all these of either sign; posterize to 8 - 4 m bits;
    solarize from 1 - m; autocontrast, equalize and identity, which have no magnitude. Warps are bilinear.

    Args:
      n: how many operations, 0 or more; decides on the program.
      magnitude: from 0 to 30; may be traced.
      fill: what warps bring in.

    Returns:
      An augmentation of images (B, H, W, 3) or (B, H, W, 1), with values in [0, 1].

    Raises:
      TypeError: for an n that is no integer.
      ValueError: for a magnitude out of range.

    Source: Cubuk, Zoph, Shlens and Le, RandAugment, 2020; the ranges are torchvision's.

    Example:
      >>> rand_augment(2, 9)(jax.random.key(0), {"x": jnp.full((2, 8, 8, 3), 0.5)})["x"].shape
      (2, 8, 8, 3)
    """
    n = expect_count("n", n)
    expect_strength("magnitude", magnitude, 0, MAXIMUM)

    def augment(key: Any, batch: Any) -> dict[str, Any]:
        x = get_images("rand_augment", batch, (1, 3))
        return with_entries(batch, x=_rand_augment(key, x, magnitude, fill, n=n))

    return augment


def apply_operation(x: jax.Array, operation: jax.Array, level: jax.Array, fill: Any) -> jax.Array:
    """Returns images, each after one operation.

    All operations are computed and one is selected: on accelerators a choice per example would do the same. Only the
    warps cost much, and they are one.

    Args:
      x: (B, H, W, C).
      operation: integers (B,), places in `OPERATIONS`.
      level: (B,) in [-1, 1]; the sign is a direction.
      fill: what warps bring in.
    """
    is_ = lambda name: operation == OPERATIONS.index(name)
    pick = lambda name, value: jnp.where(is_(name), value, 0.0)
    one, strength = jnp.ones_like(level), jnp.abs(level)
    matrix = inverse_map(
        pick("rotate", 30 * level),
        pick("translate_y", 0.45 * level * x.shape[1]),
        pick("translate_x", 0.45 * level * x.shape[2]),
        one,
        pick("shear_x", 0.3 * level),
    )
    matrix = matrix.at[:, 0, 1].add(pick("shear_y", -0.3 * level))
    factor = 1 + 0.9 * level
    results = {
        "rotate": warped(x, matrix, fill),
        "brightness": brightened(x, factor),
        "color": saturated(x, factor),
        "contrast": contrasted(x, factor),
        "sharpness": sharpened(x, factor),
        "posterize": posterized(x, 8 - jnp.round(4 * strength)),
        # Above 1 where nothing is to change: white is 1.
        "solarize": solarized(x, jnp.where(strength == 0, 2.0, 1 - strength)),
        "autocontrast": autocontrasted(x),
        "equalize": equalized(x),
    }
    for name, result in results.items():
        chosen = operation <= OPERATIONS.index("translate_y") if name == "rotate" else is_(name)
        x = jnp.where(each(chosen, x), result, x)
    return x


@sealed("n")
def _rand_augment(key: Any, x: jax.Array, magnitude: Any, fill: Any, *, n: int) -> jax.Array:
    def step(x: jax.Array, key: Any) -> tuple[jax.Array, None]:
        which, way = jax.random.split(key)
        operation = jax.random.randint(which, x.shape[:1], 0, len(OPERATIONS))
        sign = jnp.where(jax.random.bernoulli(way, 0.5, x.shape[:1]), 1.0, -1.0)
        return apply_operation(x, operation, sign * magnitude / MAXIMUM, fill), None

    # A loop, so that the program does not grow with n.
    return lax.scan(step, x, jax.random.split(key, n))[0] if n else x
