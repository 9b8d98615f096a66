"""Metrics: `(predictions, targets) -> array`, unreduced like losses, so that masks and averages come out right."""

from typing import Any

import jax
import jax.numpy as jnp

from dlcore.losses import mae, mse

__all__ = ["accuracy", "mae", "mse"]


def accuracy(predictions: Any, targets: Any) -> jax.Array:
    """1 where the largest logit is the label's, else 0; a prediction that holds a NaN counts as wrong.

    Args:
      predictions: logits (..., classes).
      targets: integer labels (...), or probabilities (..., classes), whose largest counts.

    Returns:
      (...) of 0 and 1, float32.

    Example:
      >>> accuracy(jnp.array([[0.0, 1.0], [1.0, 0.0]]), jnp.array([1, 1]))
      Array([1., 0.], dtype=float32)
    """
    predictions, targets = jnp.asarray(predictions), jnp.asarray(targets)
    if targets.shape == predictions.shape:
        targets = targets.argmax(axis=-1)
    if targets.shape != predictions.shape[:-1]:
        raise ValueError(f"accuracy: expected labels {predictions.shape[:-1]}, found targets {targets.shape}")
    known = ~jnp.isnan(predictions.max(axis=-1))
    return ((predictions.argmax(axis=-1) == targets) & known).astype(jnp.float32)
