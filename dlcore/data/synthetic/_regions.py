"""Classes that are regions of space: exclusive or, a checkerboard, Gaussian blobs."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from dlcore.data.synthetic._arguments import as_key, whole, within
from dlcore.data.synthetic._curves import balanced


def xor(key: Any, n: int, noise: Any = 0.0) -> dict[str, Array]:
    """Exclusive or: corners of the unit square, labelled by whether the two coordinates differ.

    Args:
        key: an int or a JAX key.
        n: how many points; static. All four corners are as frequent, up to one.
        noise: standard deviation of the Gaussian noise on both coordinates, 0 or more; the label is the corner's.

    Returns:
        `{"x": (n, 2) float32, "y": (n,) int32}`.

    Raises:
        TypeError: `n` is not an int.
        ValueError: `n` or `noise` is out of range.

    Source: Minsky and Papert, Perceptrons (1969).

    Example:
        >>> batch = xor(0, 4)
        >>> sorted(zip(batch["x"].tolist(), batch["y"].tolist()))
        [([0.0, 0.0], 0), ([0.0, 1.0], 1), ([1.0, 0.0], 1), ([1.0, 1.0], 0)]
    """
    within("xor noise", noise, 0)
    return _xor(as_key("xor", key), whole("xor n", n), noise)


def checkerboard(key: Any, n: int, cells: int = 4) -> dict[str, Array]:
    r"""Squares of a checkerboard on the unit square: $y = (\lfloor c x_0 \rfloor + \lfloor c x_1 \rfloor) \bmod 2$.

    Args:
        key: an int or a JAX key.
        n: how many points; static. Class 0 has `ceil(n / 2)` of them, in shuffled order.
        cells: squares along a side, 2 or more; static.

    Returns:
        `{"x": (n, 2) float32 in [0, 1), "y": (n,) int32}`.

    Raises:
        TypeError: `n` or `cells` is not an int.
        ValueError: `n` or `cells` is out of range.

    Source: Ho and Kleinberg, Building Projectable Classifiers of Arbitrary Complexity (1996).

    Example:
        >>> jnp.bincount(checkerboard(0, 100)["y"]).tolist()
        [50, 50]
    """
    n, cells = whole("checkerboard n", n), whole("checkerboard cells", cells, least=2)
    return _checkerboard(as_key("checkerboard", key), n, cells)


def blobs(key: Any, n: int, classes: int = 3, features: int = 2, std: Any = 1.0) -> dict[str, Array]:
    """Gaussian clouds around centres that are drawn uniformly from -10 to 10 in every feature, one class each.

    Args:
        key: an int or a JAX key; centres and points depend on it.
        n: how many points; static. Class sizes differ by at most one, in shuffled order.
        classes: how many clouds, 1 or more; static.
        features: how many coordinates a point has; static.
        std: standard deviation of every cloud in every feature; 0 or more.

    Returns:
        `{"x": (n, features) float32, "y": (n,) int32}`.

    Raises:
        TypeError: a size is not an int.
        ValueError: an argument is out of range.

    Source: scikit-learn's `make_blobs` (Pedregosa and others, 2011).

    Example:
        >>> batch = blobs(0, 60, classes=3, features=5)
        >>> batch["x"].shape, jnp.bincount(batch["y"]).tolist()
        ((60, 5), [20, 20, 20])
    """
    within("blobs std", std, 0)
    n, classes = whole("blobs n", n), whole("blobs classes", classes)
    features = whole("blobs features", features)
    return _blobs(as_key("blobs", key), n, classes, features, std)


# Compiled as one each: step by step their many small operations would each be compiled when first called.
@partial(jax.jit, static_argnames=("n",), inline=True)
def _xor(key: Any, n: int, noise: Any) -> dict[str, Array]:
    order, around = jax.random.split(key)
    corner = balanced(order, n, 4)
    bits = jnp.stack([corner // 2, corner % 2], axis=-1)  # (n, 2)
    x = bits.astype(jnp.float32) + noise * jax.random.normal(around, (n, 2))
    return {"x": x, "y": bits[:, 0] ^ bits[:, 1]}


@partial(jax.jit, static_argnames=("n", "cells"), inline=True)
def _checkerboard(key: Any, n: int, cells: int) -> dict[str, Array]:
    order, across, inside = jax.random.split(key, 3)
    labels = balanced(order, n, 2)
    # The squares of one colour are counted through: square q of colour y. Row by row, each has half of them, or the
    # colour of the corner one more where the side is odd.
    of_colour = jnp.where(labels == 0, (cells * cells + 1) // 2, cells * cells // 2)
    pick = jnp.minimum((jax.random.uniform(across, (n,)) * of_colour).astype(jnp.int32), of_colour - 1)
    colour = (jnp.arange(cells)[:, None] + jnp.arange(cells)) % 2  # (cells, cells)
    squares = jnp.argsort(colour.ravel(), stable=True)  # colour 0 first
    square = squares[pick + jnp.where(labels == 0, 0, (cells * cells + 1) // 2)]
    corner = jnp.stack([square // cells, square % cells], axis=-1)  # (n, 2)
    # Away from the edges by a hair, so that rounding moves no point into the neighbouring square.
    offset = jax.random.uniform(inside, (n, 2), minval=1e-3, maxval=1 - 1e-3)
    return {"x": (corner + offset) / cells, "y": labels}


@partial(jax.jit, static_argnames=("n", "classes", "features"), inline=True)
def _blobs(key: Any, n: int, classes: int, features: int, std: Any) -> dict[str, Array]:
    order, middle, around = jax.random.split(key, 3)
    labels = balanced(order, n, classes)
    centres = jax.random.uniform(middle, (classes, features), minval=-10, maxval=10)
    return {"x": centres[labels] + std * jax.random.normal(around, (n, features)), "y": labels}
