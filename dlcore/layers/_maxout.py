"""Units that are the largest of several linear ones."""

from typing import Any

import jax

from dlcore import activations
from dlcore.checks import expect_positive
from dlcore.core import layer
from dlcore.initializers import Initializer, lecun_normal, zeros
from dlcore.layers._dense import dense


@layer
def maxout(
    features: int,
    pieces: int = 2,
    *,
    use_bias: bool = True,
    kernel_init: Initializer = lecun_normal(),
    bias_init: Initializer = zeros,
) -> Any:
    """Maxout, `y_f = max_p (x @ kernel + bias)_fp`: each unit is the largest of several linear ones.

    The activation is part of the layer: a convex function of `pieces` straight lines, which is learnt. (The plain
    function is `dlcore.activations.maxout`.)

    Args:
      features: number of outputs.
      pieces: how many linear units each output has; the layer has as many times the parameters of a dense one.
      use_bias: whether to add a bias.
      kernel_init: initializer of `kernel` (inputs, features * pieces), the pieces of a feature side by side.
      bias_init: initializer of `bias` (features * pieces,).

    Returns:
      A layer from (..., inputs) to (..., features).

    Raises:
      TypeError: for an input that is not floating.
      ValueError: for sizes that are not positive, and for a number of inputs that does not fit the params.

    Source: Goodfellow, Warde-Farley, Mirza, Courville and Bengio, 2013.

    Example:
      >>> import jax.numpy as jnp
      >>> params, state = maxout(3, 2).init(jax.random.key(0), jnp.zeros((2, 4)))
      >>> params["kernel"].shape, maxout(3, 2).apply(params, state, jnp.zeros((2, 4)))[0].shape
      ((4, 6), (2, 3))
    """
    expect_positive(features=features, pieces=pieces)
    linear = dense(features * pieces, use_bias=use_bias, kernel_init=kernel_init, bias_init=bias_init)

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[jax.Array, Any]:
        y, state = linear.apply(params, state, x)
        return activations.maxout(y, pieces), state

    return linear.init, apply
