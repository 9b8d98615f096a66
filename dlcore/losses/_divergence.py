"""How far one distribution is from another, or from certainty."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import xlogy

from dlcore.losses._checks import as_floating, masked, same_shape, zero_outside


def kl_divergence(predictions: Any, targets: Any, *, where: Any = None) -> jax.Array:
    """Kullback-Leibler divergence of predicted probabilities from target ones, `sum_c t_c * (log t_c - log p_c)`.

    It is the cross-entropy less the entropy of the targets: it has the same gradient, and 0 for its minimum.

    Args:
      predictions: logits (..., classes); p is their softmax. (For log-probabilities it is the same.)
      targets: probabilities of exactly that shape.
      where: booleans (...) or what broadcasts to it; the loss is 0 where they are false, and so is its gradient.

    Returns:
      (...): one value per example or position, in nats.

    Raises:
      ValueError: where the shapes differ.

    Source: Kullback and Leibler, 1951.

    Example:
      >>> kl_divergence(jnp.array([[0.0, 0.0]]), jnp.array([[1.0, 0.0]])).round(4)
      Array([0.6931], dtype=float32)
    """
    logits, goal = same_shape("kl_divergence", *as_floating("kl_divergence", predictions, targets))
    logits, goal = masked(where, logits.shape[:-1], logits, goal)
    return zero_outside(where, jnp.sum(xlogy(goal, goal) - goal * jax.nn.log_softmax(logits), axis=-1))


def entropy(predictions: Any, *, where: Any = None) -> jax.Array:
    """Entropy of a softmax, `-sum_c p_c * log p_c`: 0 where it is certain, `log classes` where it knows nothing.

    Args:
      predictions: logits (..., classes).
      where: as in `kl_divergence`.

    Returns:
      (...), in nats.

    Source: Shannon, 1948.

    Example:
      >>> entropy(jnp.array([[0.0, 0.0], [1e4, 0.0]])).round(4)
      Array([0.6931, 0.    ], dtype=float32)
    """
    (logits,) = as_floating("entropy", predictions)
    (logits,) = masked(where, logits.shape[:-1], logits)
    log_p = jax.nn.log_softmax(logits)
    return zero_outside(where, 0 - jnp.sum(jnp.exp(log_p) * log_p, axis=-1))
