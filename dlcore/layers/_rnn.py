"""Elman's recurrent cell."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from dlcore import ops
from dlcore.activations import tanh
from dlcore.checks import expect_floating, expect_positive
from dlcore.core import layer
from dlcore.initializers import Initializer, glorot_uniform, lecun_normal, zeros
from dlcore.layers._cells import cell, prepare


@layer
def rnn_cell(
    features: int,
    *,
    activation: Callable[..., Any] = tanh,
    kernel_init: Initializer = lecun_normal(),
    recurrent_init: Initializer = glorot_uniform(),
    bias_init: Initializer = zeros,
) -> Any:
    """Elman's recurrent cell, `h' = activation(x @ kernel + h @ recurrent_kernel + bias)`, with `h'` as its output.

    Args:
      features: size of the state h.
      activation: an elementwise function of arrays. With `relu` the state may grow without bound: start from
        `recurrent_init=identity()` (Le, Jaitly and Hinton, 2015) and clip gradients.
      kernel_init: initializer of `kernel` (inputs, features).
      recurrent_init: initializer of `recurrent_kernel` (features, features).
      bias_init: initializer of `bias` (features,). (It is the sum of PyTorch's two.)

    Returns:
      A layer from (carry (..., features), x (..., inputs)) to (carry, y (..., features)); a carry of `None` is zeros.

    Raises:
      TypeError: for an input that is not floating.
      ValueError: for a carry of another shape.

    Source: Elman, 1990.

    Example:
      >>> import jax.numpy as jnp
      >>> cell = rnn_cell(3)
      >>> params, state = cell.init(jax.random.key(0), None, jnp.zeros((2, 4)))
      >>> (carry, y), state = cell.apply(params, state, None, jnp.zeros((2, 4)))
      >>> carry.shape, y.shape
      ((2, 3), (2, 3))
    """
    expect_positive(features=features)
    if not callable(activation):
        raise TypeError(f"activation: expected a function of arrays such as jnp.tanh, found {activation!r}")

    def init(key: Any, carry: Any, x: Any) -> tuple[dict, dict]:
        expect_floating(x, "rnn_cell")
        dtype = np.promote_types(x.dtype, np.float32)
        keys = jax.random.split(key, 3)
        return {
            "kernel": kernel_init(keys[0], (x.shape[-1], features), dtype),
            "recurrent_kernel": recurrent_init(keys[1], (features, features), dtype),
            "bias": bias_init(keys[2], (features,), dtype),
        }, {}

    def apply(params: Any, state: Any, carry: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        weights, carry, x = prepare("rnn_cell", (features, 1), params, carry, x)
        h = ops.linear(x, weights["kernel"]) + weights["bias"]
        if carry is not None:
            h = h + carry @ weights["recurrent_kernel"]
        h = activation(h)
        return (h, h), state

    def over_time(params: Any, x: Any, carry: Any, mask: Any, reverse: bool) -> Any:
        weights, carry, x = prepare("rnn_cell", (features, 1), params, carry, x, steps=True)
        return ops.rnn(x, **weights, carry=carry, mask=mask, activation=activation, reverse=reverse)

    return cell(init, apply, over_time)
