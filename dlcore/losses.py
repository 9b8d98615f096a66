"""Losses: `(predictions, targets) -> array`, unreduced: one value per example, or per position of a sequence.

Whoever calls a loss decides how to weigh and average; `dlcore.train.supervised` sums under a mask. Classification
losses take logits, not probabilities.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

__all__ = ["cross_entropy", "mae", "mse"]


def mse(predictions: Any, targets: Any) -> jax.Array:
    """Squared error, `(prediction - target)^2`, averaged over the last axis where there are two or more.

    With Gaussian noise of fixed variance its minimum is the maximum-likelihood estimate. `optax.l2_loss` is half of it.

    Args:
      predictions: (N, features), (..., features) or (N,).
      targets: of exactly that shape.

    Returns:
      (N,) or (...): one value per example or position.

    Raises:
      ValueError: where the shapes differ: (N,) against (N, 1) would broadcast to (N, N).

    Example:
      >>> mse(jnp.array([[1.0, 2.0]]), jnp.array([[0.0, 0.0]]))
      Array([2.5], dtype=float32)
    """
    return _per_example(jnp.square(_difference("mse", predictions, targets)))


def mae(predictions: Any, targets: Any) -> jax.Array:
    """Absolute error, `|prediction - target|`, averaged over the last axis where there are two or more.

    Args:
      predictions: (N, features), (..., features) or (N,).
      targets: of exactly that shape.

    Returns:
      (N,) or (...): one value per example or position.

    Raises:
      ValueError: where the shapes differ.

    Example:
      >>> mae(jnp.array([[1.0, 2.0]]), jnp.array([[0.0, 0.0]]))
      Array([1.5], dtype=float32)
    """
    return _per_example(jnp.abs(_difference("mae", predictions, targets)))


def cross_entropy(predictions: Any, targets: Any) -> jax.Array:
    """Cross-entropy of the softmax, `-sum_c target_c * log softmax(prediction)_c`, in nats.

    It is convex in the logits (not in the weights of a deep net), and its gradient there is `softmax - target`. It is
    computed from logits in float32 or wider, and stays finite for logits of any size.

    Args:
      predictions: logits (..., classes).
      targets: integer labels (...) in [0, classes), or probabilities (..., classes).

    Returns:
      (...): one value per example or position. Inside compiled code a label outside the classes gives NaN.

    Raises:
      TypeError: for labels (...) that are floating.
      ValueError: for shapes that do not fit, and for concrete labels outside the classes.

    Example:
      >>> cross_entropy(jnp.array([[0.0, 0.0]]), jnp.array([1])).round(4)
      Array([0.6931], dtype=float32)
      >>> cross_entropy(jnp.array([[0.0, 0.0]]), jnp.array([[0.5, 0.5]])).round(4)
      Array([0.6931], dtype=float32)
    """
    given = targets
    logits, targets = jnp.asarray(predictions), jnp.asarray(targets)
    logits = logits.astype(np.promote_types(logits.dtype, np.float32))
    if targets.shape == logits.shape and jnp.issubdtype(targets.dtype, jnp.floating):
        return -jnp.sum(targets * jax.nn.log_softmax(logits), axis=-1)
    if targets.shape != logits.shape[:-1]:
        raise ValueError(
            f"cross_entropy: expected labels {logits.shape[:-1]} or probabilities {logits.shape} for logits "
            f"{logits.shape}, found targets {targets.shape} {targets.dtype}"
        )
    if not jnp.issubdtype(targets.dtype, jnp.integer):
        raise TypeError(f"cross_entropy: labels are integers, found {targets.dtype}: targets.astype('int32')")
    classes = logits.shape[-1]
    if not isinstance(given, Tracer) and targets.size:
        known = np.asarray(given)  # on the host: inside a trace of its own, JAX would trace these too
        low, high = int(known.min()), int(known.max())
        if low < 0 or high >= classes:
            raise ValueError(f"cross_entropy: expected labels in [0, {classes}), found {low} to {high}")
    hit = targets[..., None] == jnp.arange(classes)  # a comparison, not a gather: its gradient needs no scatter
    loss = jax.nn.logsumexp(logits, axis=-1) - jnp.sum(jnp.where(hit, logits, 0), axis=-1)
    return jnp.where((targets < 0) | (targets >= classes), jnp.nan, loss)


def _difference(name: str, predictions: Any, targets: Any) -> jax.Array:
    predictions, targets = jnp.asarray(predictions), jnp.asarray(targets)
    if predictions.shape != targets.shape:
        raise ValueError(
            f"{name}: expected targets of the shape of the predictions {predictions.shape}, found {targets.shape}; "
            "they are not broadcast: targets[:, None], or predictions[:, 0], makes them fit"
        )
    return predictions - targets


def _per_example(values: jax.Array) -> jax.Array:
    return values.mean(axis=-1) if values.ndim > 1 else values
