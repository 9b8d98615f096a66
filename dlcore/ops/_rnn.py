"""Elman's recurrence over a whole sequence."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from dlcore.activations import tanh
from dlcore.ops._over_time import Cell, Weights, run, with_time_first
from dlcore.ops._recurrence_shapes import expect_recurrence

__all__ = ["rnn"]


def rnn(
    x: jax.Array,
    kernel: jax.Array,
    recurrent_kernel: jax.Array,
    bias: jax.Array,
    carry: jax.Array | None = None,
    mask: jax.Array | None = None,
    *,
    activation: Callable[..., Any] = tanh,
    reverse: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """Elman's recurrence, `h' = activation(x @ kernel + h @ recurrent_kernel + bias)` step by step.

    Args:
        x: (B, T, ..., inputs), floating.
        kernel: (inputs, features).
        recurrent_kernel: (features, features).
        bias: (features,).
        carry: h before the first step, (B, ..., features); zeros by default.
        mask: (B, T), boolean; where it is false the carry is kept and the output is zero.
        activation: an elementwise function.
        reverse: whether to run from the last step to the first; outputs stay in the order of the inputs.

    Returns:
        h after all steps, and after each, (B, T, ..., features).

    Raises:
        ValueError: arrays whose sizes do not fit together.

    Source: Elman, 1990.

    Example:
        >>> h, y = rnn(jnp.ones((2, 5, 3)), jnp.ones((3, 4)), jnp.ones((4, 4)), jnp.zeros(4))
        >>> h.shape, y.shape
        ((2, 4), (2, 5, 4))
    """
    zeros = expect_recurrence("rnn", 1, x, mask, kernel=kernel, recurrent_kernel=recurrent_kernel, bias=bias)
    cell = _cell(activation)

    def loop(x: jax.Array, h: jax.Array, valid: Any, reverse: bool) -> Any:
        (h,), y = run(cell, reverse, x, (Weights(kernel, recurrent_kernel, bias),), (h,), valid)
        return h, y

    return with_time_first(loop, x, zeros if carry is None else carry, mask, reverse)


@functools.lru_cache(maxsize=64)  # so that what is traced for a cell is found again
def _cell(activation: Callable[..., Any]) -> Cell:
    def step(z: Any, carry: Any) -> Any:
        h, slope = jax.jvp(activation, z, (jnp.ones_like(z[0]),))
        return (h,), (slope,)

    return Cell(step, lambda slopes, z_dot, carry_dot: (slopes[0] * z_dot[0],))
