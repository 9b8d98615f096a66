"""The unit of execution: one compiled program that runs k steps, k traced. The host sits between chunks only."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dlcore.core import derive
from dlcore.train._objective import ratio
from dlcore.train._state import TrainState

Chunk = Callable[[TrainState, Any, Any], tuple[TrainState, "Log"]]


class Log(NamedTuple):
    """What a chunk measured: `done` steps, and by name a buffer whose first `done` entries count."""

    done: Any
    finite: Any
    steps: dict[str, Any]  # (capacity,)
    last: dict[str, Any]  # measured on the last step alone


NORMS = ("gradient_norm", "update_norm", "params_norm")


def make_chunk(step: Callable[..., Any], capacity: int) -> Chunk:
    """Returns `(carry, source, k) -> (carry, Log)`, which runs `min(k, capacity)` steps and stops before a non-finite one.

    Args:
      step: `(carry, batch) -> (carry, metrics)`; metrics are numbers or (sum, weight) pairs by name. A step that reports
        `finite` has left the carry alone where it is false; any other is checked here, on its metrics and params.
      capacity: size of the buffers, static; a shorter chunk compiles nothing new.
    """

    def chunk(carry: TrainState, source: Any, k: Any) -> tuple[TrainState, Log]:
        guarded, data_key = guard(step), derive(carry.key, "data")
        k = jnp.minimum(k, capacity)

        def run(carry: TrainState, last: Any) -> tuple[TrainState, dict[str, Any]]:
            return guarded(carry, source(data_key, carry.step), last)

        shapes = jax.eval_shape(run, carry, True)[1]
        names = [name for name in shapes if name not in (*NORMS, "finite")]

        def body(loop: Any) -> Any:
            done, _, carry, rows, _ = loop
            carry, values = run(carry, done == k - 1)
            # One row, one write: a write for each metric would cost as much as a layer.
            row = jnp.stack([values[name] for name in names]).astype(jnp.float32)
            rows = lax.dynamic_update_slice(rows, row[None], (done, jnp.int32(0)))
            norms = jnp.stack([values.get(name, jnp.nan) for name in NORMS]).astype(jnp.float32)
            return done + values["finite"].astype(jnp.int32), values["finite"], carry, rows, norms

        buffers = jnp.zeros((capacity, len(names)), jnp.float32), jnp.full(len(NORMS), jnp.nan, jnp.float32)
        start = (jnp.int32(0), jnp.bool(True), carry, *buffers)
        done, finite, carry, rows, norms = lax.while_loop(lambda loop: (loop[0] < k) & loop[1], body, start)
        measured = {name: norms[i] for i, name in enumerate(NORMS) if name in shapes}
        return carry, Log(done, finite, {name: rows[:, i] for i, name in enumerate(names)}, measured)

    return chunk


def guard(step: Callable[..., Any]) -> Callable[..., tuple[TrainState, dict[str, Any]]]:
    """Returns `(carry, batch, norms) -> (carry, metrics)`: plain numbers by name, with `finite` always among them."""
    measures_norms = "norms" in inspect.signature(step).parameters

    def guarded(carry: TrainState, batch: Any, norms: Any) -> tuple[TrainState, dict[str, Any]]:
        after, metrics = step(carry, batch, **({"norms": norms} if measures_norms else {}))
        values = {name: ratio(value) for name, value in metrics.items()}
        if "finite" not in values:
            floating = [jnp.sum(leaf) for leaf in jax.tree.leaves(after.params)]
            values["finite"] = jnp.isfinite(sum(floating) + sum(values.values()))
            after = jax.tree.map(lambda new, old: jnp.where(values["finite"], new, old), after, carry)
        return after, values

    return guarded


def over_lanes(program: Callable[..., Any], lanes: str | None, mapped: tuple[bool, ...]) -> Callable[..., Any]:
    """Runs a program once for each lane, along a new first axis of its `mapped` arguments.

    Args:
      program: a pure function of positional arguments.
      lanes: `None` (no lane axis), `"loop"` (one lane after another, bit-equal to a lone run; fastest on CPU) or
        `"vmap"` (side by side; fastest on accelerators).
      mapped: for each argument, whether it has a lane axis.
    """
    if lanes is None:
        return program
    if lanes == "vmap":
        return jax.vmap(program, in_axes=tuple(0 if own else None for own in mapped))

    def loop(*args: Any) -> Any:
        def one(own: tuple[Any, ...]) -> Any:
            each = iter(own)
            return program(*(next(each) if flag else arg for arg, flag in zip(args, mapped, strict=True)))

        return lax.map(one, tuple(arg for arg, flag in zip(args, mapped, strict=True) if flag))

    return loop
