"""Gated recurrent units over a whole sequence, with the reset before or after the product."""

from typing import Any

import jax
import jax.numpy as jnp

from dlcore.ops._linear import linear
from dlcore.ops._over_time import Cell, Weights, run, scan_steps, sigmoid, with_time_first
from dlcore.ops._recurrence_shapes import expect_recurrence

__all__ = ["gru", "gru_step"]


def gru(
    x: jax.Array,
    kernel: jax.Array,
    recurrent_kernel: jax.Array,
    bias: jax.Array,
    recurrent_bias: jax.Array | None = None,
    carry: jax.Array | None = None,
    mask: jax.Array | None = None,
    *,
    reverse: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """Gated recurrent units, with gates in the order r (reset), z (update), n (new) side by side, as in PyTorch.

        r, z = sigmoid(of x @ kernel + bias + h @ recurrent_kernel + recurrent_bias)
        n    = tanh(x @ kernel + bias + r * (h @ recurrent_kernel + recurrent_bias))   with a recurrent bias
        n    = tanh(x @ kernel + bias + (r * h) @ recurrent_kernel)                    without
        h'   = (1 - z) * n + z * h

    With a recurrent bias the reset comes after the product (PyTorch, cuDNN, Keras; ONNX's `linear_before_reset=1`),
    and without one before it (the paper's first version; ONNX's default). Keras and ONNX order the gates z, r, n.

    Args:
        x: (B, T, ..., inputs), floating.
        kernel: (inputs, 3 * features).
        recurrent_kernel: (features, 3 * features).
        bias: (3 * features,).
        recurrent_bias: (3 * features,); zeros put the reset after the product too.
        carry: h before the first step, (B, ..., features); zeros by default.
        mask: (B, T), boolean; where it is false the carry is kept and the output is zero.
        reverse: whether to run from the last step to the first; outputs stay in the order of the inputs.

    Returns:
        h after all steps, and after each, (B, T, ..., features).

    Raises:
        ValueError: arrays whose sizes do not fit together.

    Source: Cho et al., 2014.

    Example:
        >>> h, y = gru(jnp.ones((2, 5, 3)), jnp.ones((3, 12)), jnp.ones((4, 12)), jnp.zeros(12))
        >>> h.shape, y.shape
        ((2, 4), (2, 5, 4))
    """
    weights = {"kernel": kernel, "recurrent_kernel": recurrent_kernel, "bias": bias}
    weights |= {} if recurrent_bias is None else {"recurrent_bias": recurrent_bias}
    zeros = expect_recurrence("gru", 3, x, mask, **weights)

    def loop(x: jax.Array, h: jax.Array, valid: Any, reverse: bool) -> Any:
        if recurrent_bias is None:
            step = lambda h, x: (gru_step(x, h, recurrent_kernel),) * 2
            return scan_steps(step, linear(x, kernel) + bias, h, valid, reverse)
        (h,), y = run(_CELL, reverse, x, _parts(kernel, recurrent_kernel, bias, recurrent_bias), (h,), valid)
        return h, y

    return with_time_first(loop, x, zeros if carry is None else carry, mask, reverse)


def gru_step(
    x: jax.Array, h: jax.Array, recurrent_kernel: jax.Array, recurrent_bias: jax.Array | None = None
) -> jax.Array:
    """One step, from x (..., 3 * features), which holds the inputs' product and the bias."""
    of_gates, of_new = _gates_and_new(recurrent_kernel)
    if recurrent_bias is not None:
        (gates, from_x), (own_gates, own_new) = _gates_and_new(x), _gates_and_new(recurrent_bias)
        of_r, of_z = jnp.split(gates + own_gates + h @ of_gates, 2, -1)
        return _step((of_r, of_z, own_new + h @ of_new, from_x), (h,))[0][0]
    gates, from_x = _gates_and_new(x)
    r, z = jnp.split(sigmoid(gates + h @ of_gates), 2, -1)
    n = jnp.tanh(from_x + (r * h) @ of_new)
    return n + z * (h - n)


def _gates_and_new(x: jax.Array) -> list[jax.Array]:
    return jnp.split(x, [x.shape[-1] // 3 * 2], -1)


# With the reset after the product a step is elementwise in (r, z, what n has of h, what n has of x). All apart, because
# XLA on CPU vectorises no tanh of a slice.


def _parts(kernel: Any, recurrent_kernel: Any, bias: Any, recurrent_bias: Any) -> tuple[Weights, ...]:
    split = (jnp.split(one, 3, -1) for one in (kernel, recurrent_kernel, bias, recurrent_bias))
    (x_r, x_z, x_new), (h_r, h_z, h_new), (r, z, new), (own_r, own_z, own_new) = split
    gates = Weights(x_r, h_r, r + own_r), Weights(x_z, h_z, z + own_z)
    return *gates, Weights(None, h_new, own_new), Weights(x_new, None, new)


def _step(parts: tuple[jax.Array, ...], carry: tuple[jax.Array]) -> tuple[tuple[jax.Array], Any]:
    (of_r, of_z, from_h, from_x), (h,) = parts, carry
    r, z = sigmoid(of_r), sigmoid(of_z)
    n = jnp.tanh(from_x + r * from_h)
    of_n = (1 - z) * (1 - n * n)
    return (n + z * (h - n),), (of_n * from_h * r * (1 - r), (h - n) * z * (1 - z), of_n * r, of_n, z)


def _tangent(slopes: Any, parts_dot: tuple[jax.Array, ...], carry_dot: Any) -> Any:
    *of_parts, z = slopes
    return (sum(slope * part for slope, part in zip(of_parts, parts_dot, strict=True)) + z * carry_dot[0],)


_CELL = Cell(_step, _tangent)
