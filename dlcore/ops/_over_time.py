"""The loop of a recurrence, with the products that do not depend on the step before kept out of it.

A recurrence here is `z = x @ kernel + h @ recurrent + bias`, in one part or several, followed by what is elementwise in
z and the carry, whose first part is h. The inputs' own product is made for all steps at once, ahead of the loop, and so
are, behind the loop that runs back, the gradients of all weights: a plain loop adds those up step by step, which costs
more than all the rest on the way back.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero

from dlcore.ops._linear import linear

__all__ = ["Cell", "Weights", "run", "scan_steps", "sigmoid", "with_time_first"]

Carry = tuple[jax.Array, ...]


class Weights(NamedTuple):
    """Those of one part of z (..., size): of the inputs, of h, and alone; None is zero."""

    kernel: jax.Array | None  # (inputs, size)
    recurrent: jax.Array | None  # (features, size)
    bias: jax.Array  # (size,)


class Cell(NamedTuple):
    """What is elementwise in a recurrence, and its derivative."""

    step: Callable[..., Any]  # (z, carry) -> (carry, slopes): what `tangent` needs, first of all as much as z has
    tangent: Callable[..., Any]  # (slopes, tangent of z, tangent of the carry) -> tangent of the new carry


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def run(
    cell: Cell, reverse: bool, x: jax.Array, weights: tuple[Weights, ...], carry: Carry, valid: Any
) -> tuple[Carry, jax.Array]:
    """Runs a cell over the first axis of x (T, B, ..., inputs); returns the last carry, and h after each step."""

    def step(carry: Any, now: Any) -> Any:
        z, valid = now
        after, _ = _advance(cell, z, weights, carry, valid)
        return after, after[0]

    return lax.scan(step, carry, (_of_inputs(x, weights), valid), reverse=reverse)


@functools.partial(run.defjvp, symbolic_zeros=True)
def _run_jvp(cell: Cell, reverse: bool, primals: Any, tangents: Any) -> Any:
    # The transpose of this is backpropagation through time.
    x, weights, carry, valid = primals
    x_dot, weights_dot, carry_dot = tangents[0], *map(_instantiate, tangents[1:3])
    last, h, slopes = _with_slopes(cell, reverse, x, weights, carry, valid)
    before = _before(h, carry[0], reverse)
    z_dot = tuple(_tangent(x, x_dot, before, *pair) for pair in zip(weights, weights_dot, strict=True))

    def step(carry_dot: Any, now: Any) -> Any:
        z_dot, slopes, valid = now
        after = cell.tangent(slopes, _add(z_dot, carry_dot[0], weights), carry_dot)
        after = _keep_where(valid, after, carry_dot)
        return after, after[0]

    return (last, h), lax.scan(step, carry_dot, (z_dot, slopes, valid), reverse=reverse)


def _tangent(x: jax.Array, x_dot: Any, h: jax.Array, part: Weights, part_dot: Weights) -> jax.Array:
    """The tangent of a part of z at all steps, but for that of h: one product, so its transpose is one product too."""
    values, rows = [jnp.ones((*x.shape[:-1], 1), x.dtype)], [part_dot.bias[None]]
    for value, row in ((x, part_dot.kernel), (h, part_dot.recurrent)):
        if row is not None:
            values.append(value)
            rows.append(row)
    z_dot = linear(jnp.concatenate(values, -1), jnp.concatenate(rows))
    if part.kernel is None or isinstance(x_dot, SymbolicZero):  # the inputs of a model have no tangent
        return z_dot
    return z_dot + linear(x_dot, part.kernel)


def _instantiate(tangents: Any) -> Any:
    def fill(dot: Any) -> Any:
        return jnp.zeros(dot.shape, dot.dtype) if isinstance(dot, SymbolicZero) else dot  # pyright: ignore[reportArgumentType]

    return jax.tree.map(fill, tangents, is_leaf=lambda dot: isinstance(dot, SymbolicZero))


def with_time_first(loop: Callable[..., Any], x: jax.Array, carry: Any, mask: jax.Array | None, reverse: bool) -> Any:
    """Runs `loop(x, carry, valid, reverse)`, which has time on the first axis, on (B, T, ..., inputs).

    The mask (B, T) becomes `valid` (T, B, ..., 1), and what it hides of x and of the output becomes zero. (Even where
    nothing is made of it, NaN in the padding would reach the gradient of the kernel.)
    """
    x = jnp.moveaxis(x, 1, 0)
    valid = None if mask is None else mask.T.reshape(*x.shape[:2], *(1,) * (x.ndim - 2))
    hide = lambda x: x if valid is None else jnp.where(valid, x, jnp.zeros_like(x))
    carry, y = loop(hide(x), carry, valid, reverse)
    return carry, jnp.moveaxis(hide(y), 0, 1)


def sigmoid(z: jax.Array) -> jax.Array:
    """By tanh, which XLA vectorises on CPU."""
    return 0.5 * jnp.tanh(0.5 * z) + 0.5


def scan_steps(step: Callable[..., Any], x: Any, carry: Any, valid: Any, reverse: bool) -> Any:
    """Runs `step(carry, x) -> (carry, y)` over the first axis, and keeps the carry where a step is not valid."""

    def masked(carry: Any, now: Any) -> Any:
        x, valid = now
        after, y = step(carry, x)
        return _keep_where(valid, after, carry), y

    return lax.scan(masked, carry, (x, valid), reverse=reverse)


def _add(z: Any, h: jax.Array, weights: tuple[Weights, ...]) -> Any:
    pairs = zip(z, weights, strict=True)
    return tuple(part if own.recurrent is None else part + h @ own.recurrent for part, own in pairs)


def _of_inputs(x: jax.Array, weights: tuple[Weights, ...]) -> list[jax.Array | None]:
    """What the inputs have in the parts of z, at all steps; None is zero."""
    return [None if own.kernel is None else linear(x, own.kernel) for own in weights]


def _advance(cell: Cell, z: Any, weights: tuple[Weights, ...], carry: Carry, valid: Any) -> tuple[Carry, Any]:
    """One step, from what the inputs have in z: the new carry, and the slopes."""
    zeros = lambda own: jnp.zeros((*carry[0].shape[:-1], *own.bias.shape), carry[0].dtype)
    z = [zeros(own) if part is None else part for part, own in zip(z, weights, strict=True)]
    # The bias is added here, where it is one with what follows, and not in a pass of its own over all steps.
    z = tuple(part + own.bias for part, own in zip(_add(z, carry[0], weights), weights, strict=True))
    after, slopes = cell.step(z, carry)
    return _keep_where(valid, after, carry), slopes


def _with_slopes(cell: Cell, reverse: bool, x: jax.Array, weights: Any, carry: Carry, valid: Any) -> Any:
    """The last carry, and for each step h after it and the slopes."""

    def step(state: Any, now: Any) -> Any:
        (carry, z), (at, valid) = state, now
        here = [None if part is None else lax.dynamic_index_in_dim(part, at, keepdims=False) for part in z]
        after, slopes = _advance(cell, here, weights, carry, valid)
        # A slope takes the place of what it is made of: memory of its own would first be filled with zeros.
        rest = list(slopes)
        for number, (part, slope) in enumerate(zip(z, slopes, strict=False)):
            if part is not None and part.dtype == slope.dtype:
                z[number], rest[number] = lax.dynamic_update_index_in_dim(part, slope, at, 0), None
        return (after, z), (after[0], rest)

    start = carry, _of_inputs(x, weights)
    (last, z), (h, rest) = lax.scan(step, start, (jnp.arange(len(x)), valid), reverse=reverse)
    return last, h, (*(a if b is None else b for a, b in zip(z, rest, strict=False)), *rest[len(z) :])


def _keep_where(valid: Any, new: Any, old: Any) -> Any:
    return new if valid is None else jax.tree.map(lambda new, old: jnp.where(valid, new, old), new, old)


def _before(states: jax.Array, first: jax.Array, reverse: bool) -> jax.Array:
    """h before each step, from h after each step and before all."""
    ends = (states[1:], first[None]) if reverse else (first[None], states[:-1])
    return jnp.concatenate(ends)[: states.shape[0]]
