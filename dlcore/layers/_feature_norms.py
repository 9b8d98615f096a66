"""Normalisation over the features of each example. Statistics are float32 whatever the input's type."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.checks import expect_floating, expect_params
from dlcore.core import layer
from dlcore.layers._affine import affine, expect_epsilon, expect_several, named
from dlcore.ops import moments, standardise


@layer
def layer_norm(
    *, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, use_scale: bool = True, use_offset: bool = True
) -> Any:
    """Layer normalisation over the last axis, `(x - mean) / sqrt(var + epsilon) * scale + offset`.

    Every example (and position) has statistics of its own, so the batch does not matter.

    Args:
      axis: the axis or axes that are normalised together, counted with the batch: the last one by default, and
        (-3, -2, -1) for all of an image (H, W, C).
      epsilon: added to the variance inside the root: 1e-6 as in Flax (PyTorch has 1e-5).
      use_scale: whether to learn `scale` (features,), from ones; it has the sizes of all normalised axes.
      use_offset: whether to learn `offset` (features,), from zeros.

    Returns:
      A layer on (..., features).

    Raises:
      TypeError: for an input that is not floating.
      ValueError: for an axis that is not there, and for one value to normalise: its variance is zero whatever it is.

    Source: Ba, Kiros and Hinton, 2016.

    Example:
      >>> params, state = layer_norm().init(jax.random.key(0), jnp.zeros((2, 4)))
      >>> layer_norm().apply(params, state, jnp.array([[1.0, 2.0, 3.0, 4.0]]))[0].tolist()
      [[-1.34, -0.45, 0.45, 1.34]]
    """
    expect_epsilon(epsilon)

    def sizes(x: Any) -> tuple[int, ...]:
        shape = tuple(x.shape[a] for a in _axes(x, axis))
        expect_several(math.prod(shape), "layer norm", x, "Use more features, other axes, or rms_norm")
        return shape

    def init(key: Any, x: Any) -> tuple[dict, dict]:
        expect_floating(x, "layer_norm")
        return affine(sizes(x), x.dtype, use_scale, use_offset), {}

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        x = expect_floating(x, "layer_norm")
        axes, shape = _axes(x, axis), sizes(x)
        expect_params(params, **named(shape, shape, use_scale, use_offset))
        return standardise(x, *moments(x, axes, keepdims=True), epsilon=epsilon, **_along(axes, x, params)), state

    return init, apply


@layer
def rms_norm(*, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, use_scale: bool = True) -> Any:
    """Normalisation by the root of the mean square over the last axis, `x / sqrt(mean(x^2) + epsilon) * scale`.

    It is `layer_norm` without the mean and the offset. Unlike that it does not forget a shift of all features.

    Args:
      axis: the axis or axes that are normalised together, counted with the batch; the last one by default.
      epsilon: added to the mean square inside the root: 1e-6 as in Flax and LLaMA (PyTorch has the smallest step of
        the input's type, and the paper has none).
      use_scale: whether to learn `scale` (features,), from ones; it has the sizes of all normalised axes. (Gemma learns
        the difference from one instead.)

    Returns:
      A layer on (..., features). Scaling is in float32 too; the output is rounded once.

    Raises:
      TypeError: for an input that is not floating.
      ValueError: for an axis that is not there.

    Source: Zhang and Sennrich, 2019.

    Example:
      >>> params, state = rms_norm().init(jax.random.key(0), jnp.zeros((2, 2)))
      >>> rms_norm().apply(params, state, jnp.array([[1.0, 7.0], [0.0, 0.0]]))[0].tolist()
      [[0.2, 1.4], [0.0, 0.0]]
    """
    expect_epsilon(epsilon)

    def init(key: Any, x: Any) -> tuple[dict, dict]:
        axes = _axes(expect_floating(x, "rms_norm"), axis)
        return affine(tuple(x.shape[a] for a in axes), x.dtype, use_scale, False), {}

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        x = expect_floating(x, "rms_norm")
        axes = _axes(x, axis)
        expect_params(params, **named(tuple(x.shape[a] for a in axes), (), use_scale, False))
        wide = x.astype(np.promote_types(x.dtype, np.float32))
        factor = jax.lax.rsqrt(jnp.square(wide).mean(axes, keepdims=True) + epsilon)
        for scale in _along(axes, x, params).values():
            factor = factor * scale.astype(factor.dtype)
        return (wide * factor).astype(x.dtype), state

    return init, apply


def _axes(x: Any, axis: int | Sequence[int]) -> tuple[int, ...]:
    """Returns the axes in order, counted from the end."""
    axes, rank = (axis,) if isinstance(axis, int) else tuple(axis), len(x.shape)
    found = {a - rank if a >= 0 else a for a in axes}
    if not axes or len(found) < len(axes) or any(not -rank <= a < 0 for a in found):
        raise ValueError(f"axis: expected one or more different axes of x {tuple(x.shape)}, found {axis}")
    return tuple(sorted(found))


def _along(axes: tuple[int, ...], x: jax.Array, params: dict[str, Any]) -> dict[str, jax.Array]:
    """Returns the params with axes of size 1 for those of x that have no place in them."""
    if axes[-1] - axes[0] == len(axes) - 1 and axes[-1] == -1:
        return params
    shape = [x.shape[a] if a in axes else 1 for a in range(axes[0], 0)]
    return {name: leaf.reshape(shape) for name, leaf in params.items()}
