"""Long short-term memory over a whole sequence."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from dlcore.ops._over_time import Cell, Weights, run, sigmoid, with_time_first
from dlcore.ops._recurrence_shapes import expect_recurrence

__all__ = ["lstm", "lstm_parts", "lstm_step"]

Carry = tuple[jax.Array, jax.Array]


def lstm(
    x: jax.Array,
    kernel: jax.Array,
    recurrent_kernel: jax.Array,
    bias: jax.Array,
    carry: Carry | None = None,
    mask: jax.Array | None = None,
    *,
    reverse: bool = False,
) -> tuple[Carry, jax.Array]:
    """Long short-term memory, `i, f, g, o = x @ kernel + h @ recurrent_kernel + bias` step by step.

        c' = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h' = sigmoid(o) * tanh(c')

    The gates lie side by side in the order i, f, g, o, as in PyTorch and Keras. (ONNX has i, o, f, c.) The inputs'
    products, and the gradients of both kernels, are large products outside of the loop over time. It can be
    differentiated forwards, backwards and again, and mapped.

    Args:
        x: (B, T, ..., inputs), floating.
        kernel: (inputs, 4 * features).
        recurrent_kernel: (features, 4 * features).
        bias: (4 * features,).
        carry: h and c before the first step, each (B, ..., features); zeros by default.
        mask: (B, T), boolean; where it is false the carry is kept and the output is zero.
        reverse: whether to run from the last step to the first; outputs stay in the order of the inputs.

    Returns:
        The carry (h, c) after all steps, and h after each, (B, T, ..., features).

    Raises:
        ValueError: arrays whose sizes do not fit together.

    Source: Hochreiter and Schmidhuber, 1997; forget gate: Gers, Schmidhuber and Cummins, 2000.

    Example:
        >>> (h, c), y = lstm(jnp.ones((2, 5, 3)), jnp.ones((3, 16)), jnp.ones((4, 16)), jnp.zeros(16))
        >>> h.shape, c.shape, y.shape
        ((2, 4), (2, 4), (2, 5, 4))
    """
    weights = {"kernel": kernel, "recurrent_kernel": recurrent_kernel, "bias": bias}
    zeros = expect_recurrence("lstm", 4, x, mask, **weights)

    def loop(x: jax.Array, carry: Carry, valid: Any, reverse: bool) -> Any:
        return run(_CELL, reverse, x, lstm_parts(kernel, recurrent_kernel, bias), carry, valid)

    return with_time_first(loop, x, (zeros, zeros) if carry is None else tuple(carry), mask, reverse)


def lstm_parts(kernel: jax.Array, recurrent_kernel: jax.Array, bias: jax.Array) -> tuple[Weights, ...]:
    """The weights of the gates i, f, g and o apart.

    With one product for all four, the way back would put their gradients side by side at each step, and on CPU that
    takes as long as half the product. XLA vectorises no tanh of a slice there either.
    """
    split = (jnp.split(one, 4, -1) for one in (kernel, recurrent_kernel, bias))
    return tuple(Weights(*gate) for gate in zip(*split, strict=True))


def lstm_step(z: tuple[jax.Array, ...], carry: Carry) -> tuple[Carry, Any]:
    """One step from what goes into the functions of i, f, g and o: the new carry, and what `_tangent` needs."""
    i, f, g, o = sigmoid(z[0]), sigmoid(z[1]), jnp.tanh(z[2]), sigmoid(z[3])
    c = f * carry[1] + i * g
    return (o * jnp.tanh(c), c), (i, f, g, o, carry[1])


@functools.partial(jax.checkpoint, prevent_cse=False)  # the gates are kept for the way back, and nothing made of them
def _tangent(slopes: Any, z_dot: tuple[jax.Array, ...], carry_dot: Carry) -> Carry:
    (i, f, g, o, before), (i_dot, f_dot, g_dot, o_dot) = slopes, z_dot
    squashed = jnp.tanh(f * before + i * g)
    c_dot = f * carry_dot[1] + before * f * (1 - f) * f_dot + g * i * (1 - i) * i_dot + i * (1 - g * g) * g_dot
    return squashed * o * (1 - o) * o_dot + o * (1 - squashed * squashed) * c_dot, c_dot


_CELL = Cell(lstm_step, _tangent)
