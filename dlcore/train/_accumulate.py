"""A large batch in small parts, one after another: what is kept for the way back is that of one part."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dlcore.compose import derive
from dlcore.train._objective import ratio


class Measured(NamedTuple):
    """What a batch gives: the loss and metrics, (sum, weight) pairs or numbers, and the gradient of the mean loss."""

    loss: Any
    state: Any
    metrics: Any
    gradient: Any


Measure = Callable[[Any, Any, Any, Any], Measured]  # (params, state, batch, key)


def check_accumulate(accumulate: Any, batch: Any = None) -> None:
    """Refuses what a batch cannot be cut into.

    Raises:
      ValueError: names the rows of the batch and the number of parts.
    """
    if isinstance(accumulate, bool) or not isinstance(accumulate, int) or accumulate < 1:
        raise ValueError(f"accumulate: expected a positive whole number of parts, found {accumulate!r}")
    for leaf in jax.tree.leaves(batch):
        if leaf.ndim and leaf.shape[0] % accumulate:
            expected = f"a number that divides the batch of {leaf.shape[0]} rows"
            raise ValueError(f"accumulate: expected {expected}, found {accumulate}; change it or batch_size")


def cut_rows(batch: Any, count: int) -> Any:
    """Returns a batch (B, ...) as (count, B / count, ...); row i goes to part i % count, numbers go to every part.

    Rows that follow each other go to different parts because a mesh gives each device a block of rows: so every device
    has rows of every part, and none of them moves.
    """

    def one(leaf: Any) -> Any:
        if not jnp.ndim(leaf):
            return jnp.broadcast_to(leaf, (count,))
        return jnp.moveaxis(jnp.reshape(leaf, (leaf.shape[0] // count, count, *leaf.shape[1:])), 1, 0)

    return jax.tree.map(one, batch)


def in_parts(measure: Measure, count: int) -> Measure:
    """Returns what measures a batch as `measure` does, but part by part.

    The state goes from part to part, and the key of part i is derived from the batch's.
    """

    def measured(params: Any, state: Any, batch: Any, key: Any) -> Measured:
        check_accumulate(count, batch)

        def add(carry: tuple[Any, Any, Any], part: tuple[Any, Any]) -> tuple[tuple[Any, Any, Any], Any]:
            state, gradient, weight = carry
            found = measure(params, state, part[1], derive(key, "part", part[0]))
            rows = _rows(part[1])
            own = jnp.asarray(found.loss[1] if isinstance(found.loss, tuple) else rows, jnp.float32)
            # The mean's gradient times its weight is the sum's, which in float16 might overflow by itself. What weighs
            # nothing may be NaN.
            more = lambda total, leaf: total + jnp.where(own > 0, own * leaf, 0).astype(total.dtype)
            carry = found.state, jax.tree.map(more, gradient, found.gradient), weight + own
            return carry, (rows, found.loss, found.metrics)

        start = state, jax.tree.map(jnp.zeros_like, params), jnp.float32(0)
        parts = jnp.arange(count), cut_rows(batch, count)
        (state, gradient, weight), (rows, loss, metrics) = lax.scan(add, start, parts)
        gradient = jax.tree.map(lambda leaf: ratio((leaf, weight)).astype(leaf.dtype), gradient)
        metrics = {name: _joined(values, rows) for name, values in metrics.items()}
        return Measured(_joined(loss, rows), state, metrics, gradient)

    return measured


def _rows(part: Any) -> jax.Array:
    """Returns what a plain number weighs, the mean of a part: the rows that count."""
    if isinstance(part, dict) and "mask" in part:
        return part["mask"].sum().astype(jnp.float32)
    return jnp.float32(next(leaf.shape[0] for leaf in jax.tree.leaves(part) if jnp.ndim(leaf)))


def _joined(values: Any, rows: jax.Array) -> Any:
    """Returns the sums of pairs, and the mean of numbers, of all parts."""
    if isinstance(values, tuple):
        return tuple(value.sum(0) for value in values)
    return ratio((jnp.where(rows > 0, values * rows, 0).sum(), rows.sum()))
