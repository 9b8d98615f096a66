"""Classes that lie along curves of the plane: half moons, circles, spirals."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from dlcore.data.synthetic._arguments import as_key, whole, within


def moons(key: Any, n: int, noise: Any = 0.1) -> dict[str, Array]:
    r"""Two half circles that reach into each other, one class each.

    Class 0 is $(\cos a, \sin a)$, class 1 is $(1 - \cos a, 1/2 - \sin a)$, with $a$ uniform on $[0, \pi]$.

    Args:
        key: an int or a JAX key.
        n: how many points; static. Class 0 has `ceil(n / 2)` of them, in shuffled order.
        noise: standard deviation of the Gaussian noise on both coordinates; 0 or more.

    Returns:
        `{"x": (n, 2) float32, "y": (n,) int32}`.

    Raises:
        TypeError: `n` is not an int.
        ValueError: `n` or `noise` is out of range.

    Source: scikit-learn's `make_moons` (Pedregosa and others, 2011).

    Example:
        >>> batch = moons(0, 100)
        >>> batch["x"].shape, jnp.bincount(batch["y"]).tolist()
        ((100, 2), [50, 50])
    """
    labels, place, shake = _drawn("moons", key, n, 2, noise)
    angle = jnp.pi * place
    first = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)  # (n, 2)
    second = jnp.stack([1 - jnp.cos(angle), 0.5 - jnp.sin(angle)], axis=-1)
    return {"x": jnp.where(labels[:, None] == 0, first, second) + shake, "y": labels}


def circles(key: Any, n: int, noise: Any = 0.05, factor: Any = 0.5) -> dict[str, Array]:
    r"""A small circle within a circle of radius 1, one class each; no straight line parts them.

    Class 0 is $(\cos a, \sin a)$, class 1 is `factor` times that, with $a$ uniform on $[0, 2\pi)$.

    Args:
        key: an int or a JAX key.
        n: how many points; static. Class 0 has `ceil(n / 2)` of them, in shuffled order.
        noise: standard deviation of the Gaussian noise on both coordinates; 0 or more.
        factor: radius of the inner circle, from 0 to below 1.

    Returns:
        `{"x": (n, 2) float32, "y": (n,) int32}`.

    Raises:
        TypeError: `n` is not an int.
        ValueError: `n`, `noise` or `factor` is out of range.

    Source: scikit-learn's `make_circles` (Pedregosa and others, 2011).

    Example:
        >>> batch = circles(0, 4, noise=0.0)
        >>> jnp.linalg.norm(batch["x"], axis=1).sort().round(3).tolist()
        [0.5, 0.5, 1.0, 1.0]
    """
    within("circles factor", factor, 0, 1, open_high=True)
    labels, place, shake = _drawn("circles", key, n, 2, noise)
    angle, radius = 2 * jnp.pi * place, jnp.where(labels == 0, 1.0, factor)
    return {"x": _polar(radius, angle) + shake, "y": labels}


def spirals(key: Any, n: int, classes: int = 2, turns: Any = 1.0, noise: Any = 0.02) -> dict[str, Array]:
    r"""Spiral arms that wind around each other, one class each.

    Class $c$ of $k$ is $r (\cos a, \sin a)$ with $a = 2\pi (t r + c / k)$, $t$ turns and $r$ uniform on $[0, 1]$.

    Args:
        key: an int or a JAX key.
        n: how many points; static. Class sizes differ by at most one, in shuffled order.
        classes: how many arms, 2 or more; static.
        turns: how often an arm goes around the origin; above 0.
        noise: standard deviation of the Gaussian noise on both coordinates; 0 or more.

    Returns:
        `{"x": (n, 2) float32, "y": (n,) int32}`.

    Raises:
        TypeError: `n` or `classes` is not an int.
        ValueError: an argument is out of range.

    Source: Lang and Witbrock, Learning to Tell Two Spirals Apart (1988).

    Example:
        >>> jnp.bincount(spirals(0, 90, classes=3)["y"]).tolist()
        [30, 30, 30]
    """
    within("spirals turns", turns, 0, open_low=True)
    labels, radius, shake = _drawn("spirals", key, n, whole("spirals classes", classes, least=2), noise)
    return {"x": _polar(radius, 2 * jnp.pi * (turns * radius + labels / classes)) + shake, "y": labels}


def balanced(key: Any, n: int, classes: int) -> Array:
    """Returns (n,) int32 labels in shuffled order whose counts differ by at most one."""
    return jax.random.permutation(key, jnp.arange(n, dtype=jnp.int32) % classes)


def _drawn(where: str, key: Any, n: int, classes: int, noise: Any) -> tuple[Array, Array, Array]:
    within(f"{where} noise", noise, 0)
    return _draw(as_key(where, key), whole(f"{where} n", n), classes, noise)


# Compiled as one: step by step its many small operations would each be compiled when it is first called.
@partial(jax.jit, static_argnames=("n", "classes"), inline=True)
def _draw(key: Any, n: int, classes: int, noise: Any) -> tuple[Array, Array, Array]:
    order, along, around = jax.random.split(key, 3)
    shake = noise * jax.random.normal(around, (n, 2))
    return balanced(order, n, classes), jax.random.uniform(along, (n,)), shake


def _polar(radius: Any, angle: Any) -> Array:
    return jnp.stack([radius * jnp.cos(angle), radius * jnp.sin(angle)], axis=-1)
