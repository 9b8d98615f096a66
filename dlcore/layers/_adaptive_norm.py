"""Norms whose scale and offset come from elsewhere: a style."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from dlcore.checks import expect_floating, expect_params
from dlcore.core import layer
from dlcore.layers._norm import moments, normalise


@layer
def adain(*, epsilon: float = 1e-5) -> Any:
    """Adaptive instance norm, `deviation(style) * (x - mean(x)) / deviation(x) + mean(style)`, channel by channel.

    The content keeps its pattern and takes on the mean and the spread of the style.

    Args:
      epsilon: added to both variances inside the roots; 1e-5 as in the paper's code.

    Returns:
      A layer from (x (B, ..., channels), style (B, ..., channels)) to the shape of x; the two may differ in positions.

    Raises:
      ValueError: where examples or channels of the two differ.

    Source: Huang and Belongie, Arbitrary Style Transfer in Real-time, 2017.

    Example:
      >>> x, style = jnp.array([[[0.0], [2.0]]]), jnp.array([[[10.0], [30.0]]])
      >>> adain().apply({}, {}, x, style)[0].round(2).tolist()
      [[[10.0], [30.0]]]
    """

    def check(x: Any, style: Any) -> tuple[Any, Any]:
        x, style = expect_floating(x, "adain", 3), expect_floating(style, "adain", 3)
        if (x.shape[0], x.shape[-1]) != (style.shape[0], style.shape[-1]):
            raise ValueError(f"adain: expected a style ({x.shape[0]}, ..., {x.shape[-1]}), found {tuple(style.shape)}")
        return x, style

    def init(key: Any, x: Any, style: Any) -> tuple[dict, dict]:
        check(x, style)
        return {}, {}

    def apply(params: Any, state: Any, x: Any, style: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        x, style = check(x, style)
        mean, var = moments(style, tuple(range(1, style.ndim - 1)))  # (B, channels)
        own = moments(x, tuple(range(1, x.ndim - 1)), keepdims=True)
        wide = mean.reshape(len(mean), *[1] * (x.ndim - 2), -1), var.reshape(len(var), *[1] * (x.ndim - 2), -1)
        y = normalise(x.astype(mean.dtype), *own, epsilon, {})
        return (y * jnp.sqrt(wide[1] + epsilon) + wide[0]).astype(x.dtype), state

    return init, apply


@layer
def adalin(*, epsilon: float = 1e-5, initial: float = 0.9) -> Any:
    """Adaptive layer-instance norm, `gamma * (rho * instance(x) + (1 - rho) * layer(x)) + beta`.

    Args:
      epsilon: added to the variances inside the roots.
      initial: what `rho` (channels,) starts from; .9, nearly an instance norm, as published. It is kept in [0, 1].

    Returns:
      A layer from (x (B, ..., channels), gamma (B, channels), beta (B, channels)) to the shape of x.

    Raises:
      ValueError: for gamma or beta of another shape, and an initial rho outside [0, 1].

    Source: Kim, Kim, Kang and Lee, U-GAT-IT, 2020.

    Example:
      >>> import jax
      >>> x, ones = jnp.array([[[0.0], [2.0]]]), jnp.ones((1, 1))
      >>> params, state = adalin().init(jax.random.key(0), x, ones, ones)
      >>> adalin().apply(params, state, x, ones, 0 * ones)[0].round(2).tolist()
      [[[-1.0], [1.0]]]
    """
    if not 0 <= initial <= 1:
        raise ValueError(f"initial: expected a share in [0, 1], found {initial}")

    def check(x: Any, gamma: Any, beta: Any) -> Any:
        x, wanted = expect_floating(x, "adalin", 3), (x.shape[0], x.shape[-1])
        for name, given in (("gamma", gamma), ("beta", beta)):
            if jnp.shape(given) != wanted:
                raise ValueError(f"adalin: expected {name} (B, channels) = {wanted}, found {jnp.shape(given)}")
        return x

    def init(key: Any, x: Any, gamma: Any, beta: Any) -> tuple[dict, dict]:
        x = check(x, gamma, beta)
        return {"rho": jnp.full(x.shape[-1:], initial, np.promote_types(x.dtype, jnp.float32))}, {}

    def apply(
        params: Any, state: Any, x: Any, gamma: Any, beta: Any, *, key: Any = None, train: bool = False
    ) -> tuple[Any, Any]:
        x = check(x, gamma, beta)
        expect_params(params, rho=x.shape[-1:])
        wide = x.astype(np.promote_types(x.dtype, jnp.float32))
        rho = jnp.clip(params["rho"], 0, 1).astype(wide.dtype)
        instance, whole = (
            normalise(wide, *moments(wide, tuple(range(1, last)), keepdims=True), epsilon, {})
            for last in (x.ndim - 1, x.ndim)
        )
        gamma, beta = (jnp.asarray(one, wide.dtype).reshape(len(x), *[1] * (x.ndim - 2), -1) for one in (gamma, beta))
        return (gamma * (rho * instance + (1 - rho) * whole) + beta).astype(x.dtype), state

    return init, apply
