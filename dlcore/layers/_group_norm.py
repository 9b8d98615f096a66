"""Normalisation over the positions of each example, by channel or by group of channels. Statistics are float32."""

import math
from typing import Any

import jax

from dlcore.checks import expect_floating, expect_params, expect_positive
from dlcore.core import layer
from dlcore.layers._affine import affine, expect_epsilon, expect_several, named, spatial_axes
from dlcore.ops import moments, standardise


@layer
def instance_norm(*, epsilon: float = 1e-5, use_scale: bool = True, use_offset: bool = True) -> Any:
    """Instance normalisation, `(x - mean) / sqrt(var + epsilon) * scale + offset`, of each channel of each example.

    The statistics are those of one channel of one example, over its spatial axes, in training and evaluation alike.

    Args:
      epsilon: added to the variance inside the root: 1e-5 as published and in PyTorch (Flax has 1e-6).
      use_scale: whether to learn `scale` (channels,), from ones, as in Flax (PyTorch learns neither by default).
      use_offset: whether to learn `offset` (channels,), from zeros.

    Returns:
      A layer on (B, *spatial, channels).

    Raises:
      TypeError: for an input that is not floating.
      ValueError: for an input without spatial axes, or with one position: the output would be the offset.

    Source: Ulyanov, Vedaldi and Lempitsky, 2016.

    Example:
      >>> import jax.numpy as jnp
      >>> params, state = instance_norm().init(jax.random.key(0), jnp.zeros((1, 2, 2)))
      >>> instance_norm().apply(params, state, jnp.array([[[1.0, 20.0], [3.0, 60.0]]]))[0].tolist()
      [[[-1.0, -1.0], [1.0, 1.0]]]
    """
    expect_epsilon(epsilon)

    def init(key: Any, x: Any) -> tuple[dict, dict]:
        _expect_positions(expect_floating(x, "instance_norm"))
        return affine(x.shape[-1:], x.dtype, use_scale, use_offset), {}

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[jax.Array, Any]:
        x = expect_floating(x, "instance_norm")
        expect_params(params, **named(x.shape[-1:], x.shape[-1:], use_scale, use_offset))
        mean, var = moments(x, _expect_positions(x), keepdims=True)
        return standardise(x, mean, var, epsilon=epsilon, **params), state

    return init, apply


@layer
def group_norm(groups: int, *, epsilon: float = 1e-5, use_scale: bool = True, use_offset: bool = True) -> Any:
    """Group normalisation, `(x - mean) / sqrt(var + epsilon) * scale + offset`, of each group of channels.

    The statistics are those of one group of neighbouring channels of one example, over its spatial axes. It lies
    between `layer_norm` over (H, W, C), with one group, and `instance_norm`, with as many groups as channels; its scale
    and offset are by channel in all cases.

    Args:
      groups: number of groups, which divides the channels: 32 in the paper.
      epsilon: added to the variance inside the root: 1e-5 as in PyTorch (Flax has 1e-6).
      use_scale: whether to learn `scale` (channels,), from ones.
      use_offset: whether to learn `offset` (channels,), from zeros.

    Returns:
      A layer on (B, *spatial, channels), with any number of spatial axes.

    Raises:
      TypeError: for an input that is not floating.
      ValueError: for groups that do not divide the channels, and for groups of one value: the output would be the
        offset.

    Source: Wu and He, 2018.

    Example:
      >>> import jax.numpy as jnp
      >>> params, state = group_norm(2).init(jax.random.key(0), jnp.zeros((1, 4)))
      >>> group_norm(2).apply(params, state, jnp.array([[1.0, 3.0, 20.0, 60.0]]))[0].tolist()
      [[-1.0, 1.0, -1.0, 1.0]]
    """
    expect_positive(groups=groups)
    expect_epsilon(epsilon)

    def init(key: Any, x: Any) -> tuple[dict, dict]:
        _expect_groups(expect_floating(x, "group_norm", axes=2), groups)
        return affine(x.shape[-1:], x.dtype, use_scale, use_offset), {}

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[jax.Array, Any]:
        x = expect_floating(x, "group_norm", axes=2)
        expect_params(params, **named(x.shape[-1:], x.shape[-1:], use_scale, use_offset))
        side_by_side = _expect_groups(x, groups)
        split = x.reshape(*x.shape[:-1], *side_by_side)
        mean, var = moments(split, (*range(1, x.ndim - 1), x.ndim), keepdims=True)
        weights = {name: leaf.reshape(side_by_side) for name, leaf in params.items()}
        return standardise(split, mean, var, epsilon=epsilon, **weights).reshape(x.shape), state

    return init, apply


def _expect_positions(x: Any) -> tuple[int, ...]:
    """Returns the spatial axes, which hold two positions or more."""
    axes = spatial_axes(x, "instance_norm")
    expect_several(math.prod(x.shape[1:-1]), "instance norm", x, "Use a larger image, group_norm or layer_norm")
    return axes


def _expect_groups(x: Any, groups: int) -> tuple[int, int]:
    """Returns number and size of the groups of channels, which hold two values or more."""
    channels, shape = x.shape[-1], tuple(x.shape)
    if channels % groups:
        raise ValueError(f"groups: expected a divisor of the {channels} channels of x {shape}, found {groups}")
    expect_several(math.prod(shape[1:]) // groups, "group norm", x, "Use fewer groups, or a larger image")
    return groups, channels // groups
