"""Rotations and affine maps at random, about the image's centre, between pixels bilinearly."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from dlcore.augment._batch import Augmentation, each, expect_strength, get_images, with_entries
from dlcore.augment._image import warp
from dlcore.augment._sealed import sealed
from dlcore.recipe import recipe


@recipe
def rotate(degrees: Any, fill: Any = 0.0) -> Augmentation:
    """Turns each image about its centre by an angle drawn from `[-degrees, degrees]`.

    Args:
      degrees: the largest angle, 0 or more; may be traced.
      fill: what comes in at the corners; may be traced.

    Returns:
      An augmentation of images (B, H, W, C).

    Raises:
      ValueError: for a negative angle.

    Source: Simard, Steinkraus and Platt, Best Practices for Convolutional Neural Networks, 2003.

    Example:
      >>> rotate(15)(jax.random.key(0), {"x": jnp.ones((2, 8, 8, 1))})["x"].shape
      (2, 8, 8, 1)
    """
    expect_strength("degrees", degrees)

    def augment(key: Any, batch: Any) -> dict[str, Any]:
        return with_entries(batch, x=_affine(key, get_images("rotate", batch), degrees, 0.0, 1.0, 1.0, 0.0, fill))

    return augment


@recipe
def affine(
    degrees: Any = 0.0,
    translate: Any = 0.0,
    scale: tuple[Any, Any] = (1.0, 1.0),
    shear: Any = 0.0,
    fill: Any = 0.0,
) -> Augmentation:
    """Shears, scales, turns and moves each image, in this order, about its centre.

    Args:
      degrees: the largest angle of the turn, 0 or more.
      translate: the largest move along either axis, as a share of the image's side, 0 or more.
      scale: the smallest and the largest factor, above 0.
      shear: the largest angle by which columns lean, in degrees, from 0 to 89.
      fill: what comes in from outside.

    All may be traced.

    Returns:
      An augmentation of images (B, H, W, C).

    Raises:
      ValueError: for what is out of range, and a scale that is no pair from low to high.

    Source: Simard, Steinkraus and Platt, Best Practices for Convolutional Neural Networks, 2003.

    Example:
      >>> wobble = affine(degrees=10, translate=0.1, scale=(0.9, 1.1), shear=5)
      >>> wobble(jax.random.key(0), {"x": jnp.ones((2, 8, 8, 1))})["x"].shape
      (2, 8, 8, 1)
    """
    expect_strength("degrees", degrees)
    expect_strength("translate", translate)
    expect_strength("shear", shear, 0, 89)
    if not isinstance(scale, tuple | list) or len(scale) != 2:
        raise ValueError(f"scale: expected the smallest and the largest factor, (0.9, 1.1), found {scale!r}")
    for factor in scale:
        expect_strength("scale", factor, 1e-3, 1e3)
    if not any(isinstance(factor, Tracer) for factor in scale) and scale[0] > scale[1]:
        raise ValueError(f"scale: expected the smallest factor first, found {scale}")

    def augment(key: Any, batch: Any) -> dict[str, Any]:
        x = get_images("affine", batch)
        return with_entries(batch, x=_affine(key, x, degrees, translate, *scale, shear, fill))

    return augment


def turn_matrix(angle: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns cosine and sine of angles in degrees, exact at multiples of 90."""
    quarter = jnp.round(angle / 90)
    rest = jnp.deg2rad(angle - 90 * quarter)
    cos, sin = jnp.cos(rest), jnp.sin(rest)
    turn = jnp.mod(quarter, 4)
    # A quarter more turns (cos, sin) into (-sin, cos).
    is_odd, sign = jnp.mod(turn, 2) == 1, jnp.where(turn >= 2, -1.0, 1.0)
    return sign * jnp.where(is_odd, -sin, cos), sign * jnp.where(is_odd, cos, sin)


def inverse_map(angle: jax.Array, down: jax.Array, right: jax.Array, scale: jax.Array, shear: jax.Array) -> jax.Array:
    """Returns matrices (B, 2, 3) from places of the result, (row, column) from the centre, to those of the source.

    Args:
      angle: counterclockwise, in degrees, (B,).
      down: in pixels, (B,).
      right: in pixels, (B,).
      scale: a factor, (B,).
      shear: tangent of the angle by which columns lean, (B,).
    """
    cos, sin = turn_matrix(angle)
    # Back by the turn, and then by the shear: column' = column + shear * row leaves rows where they are.
    rows, columns = (cos / scale, sin / scale), (-sin / scale, cos / scale)
    columns = (columns[0] - shear * rows[0], columns[1] - shear * rows[1])
    back = lambda row: jnp.stack([*row, -(row[0] * down + row[1] * right)], -1)
    return jnp.stack([back(rows), back(columns)], 1)


def warped(x: jax.Array, matrix: jax.Array, fill: Any) -> jax.Array:
    """Returns warped images, of which those that stay in place keep their bits."""
    is_still = jnp.all(matrix == jnp.eye(2, 3), axis=(1, 2))
    return jnp.where(each(is_still, x), x, warp(x, matrix, fill))


@sealed()
def _affine(
    key: Any, x: jax.Array, degrees: Any, translate: Any, smallest: Any, largest: Any, shear: Any, fill: Any
) -> jax.Array:
    count, height, width, _ = x.shape
    angle, down, right, lean, size = jax.random.uniform(key, (5, count), minval=-1)
    scale = smallest + (largest - smallest) * (size + 1) / 2
    down, right = down * translate * height, right * translate * width
    return warped(x, inverse_map(angle * degrees, down, right, scale, jnp.tan(jnp.deg2rad(lean * shear))), fill)
