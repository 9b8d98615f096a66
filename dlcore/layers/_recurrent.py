"""Recurrence: cells, which are layers `(carry, x) -> (carry, y)`, and the scan that runs them over time."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dlcore.checks import expect_floating, expect_params, expect_positive, scope, shapes_of
from dlcore.compose import Call, compose
from dlcore.core import Layer, Plan, as_layer, layer
from dlcore.initializers import Initializer, glorot_uniform, lecun_normal, zeros


@layer
def rnn_cell(
    features: int,
    *,
    activation: Callable[[jax.Array], jax.Array] = jnp.tanh,
    kernel_init: Initializer = lecun_normal(),
    recurrent_init: Initializer = glorot_uniform(),
    bias_init: Initializer = zeros,
) -> Any:
    """Elman's recurrent cell, `h' = tanh(x @ kernel + h @ recurrent_kernel + bias)`, with `h'` as its output.

    Args:
      features: size of the state h.
      activation: in place of tanh. (ReLU wants an identity for `recurrent_init`: Le, Jaitly and Hinton, 2015.)
      kernel_init: initializer of `kernel` (inputs, features).
      recurrent_init: initializer of `recurrent_kernel` (features, features).
      bias_init: initializer of `bias` (features,).

    Returns:
      A layer from (carry (..., features), x (..., inputs)) to (carry, y (..., features)); a carry of `None` is zeros.

    Source: Elman, 1990.

    Example:
      >>> cell = rnn_cell(3)
      >>> params, state = cell.init(jax.random.key(0), None, jnp.zeros((2, 4)))
      >>> (carry, y), state = cell.apply(params, state, None, jnp.zeros((2, 4)))
      >>> carry.shape, y.shape
      ((2, 3), (2, 3))
    """
    expect_positive(features=features)

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
        x = expect_floating(x, "rnn_cell")
        square = (features, features)
        expect_params(params, kernel=(x.shape[-1], features), recurrent_kernel=square, bias=(features,))
        weights = jax.tree.map(lambda leaf: leaf.astype(x.dtype), params)
        h = x @ weights["kernel"] + weights["bias"]
        if carry is not None:
            h = h + carry.astype(x.dtype) @ weights["recurrent_kernel"]
        h = activation(h)
        return (h, h), state

    return init, apply


@layer
def recurrent(
    cell: Layer, *, reverse: bool = False, return_carry: bool = False, return_sequences: bool = True
) -> Layer:
    """Runs a cell over time, from (B, T, inputs) to (B, T, outputs).

    Takes `(x, mask=None, carry=None)`. Where the mask (B, T) is false the carry is kept and the output is zero, so a
    padded sequence gives exactly what the unpadded one gives.

    Args:
      cell: a layer `(carry, x) -> (carry, y)` that starts from zeros on a carry of `None`.
      reverse: whether to run from the last step to the first; outputs stay in the order of the inputs.
      return_carry: whether to return `(carry, outputs)` instead of the outputs.
      return_sequences: whether to return the outputs of all steps, or of the last alone, (B, outputs): the last that
        the mask leaves, and zeros where it leaves none. (With `reverse`, of the first.)

    Returns:
      A layer with the params of the cell.

    Raises:
      ValueError: for an input without a time axis, and a mask of another shape than (B, T).

    Example:
      >>> model = recurrent(rnn_cell(3))
      >>> params, state = model.init(jax.random.key(0), jnp.zeros((2, 5, 4)))
      >>> model.apply(params, state, jnp.zeros((2, 5, 4)))[0].shape
      (2, 5, 3)
    """
    cell = as_layer(cell, "cell")

    def check(x: Any, mask: Any) -> None:
        if len(x.shape) < 2:
            raise ValueError(f"recurrent: expected x (B, T, ...), found {tuple(x.shape)}")
        if mask is not None and jnp.shape(mask) != x.shape[:2]:
            raise ValueError(f"recurrent: expected a mask (B, T) = {tuple(x.shape[:2])}, found {jnp.shape(mask)}")

    def plan(x: Any, mask: Any = None, carry: Any = None) -> Plan:
        check(x, mask)
        with scope("*"):
            one = cell.plan(carry, _at_a_time(x))
        after, y = one.output
        if return_sequences:
            y = jax.tree.map(lambda s: jax.ShapeDtypeStruct((s.shape[0], x.shape[1], *s.shape[1:]), s.dtype), y)
        outputs = y
        output = (after, outputs) if return_carry else outputs
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
        check(x, mask)
        mask = None if mask is None else jnp.asarray(mask, bool)
        if carry is None:
            shape = jax.eval_shape(lambda x: cell.apply(params, state, None, x)[0][0], _at_a_time(x))
            carry = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shape)

        # What does not depend on the carry is one large product over all steps, and not a small one in each.
        project, advance = getattr(cell, "hoisted", None) or (None, None)
        x = x if project is None else project(params, x)

        def step(before: Any, now: Any) -> Any:
            carry, state = before
            x, valid, time = now
            own_key = None if key is None else jax.random.fold_in(key, time)
            with scope("*"):
                if advance is not None:
                    after, y = advance(params, carry, x)
                else:
                    (after, y), state = cell.apply(params, state, carry, x, key=own_key, train=train)
            if valid is not None:
                after, y = _where(valid, after, carry), _where(valid, y, jax.tree.map(jnp.zeros_like, y))
            return (after, state), y

        times = jnp.arange(x.shape[1])
        over_time = (jnp.moveaxis(x, 1, 0), None if mask is None else jnp.moveaxis(mask, 1, 0), times)
        (carry, state), y = lax.scan(step, (carry, state), over_time, reverse=reverse)
        y = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 1), y)
        if not return_sequences:
            y = jax.tree.map(lambda leaf: _last(leaf, mask, reverse), y)
        return ((carry, y) if return_carry else y), state

    return Layer(None, apply, plan)


@layer
def bidirectional(cell: Layer, backward: Layer | None = None) -> Layer:
    """Two recurrences, one from each end, with their outputs side by side on the last axis.

    Args:
      cell: the cell that runs forward in time.
      backward: the cell that runs backward; one like `cell`, with parameters of its own, unless given.

    Returns:
      A layer from (x (B, T, inputs), mask=None) to (B, T, outputs of both).

    Source: Schuster and Paliwal, 1997.

    Example:
      >>> params, state = bidirectional(rnn_cell(3)).init(jax.random.key(0), jnp.zeros((2, 5, 4)))
      >>> bidirectional(rnn_cell(3)).apply(params, state, jnp.zeros((2, 5, 4)))[0].shape
      (2, 5, 6)
    """

    def both(call: Call, x: Any, mask: Any = None) -> Any:
        return jnp.concatenate([call.forward(x, mask), call.backward(x, mask)], axis=-1)

    return compose(both, forward=recurrent(cell), backward=recurrent(backward or cell, reverse=True))


@layer
def unroll(cell: Layer, steps: int) -> Layer:
    """One to many: runs a cell for some steps, each output being the next input, from (B, features).

    Args:
      cell: a layer `(carry, x) -> (carry, y)` with as many outputs as inputs.
      steps: how many.

    Returns:
      A layer from (x (B, features), carry=None) to (B, steps, features), with the params of the cell.

    Raises:
      ValueError: for a cell whose outputs have another shape than its inputs.

    Example:
      >>> model = unroll(rnn_cell(4), 3)
      >>> params, state = model.init(jax.random.key(0), jnp.zeros((2, 4)))
      >>> model.apply(params, state, jnp.zeros((2, 4)))[0].shape
      (2, 3, 4)
    """
    cell = as_layer(cell, "cell")
    expect_positive(steps=steps)

    def plan(x: Any, carry: Any = None) -> Plan:
        with scope("*"):
            one = cell.plan(carry, x)
        y = one.output[1]
        if (y.shape, y.dtype) != (x.shape, x.dtype):
            raise ValueError(
                f"unroll: expected a cell with outputs of the shape of its inputs {x.shape}, found {y.shape}"
            )
        output = jax.ShapeDtypeStruct((x.shape[0], steps, *x.shape[1:]), x.dtype)
        return Plan((x, carry), output, one.params, one.state, one.init, {"*": one}, steps)

    def apply(
        params: Any, state: Any, x: Any, carry: Any = None, *, key: Any = None, train: bool = False, tap: Any = None
    ) -> Any:
        if carry is None:
            shape = jax.eval_shape(lambda x: cell.apply(params, state, None, x)[0][0], x)
            carry = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shape)

        def step(before: Any, time: Any) -> Any:
            carry, x, state = before
            own_key = None if key is None else jax.random.fold_in(key, time)
            with scope("*"):
                (carry, y), state = cell.apply(params, state, carry, x, key=own_key, train=train)
            return (carry, y, state), y

        (_, _, state), y = lax.scan(step, (carry, x, state), jnp.arange(steps))
        return jnp.moveaxis(y, 0, 1), state

    return Layer(None, apply, plan)


def hoisted(init: Any, project: Callable[..., Any], advance: Callable[..., Any]) -> Layer:
    """Returns a cell in two parts, of which `recurrent` takes the first out of its loop.

    Args:
      init: of the layer.
      project: `(params, x) -> z`: what depends on the input alone, for any leading axes.
      advance: `(params, carry, z) -> (carry, y)`: the rest.
    """

    def apply(params: Any, state: Any, carry: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        return advance(params, carry, project(params, x)), state

    cell = Layer(init, apply)
    cell.hoisted = (project, advance)  # pyright: ignore[reportAttributeAccessIssue]
    return cell


def _last(y: jax.Array, mask: Any, reverse: bool) -> jax.Array:
    if not y.shape[1]:
        return jnp.zeros((y.shape[0], *y.shape[2:]), y.dtype)
    if mask is None:
        return y[:, 0 if reverse else -1]
    place = jnp.argmax(mask, axis=1) if reverse else y.shape[1] - 1 - jnp.argmax(mask[:, ::-1], axis=1)
    return jnp.take_along_axis(y, place.reshape(-1, *[1] * (y.ndim - 1)), axis=1)[:, 0]  # zeros where none is left


def _at_a_time(x: Any) -> Any:
    return shapes_of(jax.eval_shape(lambda x: jnp.zeros((x.shape[0], *x.shape[2:]), x.dtype), x))


def _where(valid: Any, new: Any, old: Any) -> Any:
    def choose(new: Any, old: Any) -> Any:
        return jnp.where(valid.reshape(valid.shape + (1,) * (new.ndim - 1)), new, old)

    return jax.tree.map(choose, new, old)
