"""Cells on top of each other."""

from typing import Any

import jax
import jax.numpy as jnp

from dlcore.checks import check_names, scope
from dlcore.compose import Call, compose
from dlcore.core import Layer, as_layer, layer
from dlcore.layers._cells import over_time_of, with_over_time


@layer
def stacked(*cells: Layer) -> Layer:
    """A cell of cells: at every step each takes the output of the one below it.

    `recurrent(stacked(a, b))` gives what `recurrent(a)` followed by `recurrent(b)` gives, as one layer with one mask
    and one carry, which a decoder can start from. (For dropout or norms between them, chain `recurrent`s.)

    Args:
      *cells: cells, from the input upwards; they are named "0", "1", ...

    Returns:
      A cell whose carry is the tuple of theirs; a carry of `None` is zeros.

    Raises:
      ValueError: without cells; for a carry that is not one for each of them.

    Source: Schmidhuber, 1992; Graves, 2013.

    Example:
      >>> from dlcore.layers import gru_cell, lstm_cell, recurrent
      >>> model = recurrent(stacked(lstm_cell(6), gru_cell(3)), return_carry=True)
      >>> params, state = model.init(jax.random.key(0), jnp.zeros((2, 5, 4)))
      >>> (((h, c), top), y), state = model.apply(params, state, jnp.zeros((2, 5, 4)))
      >>> h.shape, top.shape, y.shape
      ((2, 6), (2, 3), (2, 5, 3))
    """
    if not cells:
        raise ValueError("stacked: expected one cell or more, found none")
    children = {str(i): as_layer(cell, f"cell {i}") for i, cell in enumerate(cells)}
    ways = [way for cell in children.values() if (way := over_time_of(cell))]

    def split(carry: Any) -> Any:
        if carry is None:
            return (None,) * len(cells)
        if not isinstance(carry, tuple | list) or len(carry) != len(cells):
            found = jax.tree.map(jnp.shape, carry)
            raise ValueError(f"stacked: expected a carry for each of {len(cells)} cells, found {found}")
        return carry

    def step(call: Call, carry: Any, x: Any) -> Any:
        after = []
        for name, own in zip(children, split(carry), strict=True):
            own, x = call[name](own, x)
            after.append(own)
        return tuple(after), x

    def over_time(params: Any, x: Any, carry: Any, mask: Any, reverse: bool) -> Any:
        check_names("params", params, children)
        after = []
        for name, way, own in zip(children, ways, split(carry), strict=True):
            with scope(name):
                own, x = way(params.get(name, {}), x, own, mask, reverse)
            after.append(own)
        return tuple(after), x

    made = compose(step, **children)
    return with_over_time(made, over_time if len(ways) == len(cells) else None)
