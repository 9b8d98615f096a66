"""Metrics of an order: they need all scores at once, and do not add up."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer


def roc_auc(predictions: Any, targets: Any, *, where: Any = None) -> jax.Array:
    """Area under the ROC curve: the probability that a positive scores above a negative; ties count half.

    It is the Mann-Whitney statistic, from the ranks of the scores.

    Args:
      predictions: scores (N,); or (N, classes), for the mean of the classes, each against the rest.
      targets: (N,) of 0 and 1; or integer labels (N,).
      where: booleans (N,): which count.

    Returns:
      A number; NaN inside compiled code where a class has no example, or all of them.

    Raises:
      ValueError: for shapes that do not fit, labels out of range, and concrete targets of one kind only.

    Source: Hanley and McNeil, 1982.

    Example:
      >>> roc_auc(jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([0, 0, 1, 1]))
      Array(0.75, dtype=float32)
    """
    return _each(_area, "roc_auc", predictions, targets, where)


def average_precision(predictions: Any, targets: Any, *, where: Any = None) -> jax.Array:
    """Average precision, `sum_n (recall_n - recall_{n-1}) * precision_n` down the scores: the area under that curve.

    Args:
      predictions: scores (N,); or (N, classes), for the mean of the classes, each against the rest.
      targets: (N,) of 0 and 1; or integer labels (N,).
      where: booleans (N,): which count.

    Returns:
      A number; NaN inside compiled code where there is no positive.

    Raises:
      ValueError: for shapes that do not fit, labels out of range, and concrete targets of one kind only.

    Example:
      >>> average_precision(jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([0, 0, 1, 1])).round(4)
      Array(0.8333, dtype=float32)
    """
    return _each(_precision, "average_precision", predictions, targets, where)


def _each(measure: Any, name: str, predictions: Any, targets: Any, where: Any) -> jax.Array:
    scores, labels = jnp.asarray(predictions), jnp.asarray(targets)
    if scores.ndim not in (1, 2) or labels.shape != scores.shape[:1]:
        raise ValueError(
            f"{name}: expected scores (N,) or (N, classes) and targets (N,), found {scores.shape}, {labels.shape}"
        )
    classes = 2 if scores.ndim == 1 else scores.shape[1]
    kept = jnp.ones(labels.shape, bool) if where is None else jnp.broadcast_to(jnp.asarray(where, bool), labels.shape)
    if not isinstance(labels, Tracer) and not isinstance(kept, Tracer):
        own = np.asarray(labels)[np.asarray(kept)]
        if own.size and not (0 <= own.min() and own.max() < classes):
            raise ValueError(f"{name}: expected targets in [0, {classes}), found {own.min()} to {own.max()}")
        if missing := [label for label in range(classes) if not (own == label).any()]:
            raise ValueError(f"{name}: no example is of class {missing[0]}: there is nothing to rank")
    if scores.ndim == 1:
        return measure(scores.astype(jnp.float32), labels == 1, kept)
    one = lambda label: measure(scores[:, label].astype(jnp.float32), labels == label, kept)
    return jnp.mean(jnp.stack([one(label) for label in range(classes)]))


def _area(scores: jax.Array, positive: jax.Array, kept: jax.Array) -> jax.Array:
    yes, no = (kept & positive).astype(jnp.float32), (kept & ~positive).astype(jnp.float32)
    order = jnp.argsort(scores)
    scores, yes, no = scores[order], yes[order], no[order]
    below, equal = _below(scores, no)
    whole = yes.sum() * no.sum()
    return jnp.where(whole > 0, (yes * (below + 0.5 * equal)).sum() / jnp.maximum(whole, 1), jnp.nan)


def _precision(scores: jax.Array, positive: jax.Array, kept: jax.Array) -> jax.Array:
    yes, every = (kept & positive).astype(jnp.float32), kept.astype(jnp.float32)
    order = jnp.argsort(scores)
    scores, yes, every = scores[order], yes[order], every[order]
    reached = lambda values: values.sum() - _below(scores, values)[0]  # those at this score and above
    precision = reached(yes) / jnp.maximum(reached(every), 1)
    return jnp.where(yes.sum() > 0, (yes * precision).sum() / jnp.maximum(yes.sum(), 1), jnp.nan)


def _below(scores: jax.Array, values: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the sums of the values at smaller and at equal scores, for sorted scores."""
    before = jnp.concatenate([jnp.zeros(1), jnp.cumsum(values)])
    first, last = jnp.searchsorted(scores, scores, side="left"), jnp.searchsorted(scores, scores, side="right")
    return before[first], before[last] - before[first]
