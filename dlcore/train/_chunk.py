"""The unit of execution: one compiled program that runs k steps, k traced. The host sits between chunks only."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dlcore.compose import derive
from dlcore.train._objective import ratio
from dlcore.train._state import TrainState

NORMS: tuple[str, ...] = ("gradient_norm", "update_norm", "params_norm")


class Log(NamedTuple):
    """What a chunk measured: `done` steps, and by name a buffer whose first `done` entries count."""

    done: Any
    finite: Any  # every loss, and everything that was carried out
    steps: dict[str, Any]  # (capacity,)
    last: dict[str, Any]  # measured on the last step alone


class _Loop(NamedTuple):
    done: Any
    finite: Any
    carry: TrainState
    rows: Any  # (capacity, names)
    gradient: Any


def make_chunk(step: Callable[..., Any], capacity: int, guarded: bool) -> Callable[..., tuple[TrainState, Log]]:
    """Returns `(carry, k, source) -> (carry, Log)`, which runs `min(k, capacity)` steps, fewer where one is not finite.

    Args:
      step: `(carry, batch) -> (carry, metrics)`; metrics are numbers or (sum, weight) pairs by name, and under
        `gradient` the gradient, if it is to be measured; `finite`, if it is there, is false where the step has failed
        though its loss is finite.
      capacity: size of the buffers, static; a shorter chunk compiles nothing new.
      guarded: whether each step is checked and, where it is not finite, not taken. Without it the chunk stops after a
        loss that is not finite, says so, and the host goes back: see `_rewind.py`, which also says why.
    """

    def chunk(carry: TrainState, k: Any, source: Any) -> tuple[TrainState, Log]:
        data_key, k = derive(carry.key, "data"), jnp.minimum(k, capacity)

        def run(carry: TrainState) -> tuple[TrainState, dict[str, Any], Any]:
            return (take_guarded if guarded else take)(step, carry, source(data_key, carry.step))

        values, gradient = jax.eval_shape(run, carry)[1:]
        names = [name for name in values if name != "finite"]

        def body(loop: _Loop) -> _Loop:
            carry, values, gradient = run(loop.carry)
            # One row, one write: a write for each metric would cost as much as a layer.
            row = jnp.stack([values[name] for name in names]).astype(jnp.float32)
            rows = lax.dynamic_update_slice(loop.rows, row[None], (loop.done, jnp.int32(0)))
            done = loop.done + (values["finite"].astype(jnp.int32) if guarded else 1)
            return _Loop(done, values["finite"], carry, rows, gradient)

        def run_until(limit: Any, loop: _Loop) -> _Loop:
            return lax.while_loop(lambda loop: (loop.done < limit) & loop.finite, body, loop)

        # Two rounds of one loop, all steps but the last and the last: so the last update is at hand as a difference,
        # the step is compiled once, and no step is slower for it (norms under a `cond` cost a quarter on small nets).
        def round_of(rounds: Any) -> Any:
            number, loop, _ = rounds
            return number + 1, run_until(k - 1 + number, loop), loop.carry.params

        rows, zeros = jnp.zeros((capacity, len(names)), jnp.float32), jax.tree.map(_zeros, gradient)
        start = (jnp.int32(0), _Loop(jnp.int32(0), jnp.bool(True), carry, rows, zeros), carry.params)
        _, loop, before = lax.while_loop(lambda rounds: (rounds[0] < 2) & rounds[1].finite, round_of, start)
        after = loop.carry
        params, before = _floating(after.params), _floating(before)
        change = [new - old for new, old in zip(params, before, strict=True)]
        norms = dict(zip(NORMS, map(_norm, (_floating(loop.gradient), change, params)), strict=True))
        finite = loop.finite & all_finite((after.params, after.state, after.opt_state))
        return after, Log(loop.done, finite, {name: loop.rows[:, i] for i, name in enumerate(names)}, norms)

    return chunk


def take(step: Callable[..., Any], carry: TrainState, batch: Any) -> tuple[TrainState, dict[str, Any], Any]:
    """Takes a step; returns the carry, plain numbers by name with `finite` among them, and the gradient or ()."""
    after, metrics = step(carry, batch)
    values = {name: ratio(value) for name, value in metrics.items() if name not in ("gradient", "finite")}
    finite = jnp.isfinite(values["loss"] if "loss" in values else sum(values.values()))
    finite = finite & metrics["finite"] if "finite" in metrics else finite
    return after, values | {"finite": finite}, metrics.get("gradient", ())


def take_guarded(step: Callable[..., Any], carry: TrainState, batch: Any) -> tuple[TrainState, dict[str, Any], Any]:
    """As `take`, but where loss, params or state would not be finite, the carry is left as it was."""
    after, values, gradient = take(step, carry, batch)
    finite = values["finite"] & all_finite((after.params, after.state, after.opt_state))
    after = jax.tree.map(lambda new, old: jnp.where(finite, new, old), after, carry)
    return after, values | {"finite": finite}, gradient


def all_finite(tree: Any) -> jax.Array:
    """Whether every floating number of a tree is finite."""
    return jnp.stack([jnp.bool(True), *(jnp.isfinite(leaf).all() for leaf in _floating(tree))]).all()


def _floating(tree: Any) -> list[Any]:
    return [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.inexact)]


def _norm(leaves: list[Any]) -> jax.Array:
    squares = [jnp.sum(jnp.square(leaf.astype(jnp.float32))) for leaf in leaves]
    return jnp.sqrt(sum(squares)) if squares else jnp.float32(jnp.nan)


def _zeros(shape: Any) -> jax.Array:
    return jnp.zeros(shape.shape, shape.dtype)
