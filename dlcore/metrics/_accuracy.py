"""How often the label is found: metrics of single examples."""

from typing import Any

import jax
import jax.numpy as jnp

from dlcore.checks import expect_positive
from dlcore.recipe import recipe


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


@recipe
def top_k(k: int = 5) -> Any:
    """1 where the label is among the k largest logits, else 0: a metric, as `accuracy` is that of k = 1.

    Of equal logits the one of the smaller class comes first. A prediction that holds a NaN counts as wrong.

    Args:
      k: how many.

    Returns:
      A metric from (logits (..., classes), integer labels (...)) to (...) of 0 and 1.

    Raises:
      ValueError: for a k that is not positive; by the metric, for more than there are classes.

    Example:
      >>> top_k(2)(jnp.array([[0.1, 0.5, 0.4], [0.1, 0.5, 0.4]]), jnp.array([2, 0]))
      Array([1., 0.], dtype=float32)
    """
    expect_positive(k=k)

    def found(predictions: Any, targets: Any) -> jax.Array:
        predictions, targets = jnp.asarray(predictions), jnp.asarray(targets)
        if targets.shape != predictions.shape[:-1]:
            raise ValueError(f"top_k: expected labels {predictions.shape[:-1]}, found targets {targets.shape}")
        if k > predictions.shape[-1]:
            raise ValueError(f"top_k: expected k of at most {predictions.shape[-1]} classes, found {k}")
        known = ~jnp.isnan(predictions.max(axis=-1))
        among = (jax.lax.top_k(predictions, k)[1] == targets[..., None]).any(-1)
        return (among & known).astype(jnp.float32)

    found.__name__ = f"top_{k}"  # what `fit` calls it
    return found


def brier(predictions: Any, targets: Any) -> jax.Array:
    """Brier score, `sum_c (softmax(prediction)_c - target_c)^2`: 0 at best, 2 where it is sure and wrong.

    (For two classes it is twice the score with the positive probability alone, which scikit-learn gives.)

    Args:
      predictions: logits (..., classes).
      targets: integer labels (...).

    Returns:
      (...), float32.

    Source: Brier, Verification of Forecasts Expressed in Terms of Probability, 1950.

    Example:
      >>> brier(jnp.array([[0.0, 0.0]]), jnp.array([1]))
      Array([0.5], dtype=float32)
    """
    predictions, targets = jnp.asarray(predictions), jnp.asarray(targets)
    if targets.shape != predictions.shape[:-1]:
        raise ValueError(f"brier: expected labels {predictions.shape[:-1]}, found targets {targets.shape}")
    hit = targets[..., None] == jnp.arange(predictions.shape[-1])
    probabilities = jax.nn.softmax(predictions.astype(jnp.float32))
    return jnp.square(probabilities - hit).sum(-1)
