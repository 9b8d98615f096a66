"""What recurrent cells are made of.

A cell is a layer `(carry, x) -> (carry, y)`, started from zeros on a carry of `None`. One that can do a whole sequence
better than step by step says so with `over_time`, which `recurrent` then calls in place of a scan.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from dlcore.checks import expect_floating, expect_params
from dlcore.core import Layer
from dlcore.initializers import Initializer


def cell(init: Callable[..., Any], apply: Callable[..., Any], over_time: Callable[..., Any]) -> Layer:
    """Makes a cell that knows a better way over time than step by step.

    Args:
      init: as of any layer.
      apply: as of any layer, `(params, state, carry, x, *, key=None, train=False) -> ((carry, y), state)`.
      over_time: see `with_over_time`.

    Returns:
      The layer.
    """
    return with_over_time(Layer(init, apply), over_time)


def with_over_time(made: Layer, over_time: Callable[..., Any] | None) -> Layer:
    """Gives a cell its way over time; for cells that have no state and draw nothing.

    Args:
      made: the cell.
      over_time: `(params, x (B, T, ...), carry or None, mask (B, T) or None, reverse) -> (carry, y (B, T, ...))`, with
        the carry kept, and zeros as output, where the mask is false; or None.

    Returns:
      The cell.
    """
    vars(made)["over_time"] = over_time
    return made


def over_time_of(cell: Layer) -> Callable[..., Any] | None:
    """Returns how a cell does a whole sequence, or None where it is to be scanned."""
    return getattr(cell, "over_time", None)


def draw_gates(init: Initializer, key: Any, gates: int, shape: tuple[int, int], dtype: Any) -> jax.Array:
    """Draws a kernel for each gate by itself, so that its scale is that of one, and puts them side by side."""
    # A map, not a vmap: it gives the bits of one draw after another for every initializer.
    kernels = lax.map(lambda key: init(key, shape, dtype), jax.random.split(key, gates))
    return jnp.concatenate([kernels[i] for i in range(gates)], -1)


def prepare(
    what: str, sizes: tuple[int, int], params: Any, carry: Any, x: Any, *, biases: Any = ("bias",), steps: bool = False
) -> Any:
    """Checks what a cell is given, and returns the params, the carry (or None) and x in the floating type of x.

    Args:
      what: the name of the cell.
      sizes: the number of features, and of gates.
      params: `kernel`, `recurrent_kernel` and the biases.
      carry: a tree of leaves of the shape of x but for its last axis, or None. One that would be broadcast, such as
        PyTorch's with its axis of layers, is refused.
      x: (..., inputs).
      biases: the names of the biases.
      steps: whether x has time on its second axis.

    Raises:
      TypeError: for an input that is not floating.
      ValueError: names the shapes.
    """
    features, gates = sizes
    x, wide = expect_floating(x, what), features * gates
    expect_params(
        params, kernel=(x.shape[-1], wide), recurrent_kernel=(features, wide), **dict.fromkeys(biases, (wide,))
    )
    expected = (*(x.shape[:1] + x.shape[2:-1] if steps else x.shape[:-1]), features)
    for leaf in jax.tree.leaves(carry):
        if jnp.shape(leaf) != expected:
            raise ValueError(f"{what}: expected a carry {expected} for x {x.shape}, found {jnp.shape(leaf)}")
    return *jax.tree.map(lambda leaf: leaf.astype(x.dtype), (params, carry)), x
