"""Activations with parameters of their own: PReLU, maxout, and gates with two projections."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore import activations
from dlcore.checks import expect_floating, expect_params, expect_positive
from dlcore.compose import Call, compose
from dlcore.core import Layer, layer
from dlcore.initializers import Initializer, lecun_normal, zeros
from dlcore.layers._dense import dense


@layer
def prelu(initial: float = 0.25) -> Any:
    """Parametric ReLU, `x` for `x >= 0` and `slope * x` below, with one slope a channel that is learned.

    Args:
      initial: what the slopes start from; the paper's .25. Weight decay would pull them to ReLU: leave them out of it.

    Returns:
      A layer on (..., channels) with the parameter `slope` (channels,).

    Source: He, Zhang, Ren and Sun, Delving Deep into Rectifiers, 2015.

    Example:
      >>> params, state = prelu().init(jax.random.key(0), jnp.zeros((1, 2)))
      >>> prelu().apply(params, state, jnp.array([[-1.0, 2.0]]))[0].tolist()
      [[-0.25, 2.0]]
    """

    def init(key: Any, x: Any) -> tuple[dict, dict]:
        expect_floating(x, "prelu")
        return {"slope": jnp.full(x.shape[-1:], initial, np.promote_types(x.dtype, np.float32))}, {}

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        x = expect_floating(x, "prelu")
        expect_params(params, slope=x.shape[-1:])
        return activations.prelu(x, params["slope"]), state

    return init, apply


@layer
def maxout(
    features: int,
    pieces: int = 2,
    *,
    use_bias: bool = True,
    kernel_init: Initializer = lecun_normal(),
    bias_init: Initializer = zeros,
) -> Layer:
    """Maxout, the largest of `pieces` linear maps of the input: a convex activation that is learned.

    Args:
      features: size of the output.
      pieces: linear maps for each of them.
      use_bias: whether the maps have biases.
      kernel_init: initializer of `kernel` (inputs, features * pieces).
      bias_init: initializer of `bias`.

    Returns:
      A layer from (..., inputs) to (..., features).

    Source: Goodfellow, Warde-Farley, Mirza, Courville and Bengio, 2013.

    Example:
      >>> params, state = maxout(3, 4).init(jax.random.key(0), jnp.zeros((1, 2)))
      >>> params["projection"]["kernel"].shape, maxout(3, 4).apply(params, state, jnp.zeros((1, 2)))[0].shape
      ((2, 12), (1, 3))
    """
    expect_positive(features=features, pieces=pieces)
    projection = dense(features * pieces, use_bias=use_bias, kernel_init=kernel_init, bias_init=bias_init)

    def largest(call: Call, x: Any) -> Any:
        return activations.maxout(call.projection(x), pieces)

    return compose(largest, projection=projection)


@layer
def gated_dense(
    features: int,
    activation: Callable[[jax.Array], jax.Array] = activations.sigmoid,
    *,
    use_bias: bool = True,
    kernel_init: Initializer = lecun_normal(),
    bias_init: Initializer = zeros,
) -> Layer:
    """Gated linear unit with two projections, `(x V + c) * activation(x W + b)`.

    With the sigmoid it is GLU, with `relu` ReGLU, with `gelu` GEGLU, with `silu` SwiGLU. (One projection of twice the
    size, and `layers.glu()` after it, is the same.)

    Args:
      features: size of the output.
      activation: of the gate.
      use_bias: whether both have biases.
      kernel_init: initializer of both kernels (inputs, features).
      bias_init: initializer of both biases.

    Returns:
      A layer from (..., inputs) to (..., features), with the children `value` and `gate`.

    Source: Dauphin, Fan, Auli and Grangier, 2017; Shazeer, GLU Variants Improve Transformer, 2020.

    Example:
      >>> layer = gated_dense(3, activations.silu)
      >>> params, state = layer.init(jax.random.key(0), jnp.zeros((1, 2)))
      >>> sorted(params), layer.apply(params, state, jnp.zeros((1, 2)))[0].shape
      (['gate', 'value'], (1, 3))
    """
    options: dict[str, Any] = {"use_bias": use_bias, "kernel_init": kernel_init, "bias_init": bias_init}

    def gated(call: Call, x: Any) -> Any:
        return call.value(x) * activation(call.gate(x))

    return compose(gated, value=dense(features, **options), gate=dense(features, **options))
