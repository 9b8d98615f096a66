"""The cell of long short-term memory."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore import ops
from dlcore.checks import expect_floating, expect_positive
from dlcore.core import layer
from dlcore.initializers import Initializer, lecun_normal, orthogonal, zeros
from dlcore.layers._cells import cell, draw_gates, prepare
from dlcore.ops._lstm import lstm_parts, lstm_step


@layer
def lstm_cell(
    features: int,
    *,
    forget_bias: Any = 1.0,
    kernel_init: Initializer = lecun_normal(),
    recurrent_init: Initializer = orthogonal(),
    bias_init: Initializer = zeros,
) -> Any:
    """Long short-term memory, `i, f, g, o = x @ kernel + h @ recurrent_kernel + bias`, with `h'` as its output.

        c' = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h' = sigmoid(o) * tanh(c')

    The gates lie side by side in the order i, f, g, o: PyTorch's weights, transposed, and its two biases added, fit as
    they are, and so do Keras's. (ONNX has i, o, f, c.)

    Args:
      features: size of h and of c.
      forget_bias: what init adds to the bias of f, so that a fresh cell remembers: 1 as in Keras (Jozefowicz et al.,
        2015), where Flax has 0 and PyTorch small random numbers. It is in the params, and is not added when applied.
      kernel_init: initializer of each gate's block (inputs, features) of `kernel` (inputs, 4 * features).
      recurrent_init: initializer of each gate's block of `recurrent_kernel` (features, 4 * features).
      bias_init: initializer of `bias` (4 * features,), before `forget_bias`.

    Returns:
      A layer from (carry (h, c), x (..., inputs)) to (carry, y), with h, c and y (..., features); a carry of `None` is
      zeros.

    Raises:
      TypeError: for an input that is not floating.
      ValueError: for a carry of another shape.

    Source: Hochreiter and Schmidhuber, 1997; forget gate: Gers, Schmidhuber and Cummins, 2000.

    Example:
      >>> from dlcore.layers import recurrent
      >>> params, state = recurrent(lstm_cell(3)).init(jax.random.key(0), jnp.zeros((2, 5, 4)))
      >>> params["kernel"].shape, params["bias"].tolist()
      ((4, 12), [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
      >>> recurrent(lstm_cell(3)).apply(params, state, jnp.zeros((2, 5, 4)))[0].shape
      (2, 5, 3)
    """
    expect_positive(features=features)

    def init(key: Any, carry: Any, x: Any) -> tuple[dict, dict]:
        expect_floating(x, "lstm_cell")
        dtype = np.promote_types(x.dtype, np.float32)
        keys = jax.random.split(key, 3)
        bias = bias_init(keys[2], (4 * features,), dtype)
        return {
            "kernel": draw_gates(kernel_init, keys[0], 4, (x.shape[-1], features), dtype),
            "recurrent_kernel": draw_gates(recurrent_init, keys[1], 4, (features, features), dtype),
            "bias": bias.at[features : 2 * features].add(jnp.asarray(forget_bias, dtype)),
        }, {}

    def ready(params: Any, carry: Any, x: Any, steps: bool = False) -> Any:
        if carry is not None and (not isinstance(carry, tuple | list) or len(carry) != 2):
            raise ValueError(f"lstm_cell: expected a carry (h, c), found {type(carry).__name__}")
        return prepare("lstm_cell", (features, 4), params, carry, x, steps=steps)

    def apply(params: Any, state: Any, carry: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        weights, carry, x = ready(params, carry, x)
        parts = lstm_parts(**weights)
        z = [ops.linear(x, part.kernel) + part.bias for part in parts]  # pyright: ignore[reportArgumentType]
        if carry is None:
            carry = (jnp.zeros_like(z[0]),) * 2
        else:
            z = [one + carry[0] @ part.recurrent for one, part in zip(z, parts, strict=True)]
        carry = lstm_step(tuple(z), carry)[0]
        return (carry, carry[0]), state

    def over_time(params: Any, x: Any, carry: Any, mask: Any, reverse: bool) -> Any:
        weights, carry, x = ready(params, carry, x, steps=True)
        return ops.lstm(x, **weights, carry=carry, mask=mask, reverse=reverse)

    return cell(init, apply, over_time)
