"""Norms whose scale and offset come from another input, the style. Statistics are float32."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from dlcore.checks import expect_floating, expect_params
from dlcore.core import layer
from dlcore.layers._affine import expect_epsilon, expect_several, spatial_axes
from dlcore.ops import moments, standardise


@layer
def adain(*, epsilon: float = 1e-5) -> Any:
    """Adaptive instance normalisation, `(x - mean(x)) / std(x) * std(style) + mean(style)`, by example and channel.

    The content keeps its layout and takes on the statistics of the style. With `std = sqrt(var + epsilon)` on both
    sides (and biased variances; PyTorch's usual code has unbiased ones), `adain(x, x)` is `x`.

    Args:
      epsilon: added to the variances inside the roots.

    Returns:
      A layer of two inputs, x (B, *spatial, channels) and the style: features (B, *spatial, channels) of any image
      size, or their statistics, a pair (mean, std) of (B, channels) each, as a network may give them.

    Raises:
      TypeError: for inputs that are not floating.
      ValueError: for features with one spatial position, and for a style that does not fit x.

    Source: Huang and Belongie, 2017.

    Example:
      >>> x, mean, std = jnp.array([[[1.0], [3.0]]]), jnp.array([[10.0]]), jnp.array([[2.0]])
      >>> adain().apply({}, {}, x, (mean, std))[0].tolist()
      [[[8.0], [12.0]]]
    """
    expect_epsilon(epsilon)

    def init(key: Any, x: Any, style: Any) -> tuple[dict, dict]:
        _expect_features(x, "adain")
        return {}, {}

    def apply(
        params: Any, state: Any, x: Any, style: Any, *, key: Any = None, train: bool = False
    ) -> tuple[jax.Array, Any]:
        x = _expect_features(x, "adain")
        mean, var = moments(x, spatial_axes(x, "adain"), keepdims=True)
        if isinstance(style, tuple | list):
            if len(style) != 2:
                raise ValueError(
                    f"adain: expected a style of features or a pair (mean, std), found {len(style)} arrays"
                )
            shift, spread = (_by_channel(part, x, "adain, style (mean, std)") for part in style)
        else:
            style = _expect_features(style, "adain, style")
            if (style.shape[0], style.shape[-1]) != (x.shape[0], x.shape[-1]):
                raise ValueError(
                    f"adain: expected a style of the batch and channels of x {x.shape}, found {style.shape}"
                )
            shift, variance = moments(style, spatial_axes(style, "adain"))
            shift, spread = (_by_channel(part, x, "style") for part in (shift, jnp.sqrt(variance + epsilon)))
        return standardise(x, mean, var, epsilon=epsilon, scale=spread, offset=shift), state

    return init, apply


@layer
def adalin(initial: float = 1.0, *, epsilon: float = 1e-5) -> Any:
    """Adaptive layer-instance normalisation, `scale * (rho * instance(x) + (1 - rho) * layer(x)) + offset`.

    `instance` normalises each channel of an example, `layer` all its channels together, and `rho` learns, channel by
    channel, how much of which. The published code cuts `rho` to [0, 1] after each update; here it is cut where it is
    used, and its gradient passes through the cut, so that a `rho` beyond the bounds can come back.

    Args:
      initial: what `rho` starts from, in [0, 1]: 1 as published for the residual blocks of the decoder (the authors'
        code has .9), and 0 for its up-sampling blocks.
      epsilon: added to the variances, which are biased (the authors' code has unbiased ones), inside the roots.

    Returns:
      A layer of three inputs, x (B, *spatial, channels), `scale` and `offset` (B, channels), which a network computes
      from the style. It has the parameter `rho` (channels,).

    Raises:
      TypeError: for inputs that are not floating.
      ValueError: for an `initial` outside [0, 1], for one spatial position, and for a scale or offset of another shape.

    Source: Kim, Kim, Kang and Lee, 2020 (U-GAT-IT).

    Example:
      >>> x, scale, offset = jnp.array([[[1.0, 5.0], [3.0, 7.0]]]), jnp.array([[2.0, 2.0]]), jnp.array([[0.0, 1.0]])
      >>> params, state = adalin().init(jax.random.key(0), x, scale, offset)
      >>> adalin().apply(params, state, x, scale, offset)[0].tolist()
      [[[-2.0, -1.0], [2.0, 3.0]]]
    """
    expect_epsilon(epsilon)
    if not isinstance(initial, Tracer) and not 0 <= float(initial) <= 1:
        raise ValueError(f"initial: expected the share of instance normalisation, in [0, 1], found {initial}")

    def init(key: Any, x: Any, scale: Any, offset: Any) -> tuple[dict, dict]:
        _expect_features(x, "adalin")
        return {"rho": jnp.full(x.shape[-1:], initial, np.promote_types(x.dtype, np.float32))}, {}

    def apply(
        params: Any, state: Any, x: Any, scale: Any, offset: Any, *, key: Any = None, train: bool = False
    ) -> tuple[jax.Array, Any]:
        x = _expect_features(x, "adalin")
        expect_params(params, rho=x.shape[-1:])
        scale, offset = _by_channel(scale, x, "adalin, scale"), _by_channel(offset, x, "adalin, offset")
        wide, axes = x.astype(np.promote_types(x.dtype, np.float32)), spatial_axes(x, "adalin")
        instance, whole = (
            standardise(wide, *moments(wide, over, keepdims=True), epsilon=epsilon) for over in (axes, (*axes, -1))
        )
        rho = params["rho"].astype(wide.dtype)
        rho = rho + jax.lax.stop_gradient(jnp.clip(rho, 0, 1) - rho)
        return ((rho * instance + (1 - rho) * whole) * scale + offset).astype(x.dtype), state

    return init, apply


def _expect_features(x: Any, what: str) -> jax.Array:
    x = expect_floating(x, what)
    spatial_axes(x, what)
    expect_several(math.prod(x.shape[1:-1]), what, x, "Use a larger image, or give adain a (mean, std) as the style")
    return x


def _by_channel(value: Any, x: jax.Array, what: str) -> jax.Array:
    """Returns a (B, channels) array, wide, with axes of size 1 between."""
    value = expect_floating(value, what)
    if value.shape != (x.shape[0], x.shape[-1]):
        raise ValueError(f"{what}: expected (B, channels) of x {x.shape}, found {value.shape}")
    wide = value.astype(np.promote_types(x.dtype, np.float32))
    return wide.reshape(x.shape[0], *(1 for _ in x.shape[1:-1]), x.shape[-1])
