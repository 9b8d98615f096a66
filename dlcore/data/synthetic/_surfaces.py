"""Surfaces with a long narrow valley, and points on them: what makes gradient descent slow, as regression."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from dlcore.data.synthetic._arguments import as_key, whole, within


def valley(x: Array, condition: Any = 100.0) -> Array:
    r"""An ill-conditioned quadratic, $f(x) = \frac12 \sum_i \lambda_i x_i^2$.

    The curvatures $\lambda_i = \kappa^{-i / (d - 1)}$ fall evenly, on a logarithmic scale, from 1 to $1 / \kappa$.

    Args:
        x: (..., d) points, d at least 2.
        condition: the condition number $\kappa$ of the Hessian, 1 or more.

    Returns:
        (...) heights.

    Raises:
        ValueError: `condition` is below 1, or d below 2.

    Source: Goh, Why Momentum Really Works (2017).

    Example:
        >>> valley(jnp.array([[1.0, 0.0], [0.0, 1.0]]), condition=10.0).tolist()
        [0.5, 0.05]
    """
    within("valley condition", condition, 1)
    x = _points("valley", x)
    exponents = jnp.arange(x.shape[-1]) / (x.shape[-1] - 1)  # (d,)
    return 0.5 * jnp.sum(jnp.asarray(condition, x.dtype) ** -exponents * x**2, axis=-1)


def rosenbrock(x: Array, curvature: Any = 100.0) -> Array:
    r"""Rosenbrock's banana, $f(x) = \sum_i b (x_{i+1} - x_i^2)^2 + (1 - x_i)^2$, least, 0, at $(1, ..., 1)$.

    Args:
        x: (..., d) points, d at least 2.
        curvature: the steepness $b$ of the sides of the valley, above 0.

    Returns:
        (...) heights.

    Raises:
        ValueError: `curvature` is not above 0, or d below 2.

    Source: Rosenbrock, An Automatic Method for Finding the Greatest or Least Value of a Function (1960).

    Example:
        >>> rosenbrock(jnp.array([[1.0, 1.0], [0.0, 0.0], [-1.0, 2.0]])).tolist()
        [0.0, 1.0, 104.0]
    """
    within("rosenbrock curvature", curvature, 0, open_low=True)
    x = _points("rosenbrock", x)
    return jnp.sum(curvature * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1 - x[..., :-1]) ** 2, axis=-1)


def ravine(
    key: Any,
    n: int,
    features: int = 2,
    *,
    surface: Callable[[Array], Array] = valley,
    reach: Any = 2.0,
    noise: Any = 0.0,
) -> dict[str, Array]:
    """Points of a surface with a long narrow valley: its heights are the targets.

    Args:
        key: an int or a JAX key.
        n: how many points; static.
        features: how many coordinates a point has, 2 or more; static.
        surface: the height of points (n, features): `valley`, `rosenbrock`, or a function of the caller's.
        reach: points are uniform from `-reach` to `reach` in every coordinate; above 0.
        noise: standard deviation of the Gaussian noise on the heights; 0 or more.

    Returns:
        `{"x": (n, features) float32, "y": (n, 1) float32}`.

    Raises:
        TypeError: a size is not an int.
        ValueError: an argument is out of range, or `surface` does not give one height a point.

    Source: `valley` and `rosenbrock`.

    Example:
        >>> batch = ravine(0, 8, surface=rosenbrock)
        >>> batch["x"].shape, batch["y"].shape
        ((8, 2), (8, 1))
    """
    within("ravine reach", reach, 0, open_low=True)
    within("ravine noise", noise, 0)
    n, features = whole("ravine n", n), whole("ravine features", features, least=2)
    where, around = jax.random.split(as_key("ravine", key))
    x = reach * jax.random.uniform(where, (n, features), minval=-1.0)
    heights = surface(x)
    if heights.shape != (n,):
        raise ValueError(f"ravine surface: expected heights of shape ({n},) of {n} points, found {heights.shape}")
    return {"x": x, "y": (heights + noise * jax.random.normal(around, (n,)))[:, None]}


def _points(where: str, x: Any) -> Array:
    x = jnp.asarray(x)
    if x.ndim == 0 or x.shape[-1] < 2:
        raise ValueError(f"{where} x: expected points (..., d) with d at least 2, found shape {x.shape}")
    return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.float32)
