"""The cell of gated recurrent units."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore import ops
from dlcore.checks import expect_floating, expect_positive
from dlcore.core import layer
from dlcore.initializers import Initializer, lecun_normal, orthogonal, zeros
from dlcore.layers._cells import cell, draw_gates, prepare
from dlcore.ops._gru import gru_step


@layer
def gru_cell(
    features: int,
    *,
    reset_after: bool = True,
    kernel_init: Initializer = lecun_normal(),
    recurrent_init: Initializer = orthogonal(),
    bias_init: Initializer = zeros,
) -> Any:
    """Gated recurrent units, with the gates in the order r (reset), z (update), n (new), and `h'` as its output.

        r, z = sigmoid(of x @ kernel + bias + h @ recurrent_kernel + recurrent_bias)
        n    = tanh(x @ kernel + bias + r * (h @ recurrent_kernel + recurrent_bias))   reset after the product
        n    = tanh(x @ kernel + bias + (r * h) @ recurrent_kernel)                    reset before the product
        h'   = (1 - z) * n + z * h

    PyTorch's weights, transposed, and its two biases fit as they are. (Keras and ONNX order the gates z, r, n.)

    Args:
      features: size of the state h.
      reset_after: whether the reset comes after the product with `recurrent_kernel`, as in PyTorch, cuDNN and Keras
        (ONNX's `linear_before_reset=1`), which is one product a step; or before it, as in the paper's first version
        and ONNX's default, which is two. After it, the bias inside the reset is a parameter of its own.
      kernel_init: initializer of each gate's block (inputs, features) of `kernel` (inputs, 3 * features).
      recurrent_init: initializer of each gate's block of `recurrent_kernel` (features, 3 * features).
      bias_init: initializer of `bias` (3 * features,) and, with `reset_after`, `recurrent_bias` (3 * features,).

    Returns:
      A layer from (carry (..., features), x (..., inputs)) to (carry, y (..., features)); a carry of `None` is zeros.

    Raises:
      TypeError: for an input that is not floating.
      ValueError: for a carry of another shape.

    Source: Cho et al., 2014.

    Example:
      >>> from dlcore.layers import recurrent
      >>> params, state = recurrent(gru_cell(3)).init(jax.random.key(0), jnp.zeros((2, 5, 4)))
      >>> sorted(params)
      ['bias', 'kernel', 'recurrent_bias', 'recurrent_kernel']
      >>> recurrent(gru_cell(3)).apply(params, state, jnp.zeros((2, 5, 4)))[0].shape
      (2, 5, 3)
    """
    expect_positive(features=features)
    biases = ("bias", "recurrent_bias") if reset_after else ("bias",)

    def init(key: Any, carry: Any, x: Any) -> tuple[dict, dict]:
        expect_floating(x, "gru_cell")
        dtype = np.promote_types(x.dtype, np.float32)
        keys = jax.random.split(key, 4)
        return {
            "kernel": draw_gates(kernel_init, keys[0], 3, (x.shape[-1], features), dtype),
            "recurrent_kernel": draw_gates(recurrent_init, keys[1], 3, (features, features), dtype),
            **{name: bias_init(keys[2 + i], (3 * features,), dtype) for i, name in enumerate(biases)},
        }, {}

    def apply(params: Any, state: Any, carry: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        weights, h, x = prepare("gru_cell", (features, 3), params, carry, x, biases=biases)
        h = jnp.zeros((*x.shape[:-1], features), x.dtype) if h is None else h
        x = ops.linear(x, weights["kernel"]) + weights["bias"]
        h = gru_step(x, h, weights["recurrent_kernel"], weights.get("recurrent_bias"))
        return (h, h), state

    def over_time(params: Any, x: Any, carry: Any, mask: Any, reverse: bool) -> Any:
        weights, carry, x = prepare("gru_cell", (features, 3), params, carry, x, biases=biases, steps=True)
        return ops.gru(x, **weights, carry=carry, mask=mask, reverse=reverse)

    return cell(init, apply, over_time)
