"""Norms whose statistics are each example's own: the batch does not matter. Float32 whatever the input's type."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.checks import expect_floating, expect_params, expect_positive
from dlcore.core import layer
from dlcore.layers._norm import affine, affine_shapes, moments, normalise


@layer
def rms_norm(*, epsilon: float = 1e-6, use_scale: bool = True) -> Any:
    """Root-mean-square norm over the last axis, `x / sqrt(mean(x^2) + epsilon) * scale`: a layer norm without centring.

    Args:
      epsilon: added to the mean square inside the root.
      use_scale: whether to learn `scale` (features,), from ones.

    Returns:
      A layer on (..., features).

    Source: Zhang and Sennrich, 2019.

    Example:
      >>> rms_norm(use_scale=False).apply({}, {}, jnp.array([[3.0, 4.0]]))[0].round(3).tolist()
      [[0.849, 1.131]]
    """

    def init(key: Any, x: Any) -> tuple[dict, dict]:
        expect_floating(x, "rms_norm")
        return affine(x, use_scale, False), {}

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        x = expect_floating(x, "rms_norm")
        expect_params(params, **({"scale": x.shape[-1:]} if use_scale else {}))
        wide = x.astype(np.promote_types(x.dtype, np.float32))
        square = jnp.square(wide).mean(-1, keepdims=True)
        return normalise(x, jnp.zeros_like(square), square, epsilon, params), state

    return init, apply


@layer
def group_norm(groups: int = 32, *, epsilon: float = 1e-6, use_scale: bool = True, use_offset: bool = True) -> Any:
    """Group norm: mean and variance of each example over all positions and the channels of a group.

    Between two others: with one group it is a layer norm over positions and channels together, with as many groups as
    channels an instance norm.

    Args:
      groups: number of groups, each of neighbouring channels; 32 as published.
      epsilon: added to the variance inside the root: 1e-6 as in Flax (PyTorch has 1e-5).
      use_scale: whether to learn `scale` (channels,), from ones.
      use_offset: whether to learn `offset` (channels,), from zeros.

    Returns:
      A layer on (B, ..., channels).

    Raises:
      ValueError: where the groups do not divide the channels, or hold one value, which would be 0 whatever it is.

    Source: Wu and He, 2018.

    Example:
      >>> x = jnp.arange(8.0).reshape(1, 2, 4)
      >>> params, state = group_norm(2).init(jax.random.key(0), x)
      >>> group_norm(2).apply(params, state, x)[0].reshape(2, 4).round(2).tolist()
      [[-1.21, -0.73, -1.21, -0.73], [0.73, 1.21, 0.73, 1.21]]
    """
    expect_positive(groups=groups)

    def check(x: Any) -> Any:
        x = expect_floating(x, "group_norm", 2)
        if x.shape[-1] % groups:
            raise ValueError(f"groups: expected a divisor of the {x.shape[-1]} channels, found {groups}")
        if np.prod(x.shape[1:]) == groups:
            raise ValueError(f"group_norm: x {tuple(x.shape)} has one value a group, whose norm is 0 whatever it is")
        return x

    def init(key: Any, x: Any) -> tuple[dict, dict]:
        return affine(check(x), use_scale, use_offset), {}

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        x = check(x)
        expect_params(params, **affine_shapes(x, use_scale, use_offset))
        split = x.reshape(*x.shape[:-1], groups, -1)
        axes = (*range(1, x.ndim - 1), x.ndim)  # positions, and the channels of a group
        y = normalise(split, *moments(split, axes, keepdims=True), epsilon, {})
        return _scaled(y.reshape(x.shape), params), state

    return init, apply


@layer
def instance_norm(*, epsilon: float = 1e-6, use_scale: bool = True, use_offset: bool = True) -> Any:
    """Instance norm: mean and variance of each channel of each example, over its positions.

    Args:
      epsilon: added to the variance inside the root.
      use_scale: whether to learn `scale` (channels,), from ones.
      use_offset: whether to learn `offset` (channels,), from zeros.

    Returns:
      A layer on (B, ..., channels) with one or more axes of positions.

    Raises:
      ValueError: for one position, whose norm would be 0 whatever it is.

    Source: Ulyanov, Vedaldi and Lempitsky, 2016.

    Example:
      >>> x = jnp.array([[[1.0, 5.0], [3.0, 5.0]]])  # one example, two positions, two channels
      >>> instance_norm(use_scale=False, use_offset=False).apply({}, {}, x)[0].round(3).tolist()
      [[[-1.0, 0.0], [1.0, 0.0]]]
    """

    def check(x: Any) -> Any:
        x = expect_floating(x, "instance_norm", 3)
        if np.prod(x.shape[1:-1]) == 1:
            raise ValueError(f"instance_norm: x {tuple(x.shape)} has one position, and its norm is 0 whatever it is")
        return x

    def init(key: Any, x: Any) -> tuple[dict, dict]:
        return affine(check(x), use_scale, use_offset), {}

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        x = check(x)
        expect_params(params, **affine_shapes(x, use_scale, use_offset))
        axes = tuple(range(1, x.ndim - 1))
        return normalise(x, *moments(x, axes, keepdims=True), epsilon, params), state

    return init, apply


def _scaled(y: jax.Array, params: Any) -> jax.Array:
    wide = y.astype(np.promote_types(y.dtype, np.float32))
    for name, change in (("scale", jnp.multiply), ("offset", jnp.add)):
        wide = change(wide, params[name]) if name in params else wide
    return wide.astype(y.dtype)
