"""Whether a model is as often right as it is sure."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from dlcore.checks import expect_positive


@struct.dataclass
class Calibration:
    """Confidence and accuracy in bins of confidence: sums that add up with `+`.

    Attributes:
      count: (bins,) examples.
      confidence: (bins,), the sums of their largest probabilities.
      right: (bins,), how many were right.

    Example:
      >>> found = Calibration.of(jnp.log(jnp.array([[0.9, 0.1], [0.8, 0.2]])), jnp.array([0, 1]), bins=10)
      >>> found.error().round(3)  # in one bin sure by .9 and right, in another by .8 and wrong
      Array(0.45, dtype=float32)
    """

    count: Any
    confidence: Any
    right: Any

    @classmethod
    def zero(cls, bins: int = 15) -> "Calibration":
        """Returns the sums of nothing, to start from."""
        return cls(jnp.zeros(bins), jnp.zeros(bins), jnp.zeros(bins))

    @classmethod
    def of(cls, predictions: Any, targets: Any, bins: int = 15, where: Any = None) -> "Calibration":
        """Returns the sums of a batch.

        Args:
          predictions: logits (..., classes).
          targets: integer labels (...).
          bins: of equal width, each with its upper end.
          where: booleans (...): which examples count.
        """
        expect_positive(bins=bins)
        logits, labels = jnp.asarray(predictions), jnp.asarray(targets)
        if labels.shape != logits.shape[:-1]:
            raise ValueError(f"expected labels {logits.shape[:-1]}, found targets {labels.shape}")
        sure = jax.nn.softmax(logits.astype(jnp.float32)).max(-1).ravel()
        right = (logits.argmax(-1) == labels).ravel()
        weights = jnp.broadcast_to(jnp.asarray(1.0 if where is None else where), labels.shape).astype(jnp.float32)
        place = jnp.clip(jnp.ceil(sure * bins).astype(jnp.int32) - 1, 0, bins - 1)
        hits = jax.nn.one_hot(place, bins) * weights.reshape(-1, 1)
        return cls(hits.sum(0), jnp.where(hits > 0, hits * sure[:, None], 0).sum(0), (hits * right[:, None]).sum(0))

    def __add__(self, other: "Calibration") -> "Calibration":
        return jax.tree.map(jnp.add, self, other)

    def error(self) -> jax.Array:
        """Returns the expected calibration error, `sum_b count_b / N * |accuracy_b - confidence_b|`."""
        total = self.count.sum()
        return jnp.where(total > 0, jnp.abs(self.right - self.confidence).sum() / jnp.maximum(total, 1), jnp.nan)


def calibration_error(predictions: Any, targets: Any, *, bins: int = 15, where: Any = None) -> jax.Array:
    """Expected calibration error (ECE), the mean gap of accuracy and confidence over bins of confidence.

    Args:
      predictions: logits (..., classes).
      targets: integer labels (...).
      bins: of equal width; 15 as published.
      where: booleans (...): which examples count.

    Source: Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks, 2017.

    Example:
      >>> calibration_error(jnp.log(jnp.array([[0.75, 0.25]] * 4)), jnp.array([0, 0, 0, 1])).item()
      0.0
    """
    return Calibration.of(predictions, targets, bins, where).error()
