"""Losses of classification by yes or no."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from dlcore.losses._checks import as_floating, expect_number, masked, per_example, same_shape, zero_outside


def binary_cross_entropy(predictions: Any, targets: Any, *, positive_weight: Any = None, where: Any = None) -> Any:
    """Binary cross-entropy of the sigmoid, `-(w * t * log s(x) + (1 - t) * log(1 - s(x)))`, in nats.

    It is computed from logits, and finite for logits of any size; its gradient there is `s(x) - t`.

    Args:
      predictions: logits (N,), or (..., labels) for several independent yes-or-no questions.
      targets: of exactly that shape, from 0 to 1.
      positive_weight: factor w of the positive term, a number or (labels,): above 1 it finds more, and errs more.
      where: booleans that broadcast to the loss; it is 0 where they are false, and so is its gradient.

    Returns:
      (N,) or (...), averaged over the last axis where there are two or more.

    Raises:
      ValueError: where the shapes differ, and for concrete targets outside [0, 1] (-1 and 1 are for `hinge`).

    Example:
      >>> binary_cross_entropy(jnp.array([0.0, 1e4]), jnp.array([1, 0])).round(4)
      Array([6.931e-01, 1.000e+04], dtype=float32)
    """
    logits, goal = _binary("binary_cross_entropy", predictions, targets, where)
    weight = None if positive_weight is None else jnp.asarray(positive_weight, logits.dtype)
    return zero_outside(where, per_example(_entropy(logits, goal, weight)))


@jax.custom_jvp
def _entropy(x: jax.Array, goal: jax.Array, weight: jax.Array | None) -> jax.Array:
    # -log s(x) = softplus(-x) and -log(1 - s(x)) = softplus(x), of which each is the other and x: one logarithm.
    rest = jnp.log1p(jnp.exp(-jnp.abs(x)))
    if weight is None:
        return jnp.maximum(x, 0) - goal * x + rest
    positive, negative = weight * goal, 1 - goal
    return (positive + negative) * rest + jnp.where(x > 0, negative * x, -positive * x)


@_entropy.defjvp
def _entropy_jvp(primals: Any, tangents: Any) -> Any:
    # By hand, since |x| has no second derivative at 0, where logits begin.
    (x, goal, weight), (x_dot, goal_dot, weight_dot) = primals, tangents
    factor = 1 if weight is None else weight
    slope = (1 - goal) * jax.nn.sigmoid(x) - factor * goal * jax.nn.sigmoid(-x)
    found = jax.nn.softplus(-x)  # left out by the compiler where targets and weights have no tangent
    change = factor * goal_dot if weight is None else factor * goal_dot + weight_dot * goal
    return _entropy(x, goal, weight), slope * x_dot + change * found - goal_dot * (found + x)


def binary_focal(predictions: Any, targets: Any, *, gamma: Any = 2.0, alpha: Any = None, where: Any = None) -> Any:
    """Focal loss of yes or no, `-alpha_t * (1 - p_t)^gamma * log p_t` with p_t the probability of the truth.

    With gamma 0, and without alpha, it is the binary cross-entropy.

    Args:
      predictions: logits (N,) or (..., labels).
      targets: of exactly that shape, from 0 to 1.
      gamma: how much less easy examples count; 0 or more.
      alpha: weight of the positives, and 1 - alpha of the others; .25 in the paper; none by default.
      where: as in `binary_cross_entropy`.

    Returns:
      (N,) or (...), averaged over the last axis where there are two or more.

    Source: Lin, Goyal, Girshick, He and Dollar, Focal Loss for Dense Object Detection, 2017.

    Example:
      >>> binary_focal(jnp.array([0.0]), jnp.array([1])).round(4)
      Array([0.1733], dtype=float32)
    """
    expect_number("gamma", gamma, 0)
    logits, goal = _binary("binary_focal", predictions, targets, where)
    entropy = goal * jax.nn.softplus(-logits) + (1 - goal) * jax.nn.softplus(logits)
    missed = goal * jax.nn.sigmoid(-logits) + (1 - goal) * jax.nn.sigmoid(logits)
    loss = jnp.maximum(missed, jnp.finfo(logits.dtype).tiny) ** gamma * entropy  # off 0: below 1 a power has no slope
    loss = loss if alpha is None else loss * (goal * alpha + (1 - goal) * (1 - jnp.asarray(alpha)))
    return zero_outside(where, per_example(loss))


def hinge(predictions: Any, targets: Any, *, margin: float = 1.0, where: Any = None) -> jax.Array:
    """Hinge loss of support vector machines, `max(0, margin - target * prediction)`.

    Args:
      predictions: scores (N,) or (..., labels).
      targets: of exactly that shape, -1 or 1.
      margin: by how much the score should be on its side.
      where: as in `binary_cross_entropy`.

    Returns:
      (N,) or (...), averaged over the last axis where there are two or more.

    Raises:
      ValueError: where the shapes differ, and for concrete targets other than -1 and 1.

    Source: Cortes and Vapnik, 1995.

    Example:
      >>> hinge(jnp.array([0.5, -2.0]), jnp.array([1, 1]))
      Array([0.5, 3. ], dtype=float32)
    """
    return zero_outside(where, per_example(_hinge("hinge", predictions, targets, margin, where)))


def squared_hinge(predictions: Any, targets: Any, *, margin: float = 1.0, where: Any = None) -> jax.Array:
    """Squared hinge loss, `max(0, margin - target * prediction)^2`: smooth where the hinge has its kink.

    Args:
      predictions: scores (N,) or (..., labels).
      targets: of exactly that shape, -1 or 1.
      margin: as in `hinge`.
      where: as in `binary_cross_entropy`.

    Returns:
      (N,) or (...), averaged over the last axis where there are two or more.

    Example:
      >>> squared_hinge(jnp.array([0.5, -2.0]), jnp.array([1, 1]))
      Array([0.25, 9.  ], dtype=float32)
    """
    return zero_outside(where, per_example(jnp.square(_hinge("squared_hinge", predictions, targets, margin, where))))


def _hinge(name: str, predictions: Any, targets: Any, margin: float, where: Any) -> jax.Array:
    (scores,) = as_floating(name, predictions)
    scores, signs = same_shape(name, scores, targets)
    if not isinstance(targets, Tracer) and not np.isin(np.asarray(targets), (-1, 1)).all():
        raise ValueError(f"{name}: expected targets -1 and 1, found others: 2 * targets - 1 makes them of 0 and 1")
    scores, signs = masked(where, scores.shape[: max(1, scores.ndim - 1)], scores, signs.astype(scores.dtype))
    return jnp.maximum(margin - signs * scores, 0)


def _binary(name: str, predictions: Any, targets: Any, where: Any) -> list[jax.Array]:
    (logits,) = as_floating(name, predictions)
    logits, goal = same_shape(name, logits, targets)
    if not isinstance(targets, Tracer) and np.size(targets):
        known = np.asarray(targets)
        if not (known.min() >= 0 and known.max() <= 1):
            raise ValueError(f"{name}: expected targets from 0 to 1, found {known.min()} to {known.max()}")
    return masked(where, logits.shape[: max(1, logits.ndim - 1)], logits, goal.astype(logits.dtype))
