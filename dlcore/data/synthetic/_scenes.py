"""Scenes: several digits on one black image, with their boxes, labels and pixels."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.core import Tracer

from dlcore.data.synthetic._arguments import as_key, whole


def digit_scenes(key: Any, images: Any, labels: Any, n: int, size: int = 32, count: int = 3) -> dict[str, Array]:
    """Scenes of `count` digits at random places of a black square, none of which overlap.

    The rule: a scene is cut into the fewest equal square cells, `g * g` with `g = ceil(sqrt(count))`, that give each
    digit a cell of its own. Cells are drawn without replacement, and within its cell a digit lies anywhere with equal
    chance. So no two can overlap, however many there are, and no draw is ever repeated. What remains at the right and
    lower edge where `size` is no multiple of `g` is shared out at random between both sides.

    Args:
        key: an int or a JAX key; it draws which digits, in which cells and where in them.
        images: (N, h, w) or (N, h, w, 1) digits, ink above 0, for instance those of `dl.data.digits().train["x"]`.
        labels: (N,) integer classes.
        n: how many scenes; static.
        size: height and width of a scene in pixels; static.
        count: digits in a scene; static.

    Returns:
        `{"x": (n, size, size, 1) float32, "y": (n, count) int32, "boxes": (n, count, 4) float32, "masks": (n, size,
        size) int32}`. A box is `(ymin, xmin, ymax, xmax)` in pixels, the least that holds all ink of its digit, the
        maxima just behind it: `scene[ymin:ymax, xmin:xmax]`. A pixel of the mask is `i + 1` on the ink of digit
        `i` of its scene and 0 elsewhere.

    Raises:
        TypeError: a size is not an int, or labels are not integers.
        ValueError: shapes disagree, a cell is smaller than a digit, or an image has no ink.

    Source: Sabour, Frosst and Hinton, Dynamic Routing Between Capsules (2017), for scenes of several digits.

    Example:
        >>> from dlcore.data import digits
        >>> scenes = digit_scenes(0, digits().train["x"], digits().train["y"], n=2, size=32, count=3)
        >>> scenes["x"].shape, scenes["y"].shape, scenes["boxes"].shape, scenes["masks"].shape
        ((2, 32, 32, 1), (2, 3), (2, 3, 4), (2, 32, 32))
    """
    n, size, count = (
        whole(f"digit_scenes {name}", value) for name, value in (("n", n), ("size", size), ("count", count))
    )
    images, labels = _checked(images, labels)
    height, width = images.shape[1:]
    grid = math.isqrt(count - 1) + 1
    if size // grid < max(height, width):
        raise ValueError(
            f"digit_scenes size: {count} digits of {height} by {width} pixels need {grid} * {grid} cells and so a "
            f"scene of {grid * max(height, width)} pixels or more, found {size}"
        )
    return _scenes(as_key("digit_scenes", key), images, labels, n, size, count, grid)


# Compiled as one: step by step its many small operations would each be compiled when it is first called.
@partial(jax.jit, static_argnames=("n", "size", "count", "grid"), inline=True)
def _scenes(key: Any, images: Array, labels: Array, n: int, size: int, count: int, grid: int) -> dict[str, Array]:
    height, width = images.shape[1:]
    cell = size // grid
    free = jnp.array([cell - height, cell - width])

    def scene(key: Array) -> dict[str, Array]:
        which, where, place, slack = jax.random.split(key, 4)
        rows = jax.random.randint(which, (count,), 0, len(images))
        digits = images[rows]  # (count, h, w)
        cells = jax.random.permutation(where, grid * grid)[:count]
        corner = jnp.stack([cells // grid, cells % grid], axis=-1) * cell
        corner = corner + jax.random.randint(place, (count, 2), 0, free + 1)
        corner = corner + jax.random.randint(slack, (2,), 0, size - grid * cell + 1)
        empty = jnp.zeros((size, size), images.dtype)
        paste = lambda digit, at: lax.dynamic_update_slice(empty, digit, (at[0], at[1]))
        layers = jax.vmap(paste)(digits, corner)  # (count, size, size)
        ink = layers > 0
        masks = jnp.sum(ink * jnp.arange(1, count + 1)[:, None, None], axis=0, dtype=jnp.int32)
        boxes = jax.vmap(_box)(ink)
        return {"x": layers.sum(axis=0)[..., None], "y": labels[rows], "boxes": boxes, "masks": masks}

    return jax.vmap(scene)(jax.random.split(key, n))


def _box(ink: Array) -> Array:
    """Returns (ymin, xmin, ymax, xmax) of the true pixels of a (size, size) mask."""
    ends = []
    for along in (ink.any(axis=1), ink.any(axis=0)):
        ends.append((jnp.argmax(along), len(along) - jnp.argmax(along[::-1])))
    (top, bottom), (left, right) = ends
    return jnp.stack([top, left, bottom, right]).astype(jnp.float32)


def _checked(images: Any, labels: Any) -> tuple[Array, Array]:
    images, labels = jnp.asarray(images), jnp.asarray(labels)
    shape = images.shape
    if images.ndim == 4 and shape[-1] == 1:
        images = images[..., 0]
    if images.ndim != 3 or not images.size:
        raise ValueError(f"digit_scenes images: expected (N, h, w) or (N, h, w, 1), found {shape}")
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"digit_scenes labels: expected integers, found {labels.dtype}; pass labels.astype('int32')")
    if labels.shape != shape[:1]:
        raise ValueError(f"digit_scenes labels: expected shape {shape[:1]} as images have rows, found {labels.shape}")
    if not isinstance(images, Tracer):
        blank = ~(np.asarray(images) > 0).any(axis=(1, 2))
        if blank.any():
            row = int(np.argmax(blank))
            raise ValueError(f"digit_scenes images: expected ink (above 0) in every image, found none in row {row}")
    return images.astype(jnp.float32), labels.astype(jnp.int32)
