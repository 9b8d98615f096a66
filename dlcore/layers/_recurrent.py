"""Recurrence: layers that run a cell, `(carry, x) -> (carry, y)`, over time."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from dlcore.checks import scope, shapes_of
from dlcore.compose import Call, compose
from dlcore.core import Layer, Plan, as_layer, layer
from dlcore.layers._cells import over_time_of


@layer
def recurrent(
    cell: Layer, *, reverse: bool = False, return_sequences: bool = True, return_carry: bool = False
) -> Layer:
    """Runs a cell over time, from (B, T, inputs) to (B, T, outputs).

    Takes `(x, mask=None, carry=None)`. Where the mask (B, T) is false the carry is kept and the output is zero, so a
    padded sequence gives what the unpadded one gives, whatever is in the padding; `ops.length_mask` makes a mask of
    lengths. A sequence without steps gives zeros, and the carry that it started from.

    Args:
      cell: a layer `(carry, x) -> (carry, y)` that starts from zeros on a carry of `None`, such as `lstm_cell(64)`.
      reverse: whether to run from the last step to the first; outputs stay in the order of the inputs.
      return_sequences: whether to return the outputs of all steps, or of the last valid step alone, (B, outputs), and
        zeros where there is none. (With `reverse`, of the first.)
      return_carry: whether to return `(carry, outputs)` instead of the outputs.

    Returns:
      A layer with the params of the cell.

    Raises:
      ValueError: for an input without a time axis, or with nothing but one; for a mask of another shape than (B, T).

    Example:
      >>> from dlcore.layers import rnn_cell
      >>> model = recurrent(rnn_cell(3))
      >>> params, state = model.init(jax.random.key(0), jnp.zeros((2, 5, 4)))
      >>> model.apply(params, state, jnp.zeros((2, 5, 4)))[0].shape
      (2, 5, 3)
      >>> recurrent(rnn_cell(3), return_sequences=False).apply(params, state, jnp.zeros((2, 5, 4)))[0].shape
      (2, 3)
    """
    cell = as_layer(cell, "cell")

    def finish(carry: Any, y: Any, mask: Any) -> Any:
        y = y if return_sequences else jax.tree.map(lambda leaf: _last(leaf, mask, reverse), y)
        return (carry, y) if return_carry else y

    def plan(x: Any, mask: Any = None, carry: Any = None) -> Plan:
        _check(x, mask)
        with scope("*"):
            one = cell.plan(carry, _at_a_time(x))
        after, y = one.output
        if return_sequences:
            y = jax.tree.map(lambda s: jax.ShapeDtypeStruct((s.shape[0], x.shape[1], *s.shape[1:]), s.dtype), y)
        output = (after, y) if return_carry else y
        return Plan((x, mask, carry), output, one.params, one.state, one.init, {"*": one}, x.shape[1])

    def apply(
        params: Any,
        state: Any,
        x: Any,
        mask: Any = None,
        carry: Any = None,
        *,
        key: Any = None,
        train: bool = False,
        tap: Any = None,  # the outputs hold every step already
    ) -> Any:
        _check(x, mask)
        mask = None if mask is None else jnp.asarray(mask, bool)
        if over_time := over_time_of(cell):
            with scope("*"):
                carry, y = over_time(params, x, carry, mask, reverse)
            return finish(carry, y, mask), state
        if carry is None:
            carry = zero_carry(cell, params, state, _at_a_time(x))

        def step(before: Any, now: Any) -> Any:
            carry, state = before
            x, valid, time = now
            x = _where(valid, x, jnp.zeros_like(x))
            own_key = None if key is None else jax.random.fold_in(key, time)
            with scope("*"):
                (after, y), state = cell.apply(params, state, carry, x, key=own_key, train=train)
            return (_where(valid, after, carry), state), _where(valid, y, jax.tree.map(jnp.zeros_like, y))

        steps = (jnp.moveaxis(x, 1, 0), None if mask is None else mask.T, jnp.arange(x.shape[1]))
        (carry, state), y = lax.scan(step, (carry, state), steps, reverse=reverse)
        return finish(carry, jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 1), y), mask), state

    return Layer(None, apply, plan)


@layer
def bidirectional(
    cell: Layer,
    backward: Layer | None = None,
    *,
    return_sequences: bool = True,
    return_carry: bool = False,
) -> Layer:
    """Two recurrences, one from each end, with their outputs side by side on the last axis.

    Args:
      cell: the cell that runs forward in time.
      backward: the cell that runs backward; one like `cell`, with parameters of its own, unless given.
      return_sequences: whether to return the outputs of all steps, or what each has when it is through: the forward
        one after the last valid step, the backward one after the first, (B, outputs of both).
      return_carry: whether to return `((carry of cell, carry of backward), outputs)` instead of the outputs.

    Returns:
      A layer from (x (B, T, inputs), mask=None, carry=None) to the outputs; a carry is that of each, as a pair.

    Source: Schuster and Paliwal, 1997.

    Example:
      >>> from dlcore.layers import rnn_cell
      >>> params, state = bidirectional(rnn_cell(3)).init(jax.random.key(0), jnp.zeros((2, 5, 4)))
      >>> bidirectional(rnn_cell(3)).apply(params, state, jnp.zeros((2, 5, 4)))[0].shape
      (2, 5, 6)
    """

    def both(call: Call, x: Any, mask: Any = None, carry: Any = None) -> Any:
        if carry is not None and (not isinstance(carry, tuple | list) or len(carry) != 2):
            raise ValueError(f"bidirectional: expected a pair of carries, found {type(carry).__name__}")
        forward_carry, backward_carry = (None, None) if carry is None else carry
        forward_carry, forward_y = call.forward(x, mask, forward_carry)
        backward_carry, backward_y = call.backward(x, mask, backward_carry)
        y = jnp.concatenate([forward_y, backward_y], axis=-1)
        return ((forward_carry, backward_carry), y) if return_carry else y

    return compose(
        both,
        forward=recurrent(cell, return_sequences=return_sequences, return_carry=True),
        backward=recurrent(backward or cell, reverse=True, return_sequences=return_sequences, return_carry=True),
    )


def zero_carry(cell: Layer, params: Any, state: Any, x: Any) -> Any:
    """Returns the carry that a cell starts from on inputs of the shape of x (B, ...)."""
    shape = jax.eval_shape(lambda x: cell.apply(params, state, None, x)[0][0], x)
    return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shape)


def _check(x: Any, mask: Any) -> None:
    if len(x.shape) < 2:
        raise ValueError(f"recurrent: expected x (B, T, ...), found {tuple(x.shape)}")
    if len(x.shape) == 2 and jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(
            f"recurrent: expected x (B, T, inputs), found {tuple(x.shape)}: one sequence is x[None], one number a step "
            "x[..., None]"
        )
    if mask is not None and jnp.shape(mask) != x.shape[:2]:
        raise ValueError(f"recurrent: expected a mask (B, T) = {tuple(x.shape[:2])}, found {jnp.shape(mask)}")


def _at_a_time(x: Any) -> Any:
    return shapes_of(jax.eval_shape(lambda x: jnp.zeros((x.shape[0], *x.shape[2:]), x.dtype), x))


def _where(valid: Any, new: Any, old: Any) -> Any:
    def choose(new: Any, old: Any) -> Any:
        return jnp.where(valid.reshape(valid.shape + (1,) * (new.ndim - 1)), new, old)

    return new if valid is None else jax.tree.map(choose, new, old)


def _last(y: jax.Array, mask: Any, reverse: bool) -> jax.Array:
    """The output of the last valid step in the order of the run, (B, ...); zeros where there is none."""
    if not y.shape[1]:
        return jnp.zeros((y.shape[0], *y.shape[2:]), y.dtype)
    if mask is None:
        return y[:, 0 if reverse else -1]
    place = jnp.argmax(mask, 1) if reverse else y.shape[1] - 1 - jnp.argmax(mask[:, ::-1], 1)
    return jnp.take_along_axis(y, place.reshape(-1, *(1,) * (y.ndim - 1)), 1)[:, 0]
