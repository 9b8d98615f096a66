"""Many lanes in one program: the same run for other keys and other hyperparameters."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


def each_lane(program: Callable[..., Any], lanes: str | None) -> Callable[..., Any]:
    """Runs a program for those lanes that are asked for; a lane that is not costs nothing.

    Args:
      program: `(state, own, *shared) -> (state, out)`, a pure function of one lane.
      lanes: `None` (no lane axis: the program as it is), `"loop"` (one lane after another, bit-equal to a lone run;
        fastest on CPU) or `"vmap"` (side by side; fastest on accelerators).

    Returns:
      `(state, own, order, *shared) -> (state, out)`; state, own and out have a first axis for N lanes. `order` (M,)
      lists the lanes that run, and ends in any number of N's, which stand for none. The other lanes keep their state
      and get zeros.
    """
    if lanes is None:
        return program

    def loop(state: Any, own: Any, order: Any, *shared: Any) -> Any:
        def one(n: Any, both: Any) -> Any:
            state, outs = both
            lane = order[n]
            state_of_one, out = program(_take(state, lane), _take(own, lane), *shared)
            return _put(state, state_of_one, lane), _put(outs, out, lane)

        count = jax.tree.leaves((state, own))[0].shape[0]
        first = jax.eval_shape(lambda: program(_take(state, 0), _take(own, 0), *shared)[1])
        return lax.fori_loop(0, (order < count).sum(), one, (state, _zeros(first, count)))

    def side_by_side(state: Any, own: Any, order: Any, *shared: Any) -> Any:
        count = jax.tree.leaves((state, own))[0].shape[0]
        taken = jax.tree.map(lambda leaf: leaf.at[order].get(mode="clip"), (state, own))
        states, outs = jax.vmap(program, in_axes=(0, 0, *(None for _ in shared)))(*taken, *shared)
        first = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), outs)
        put = lambda into, new: into.at[order].set(new, mode="drop")
        return jax.tree.map(put, state, states), jax.tree.map(put, _zeros(first, count), outs)

    return functools.wraps(program)(side_by_side if lanes == "vmap" else loop)


def map_lanes(program: Callable[..., Any], lanes: str | None) -> Callable[..., Any]:
    """As `each_lane`, for a program `(own, *shared) -> out` that runs for every lane."""
    if lanes is None:
        return program
    if lanes == "vmap":
        return lambda own, *shared: jax.vmap(lambda one: program(one, *shared))(own)
    return lambda own, *shared: lax.map(lambda one: program(one, *shared), own)


def _take(tree: Any, lane: Any) -> Any:
    return jax.tree.map(lambda leaf: lax.dynamic_index_in_dim(leaf, lane, keepdims=False), tree)


def _put(tree: Any, one: Any, lane: Any) -> Any:
    return jax.tree.map(lambda leaf, new: lax.dynamic_update_index_in_dim(leaf, new, lane, 0), tree, one)


def _zeros(one: Any, count: int) -> Any:
    return jax.tree.map(lambda shape: jnp.zeros((count, *shape.shape), shape.dtype), one)
