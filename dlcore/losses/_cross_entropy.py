"""Losses of classification by one of several classes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.losses._checks import as_floating, expect_labels, expect_number, masked, zero_outside


def cross_entropy(
    predictions: Any,
    targets: Any,
    *,
    label_smoothing: Any = 0.0,
    ignore_index: int | None = None,
    class_weights: Any = None,
    where: Any = None,
) -> jax.Array:
    """Cross-entropy of the softmax, `-sum_c target_c * log softmax(prediction)_c`, in nats.

    It is the entropy of the targets plus the divergence from them. It is convex in the logits (not in the weights of a
    deep net), and its gradient there is `softmax - target`. It is computed from logits in float32 or wider, and stays
    finite for logits of any size.

    Args:
      predictions: logits (..., classes).
      targets: integer labels (...) in [0, classes), or probabilities (..., classes).
      label_smoothing: s makes `(1 - s) * target + s / classes` of the targets; from 0 to 1, may be traced.
      ignore_index: a label that does not count: its loss is 0, and so is its gradient. A mean must be taken over the
        others: give batches a `mask` of them.
      class_weights: (classes,), factors of the terms of the sum; a weighted mean divides by those of the labels.
      where: booleans (...) or what broadcasts to it; the loss is 0 where they are false, and so is its gradient.

    Returns:
      (...): one value per example or position. Inside compiled code a label outside the classes gives NaN.

    Raises:
      TypeError: for labels (...) that are floating.
      ValueError: for shapes that do not fit, for concrete labels outside the classes, for a smoothing out of range.

    Source: label smoothing: Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, 2016.

    Example:
      >>> cross_entropy(jnp.array([[0.0, 0.0]]), jnp.array([1])).round(4)
      Array([0.6931], dtype=float32)
      >>> cross_entropy(jnp.array([[0.0, 0.0]]), jnp.array([[0.5, 0.5]])).round(4)
      Array([0.6931], dtype=float32)
    """
    expect_number("label_smoothing", label_smoothing, 0, 1)
    logits = jnp.asarray(predictions)
    logits = logits.astype(np.promote_types(logits.dtype, np.float32))
    classes = logits.shape[-1]
    if class_weights is not None and np.shape(class_weights) != (classes,):
        raise ValueError(f"class_weights: expected ({classes},), found {np.shape(class_weights)}")
    is_plain = class_weights is None and isinstance(label_smoothing, int | float) and label_smoothing == 0
    goal = jnp.asarray(targets)
    if goal.shape == logits.shape and jnp.issubdtype(goal.dtype, jnp.floating):
        if ignore_index is not None:
            raise ValueError("ignore_index: probabilities hold no label to ignore; give `where`")
        logits, goal = masked(where, logits.shape[:-1], logits, goal)
        loss = -jnp.sum(_weighted(goal, label_smoothing, class_weights) * jax.nn.log_softmax(logits), axis=-1)
        return zero_outside(where, loss)
    goal = _labels("cross_entropy", logits, targets, ignore_index)
    if ignore_index is not None:
        kept = goal != ignore_index
        where, goal = kept if where is None else kept & where, jnp.where(kept, goal, 0)
    logits, goal = masked(where, logits.shape[:-1], logits, goal)
    if is_plain:
        place = jnp.where(goal < 0, classes, goal)[..., None]  # -1 would be the last class
        own = jnp.take_along_axis(logits, place, axis=-1, mode="fill", fill_value=jnp.nan)[..., 0]
        loss = jax.nn.logsumexp(logits, axis=-1) - own
    else:
        hit = goal[..., None] == jnp.arange(classes)
        weights = _weighted(hit.astype(logits.dtype), label_smoothing, class_weights)
        loss = -jnp.sum(weights * jax.nn.log_softmax(logits), axis=-1)
    return zero_outside(where, jnp.where((goal < 0) | (goal >= classes), jnp.nan, loss))


def focal(predictions: Any, targets: Any, *, gamma: Any = 2.0, class_weights: Any = None, where: Any = None) -> Any:
    """Focal loss, `-(1 - p)^gamma * log p` with p the probability of the label: easy examples count less.

    With gamma 0 it is the cross-entropy.

    Args:
      predictions: logits (..., classes).
      targets: integer labels (...) in [0, classes).
      gamma: how much less; 0 or more.
      class_weights: (classes,), the paper's alpha.
      where: as in `cross_entropy`.

    Returns:
      (...): one value per example or position.

    Source: Lin, Goyal, Girshick, He and Dollar, Focal Loss for Dense Object Detection, 2017.

    Example:
      >>> focal(jnp.array([[0.0, 0.0]]), jnp.array([1])).round(4)  # a quarter of log 2
      Array([0.1733], dtype=float32)
    """
    expect_number("gamma", gamma, 0)
    (logits,) = as_floating("focal", predictions)
    loss = cross_entropy(logits, targets, where=where)
    (logits,) = masked(where, loss.shape, logits)
    labels = jnp.where(jnp.asarray(True if where is None else where), _labels("focal", logits, targets, None), 0)
    hit = labels[..., None] == jnp.arange(logits.shape[-1])
    # 1 - p as the sum of the others' probabilities: near p = 1 a difference would lose all digits. And kept off 0,
    # where a power below 1 has no slope.
    others = jnp.sum(jnp.where(hit, 0, jax.nn.softmax(logits)), axis=-1)
    factor = jnp.maximum(others, jnp.finfo(logits.dtype).tiny) ** gamma
    weight = 1.0 if class_weights is None else jnp.sum(jnp.where(hit, jnp.asarray(class_weights), 0), axis=-1)
    return zero_outside(where, weight * factor * loss)


def multiclass_hinge(
    predictions: Any, targets: Any, *, margin: float = 1.0, summed: bool = False, where: Any = None
) -> jax.Array:
    """Multi-class hinge, `max_j max(0, margin + x_j - x_label)` over the other classes.

    Args:
      predictions: scores (..., classes).
      targets: integer labels (...) in [0, classes).
      margin: by how much the label should lead.
      summed: whether to take the sum over the other classes, divided by their number with the label's, as PyTorch does
        (Weston and Watkins, 1999), and not the largest (Crammer and Singer, 2001, as in Keras and scikit-learn).
      where: as in `cross_entropy`.

    Returns:
      (...): one value per example or position.

    Source: Crammer and Singer, 2001.

    Example:
      >>> multiclass_hinge(jnp.array([[2.0, 1.5, 0.0]]), jnp.array([0]))
      Array([0.5], dtype=float32)
    """
    (scores,) = as_floating("multiclass_hinge", predictions)
    labels = _labels("multiclass_hinge", scores, targets, None)
    scores, labels = masked(where, labels.shape, scores, labels)
    classes = scores.shape[-1]
    hit = labels[..., None] == jnp.arange(classes)
    own = jnp.sum(jnp.where(hit, scores, 0), axis=-1, keepdims=True)
    over = jnp.where(hit, 0, jnp.maximum(margin + scores - own, 0))
    loss = over.sum(-1) / classes if summed else over.max(-1)
    return zero_outside(where, jnp.where((labels < 0) | (labels >= classes), jnp.nan, loss))


def _weighted(target: jax.Array, smoothing: Any, weights: Any) -> jax.Array:
    smoothing = jnp.asarray(smoothing, target.dtype)
    target = (1 - smoothing) * target + smoothing / target.shape[-1]
    return target if weights is None else target * jnp.asarray(weights, target.dtype)


def _labels(name: str, logits: jax.Array, targets: Any, ignore: int | None) -> jax.Array:
    labels = jnp.asarray(targets)
    if labels.shape != logits.shape[:-1]:
        raise ValueError(
            f"{name}: expected labels {logits.shape[:-1]} or probabilities {logits.shape} for logits "
            f"{logits.shape}, found targets {labels.shape} {labels.dtype}"
        )
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"{name}: labels are integers, found {labels.dtype}: targets.astype('int32')")
    expect_labels(name, targets, logits.shape[-1], ignore)
    return labels
