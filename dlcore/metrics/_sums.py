"""Sums that become a metric: pytrees that add up in a `scan`, over lanes, and across devices."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct


@struct.dataclass
class Mean:
    """A weighted mean in the making: `total / weight`.

    Build one of a batch with `Mean.of`, add them with `+`, and ask for the `value()`. `Mean.zero()` is that of nothing.

    Attributes:
      total: the sum of the values.
      weight: the sum of their weights.

    Example:
      >>> parts = Mean.of(jnp.array([1.0, 2.0])), Mean.of(jnp.array([6.0, 9.0]), where=jnp.array([True, False]))
      >>> (parts[0] + parts[1]).value()
      Array(3., dtype=float32)
    """

    total: Any
    weight: Any

    @classmethod
    def zero(cls) -> "Mean":
        """Returns the mean of nothing, to start from."""
        return cls(jnp.float32(0), jnp.float32(0))

    @classmethod
    def of(cls, values: Any, where: Any = None) -> "Mean":
        """Returns the sums of values, of those alone where a mask is true (or weighted by it)."""
        values = jnp.asarray(values)
        if where is None:
            return cls(values.sum(), jnp.float32(values.size))
        weights = jnp.broadcast_to(jnp.asarray(where), values.shape).astype(jnp.float32)
        return cls(jnp.where(weights > 0, values * weights, 0).sum(), weights.sum())  # what is masked may be NaN

    def __add__(self, other: "Mean") -> "Mean":
        return jax.tree.map(jnp.add, self, other)

    def value(self) -> jax.Array:
        """Returns the mean; of nothing, NaN."""
        return jnp.where(self.weight > 0, self.total / jnp.maximum(self.weight, 1e-38), jnp.nan)


@struct.dataclass
class Moments:
    """Mean and spread of targets, and the squared error of predictions, in the making: for R2.

    Sums of squares of numbers far from 0 would lose their digits: what is kept is centred, and merged by Chan's rule.

    Attributes:
      count: examples.
      mean: of the targets.
      spread: the sum of their squared distances from it.
      error: the sum of the squared errors.

    Example:
      >>> y = jnp.array([1.0, 2.0, 3.0, 4.0])
      >>> (Moments.of(y[:2] + 0.5, y[:2]) + Moments.of(y[2:], y[2:])).r2()
      Array(0.9, dtype=float32)
    """

    count: Any
    mean: Any
    spread: Any
    error: Any

    @classmethod
    def zero(cls) -> "Moments":
        """Returns the moments of nothing, to start from."""
        return cls(*[jnp.float32(0)] * 4)

    @classmethod
    def of(cls, predictions: Any, targets: Any, where: Any = None) -> "Moments":
        """Returns the moments of a batch, of those examples alone where a mask is true."""
        predictions, targets = _same("Moments", predictions, targets)
        kept = jnp.broadcast_to(jnp.asarray(True if where is None else where, bool), targets.shape)
        count = kept.sum().astype(jnp.float32)
        safe = jnp.where(kept, targets, 0)
        mean = safe.sum() / jnp.maximum(count, 1)
        spread = jnp.where(kept, jnp.square(safe - mean), 0).sum()
        return cls(count, mean, spread, jnp.where(kept, jnp.square(jnp.where(kept, predictions, 0) - safe), 0).sum())

    def __add__(self, other: "Moments") -> "Moments":
        count = self.count + other.count
        share = other.count / jnp.maximum(count, 1)
        apart = other.mean - self.mean
        spread = self.spread + other.spread + jnp.square(apart) * self.count * share
        return Moments(count, self.mean + apart * share, spread, self.error + other.error)

    def r2(self) -> jax.Array:
        """Returns the share of the variance that is explained, `1 - error / spread`."""
        return jnp.where(self.spread > 0, 1 - self.error / jnp.where(self.spread > 0, self.spread, 1), jnp.nan)


def r2(predictions: Any, targets: Any, *, where: Any = None) -> jax.Array:
    """R squared, `1 - sum (y - p)^2 / sum (y - mean y)^2`: 1 at best, 0 for the mean, below for worse.

    Args:
      predictions: any shape.
      targets: the same.
      where: booleans of that shape: which count.

    Returns:
      A number; NaN where all targets are one.

    Example:
      >>> r2(jnp.array([1.0, 2.0, 3.0]), jnp.array([1.0, 2.0, 4.0])).round(3)
      Array(0.786, dtype=float32)
    """
    return Moments.of(predictions, targets, where).r2()


def rmse(predictions: Any, targets: Any, *, where: Any = None) -> jax.Array:
    """Root of the mean squared error, in the units of the targets.

    Example:
      >>> rmse(jnp.array([3.0, 0.0]), jnp.array([0.0, 0.0])).round(3)
      Array(2.121, dtype=float32)
    """
    predictions, targets = _same("rmse", predictions, targets)
    return jnp.sqrt(Mean.of(jnp.square(predictions - targets), where).value())


def perplexity(losses: Any, *, where: Any = None) -> jax.Array:
    """Perplexity, the exponential of the mean cross-entropy: among how many words it is as if it had to guess.

    Args:
      losses: cross-entropies in nats, one a token.
      where: booleans of that shape: which tokens count.

    Example:
      >>> perplexity(jnp.log(jnp.array([2.0, 8.0])))
      Array(4., dtype=float32)
    """
    return jnp.exp(Mean.of(losses, where).value())


def _same(name: str, predictions: Any, targets: Any) -> tuple[jax.Array, jax.Array]:
    predictions, targets = jnp.asarray(predictions), jnp.asarray(targets)
    if predictions.shape != targets.shape:
        raise ValueError(
            f"{name}: expected targets of the shape of the predictions {predictions.shape}, found {targets.shape}"
        )
    return predictions.astype(np.result_type(predictions.dtype, np.float32)), targets
