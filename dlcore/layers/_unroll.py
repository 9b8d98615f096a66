"""A cell that goes on by itself: its output is its next input."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from dlcore.checks import expect_positive, scope, shapes_of
from dlcore.core import Layer, Plan, as_layer, layer
from dlcore.layers._recurrent import zero_carry


def own_output(y: Any, x: Any) -> Any:
    """What `unroll` feeds back by default: the output itself."""
    return y


@layer
def unroll(
    cell: Layer, steps: int, *, feedback: Callable[[Any, Any], Any] = own_output, return_carry: bool = False
) -> Layer:
    """Runs a cell on a first input and then on what it gave itself: one to many, (B, inputs) to (B, steps, outputs).

    Takes `(x, carry=None)`. The params are those of the cell, as in `recurrent(cell)`: train with that one on given
    inputs (teacher forcing), and generate with this one.

    Args:
      cell: a layer `(carry, x) -> (carry, y)` that starts from zeros on a carry of `None`.
      steps: number of steps.
      feedback: a function `(y, x) -> next x` of a step's output and input, `y` by default. `lambda y, x: x` gives the
        first input at every step, `lambda y, x: x + y` makes the output a change, and `lambda y, x: y.argmax(-1)`
        chooses a symbol. To draw one, draw it in the cell, and return it beside the logits.
      return_carry: whether to return `(carry, outputs)` instead of the outputs.

    Returns:
      A layer with the params of the cell.

    Raises:
      TypeError: for a feedback that is no function.
      ValueError: where the next input would have another shape or dtype than x.

    Example:
      >>> from dlcore.layers import lstm_cell
      >>> params, state = unroll(lstm_cell(3), 5).init(jax.random.key(0), jnp.zeros((2, 3)))
      >>> unroll(lstm_cell(3), 5).apply(params, state, jnp.zeros((2, 3)))[0].shape
      (2, 5, 3)
    """
    cell = as_layer(cell, "cell")
    expect_positive(steps=steps)
    if not callable(feedback):
        raise TypeError(f"feedback: expected a function (y, x) -> next x, found {feedback!r}")

    def plan(x: Any, carry: Any = None) -> Plan:
        with scope("*"):
            one = cell.plan(carry, x)
        after, y = one.output
        following = shapes_of(jax.eval_shape(feedback, y, x))
        if following != x:
            raise ValueError(
                f"unroll: the next input would be {following}, and the first is {x}: give a cell with outputs like its "
                "inputs, or a feedback that makes inputs of them"
            )
        y = jax.tree.map(lambda s: jax.ShapeDtypeStruct((s.shape[0], steps, *s.shape[1:]), s.dtype), y)
        output = (after, y) if return_carry else y
        return Plan((x, carry), output, one.params, one.state, one.init, {"*": one}, steps)

    def apply(
        params: Any,
        state: Any,
        x: Any,
        carry: Any = None,
        *,
        key: Any = None,
        train: bool = False,
        tap: Any = None,  # the outputs hold every step already
    ) -> Any:
        if carry is None:
            carry = zero_carry(cell, params, state, x)

        def step(before: Any, time: Any) -> Any:
            carry, state, x = before
            own_key = None if key is None else jax.random.fold_in(key, time)
            with scope("*"):
                (carry, y), state = cell.apply(params, state, carry, x, key=own_key, train=train)
            return (carry, state, feedback(y, x)), y

        (carry, state, _), y = lax.scan(step, (carry, state, jnp.asarray(x)), jnp.arange(steps))
        y = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 1), y)
        return ((carry, y) if return_carry else y), state

    return Layer(None, apply, plan)
