"""The confusion matrix, and what is read from it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.core import Tracer

AVERAGES = ("micro", "macro", "weighted", None)


@struct.dataclass
class Confusion:
    """How often each class (row) was taken for each (column): counts that add up with `+`.

    A prediction that holds a NaN is taken for no class: it counts as a miss of its label, in `missed`.

    Attributes:
      counts: (classes, classes).
      missed: (classes,), examples without a prediction.

    Example:
      >>> found = Confusion.of(jnp.array([0, 1, 1]), jnp.array([0, 0, 1]), classes=2)
      >>> found.counts.tolist(), found.accuracy().round(3).item(), found.recall(None).tolist()
      ([[1.0, 1.0], [0.0, 1.0]], 0.66..., [0.5, 1.0])
    """

    counts: Any
    missed: Any

    @classmethod
    def zero(cls, classes: int) -> "Confusion":
        """Returns the counts of nothing, to start from."""
        return cls(jnp.zeros((classes, classes)), jnp.zeros(classes))

    @classmethod
    def of(cls, predictions: Any, targets: Any, classes: int | None = None, where: Any = None) -> "Confusion":
        """Returns the counts of a batch.

        Args:
          predictions: logits (..., classes), or predicted classes (...).
          targets: integer labels (...).
          classes: how many; needed for predicted classes.
          where: booleans (...): which examples count.

        Raises:
          ValueError: for shapes that do not fit, and concrete labels or predictions out of range.
        """
        given, targets = jnp.asarray(predictions), jnp.asarray(targets)
        is_missing = jnp.zeros(targets.shape, bool)
        if jnp.issubdtype(given.dtype, jnp.floating):
            classes = given.shape[-1]
            is_missing = jnp.isnan(given.max(axis=-1))
            given = given.argmax(axis=-1)
        if classes is None:
            raise ValueError("classes: how many are there? Predicted classes do not say; logits do")
        if given.shape != targets.shape:
            raise ValueError(f"expected labels {given.shape}, found targets {targets.shape}")
        for name, labels in (("targets", targets), ("predictions", given)):
            if not jnp.issubdtype(labels.dtype, jnp.integer):
                raise TypeError(f"{name}: labels are integers, found {labels.dtype}: {name}.astype('int32')")
            if (
                not isinstance(labels, Tracer)
                and labels.size
                and not 0 <= int(labels.min()) <= int(labels.max()) < classes
            ):
                raise ValueError(
                    f"{name}: expected classes in [0, {classes}), found {int(labels.min())} to {int(labels.max())}"
                )
        weights = jnp.broadcast_to(jnp.asarray(1.0 if where is None else where), targets.shape).astype(jnp.float32)
        rows = jax.nn.one_hot(targets.ravel(), classes) * weights.reshape(-1, 1)
        columns = jax.nn.one_hot(given.ravel(), classes) * ~is_missing.reshape(-1, 1)
        counts = jnp.matmul(rows.T, columns, precision="highest")
        return cls(counts, (rows * is_missing.reshape(-1, 1)).sum(0))

    def __add__(self, other: "Confusion") -> "Confusion":
        return jax.tree.map(jnp.add, self, other)

    def accuracy(self) -> jax.Array:
        """Returns the share of examples whose class was found; of nothing, NaN."""
        total = self.counts.sum() + self.missed.sum()
        return jnp.where(total > 0, jnp.trace(self.counts) / jnp.maximum(total, 1), jnp.nan)

    def precision(self, average: str | None = "macro") -> jax.Array:
        """Returns the share of those taken for a class that are of it; 0 where none was taken for it."""
        right, taken, _ = self._parts(average)
        return self._averaged(_ratio(right, taken), average)

    def recall(self, average: str | None = "macro") -> jax.Array:
        """Returns the share of those of a class that were taken for it; 0 where there are none."""
        right, _, own = self._parts(average)
        return self._averaged(_ratio(right, own), average)

    def f1(self, average: str | None = "macro") -> jax.Array:
        """Returns the harmonic mean of precision and recall, `2 right / (taken + own)`; 0 where there is neither.

        Args:
          average: "macro" over the classes, "weighted" by their sizes, "micro" over all examples together, or None for
            one value a class.
        """
        right, taken, own = self._parts(average)
        return self._averaged(_ratio(2 * right, taken + own), average)

    def _parts(self, average: str | None) -> tuple[jax.Array, jax.Array, jax.Array]:
        if average not in AVERAGES:
            raise ValueError(f"average: expected one of {AVERAGES}, found {average!r}")
        parts = jnp.diagonal(self.counts), self.counts.sum(0), self.counts.sum(1) + self.missed
        return tuple(part.sum() for part in parts) if average == "micro" else parts  # pyright: ignore

    def _averaged(self, values: jax.Array, average: str | None) -> jax.Array:
        own, taken = self.counts.sum(1) + self.missed, self.counts.sum(0)
        if average == "weighted":
            return (values * own).sum() / jnp.maximum(own.sum(), 1)
        # As in scikit-learn: over the classes that occur, as a label or as a prediction.
        occurs = (own + taken) > 0
        return (values * occurs).sum() / jnp.maximum(occurs.sum(), 1) if average == "macro" else values


def confusion_matrix(predictions: Any, targets: Any, classes: int | None = None, *, where: Any = None) -> jax.Array:
    """Counts (classes, classes) of how often each class (row) was taken for each (column). See `Confusion.of`.

    Example:
      >>> confusion_matrix(jnp.array([0, 1, 1]), jnp.array([0, 0, 1]), 2).tolist()
      [[1.0, 1.0], [0.0, 1.0]]
    """
    return Confusion.of(predictions, targets, classes, where).counts


def precision(predictions: Any, targets: Any, *, average: str | None = "macro", where: Any = None) -> jax.Array:
    """The share of those taken for a class that are of it, from logits. See `Confusion.precision`.

    Example:
      >>> precision(jnp.eye(2)[jnp.array([0, 1, 1])], jnp.array([0, 0, 1])).item()
      0.75
    """
    return Confusion.of(predictions, targets, where=where).precision(average)


def recall(predictions: Any, targets: Any, *, average: str | None = "macro", where: Any = None) -> jax.Array:
    """The share of those of a class that were taken for it, from logits. See `Confusion.recall`.

    Example:
      >>> recall(jnp.eye(2)[jnp.array([0, 1, 1])], jnp.array([0, 0, 1])).item()
      0.75
    """
    return Confusion.of(predictions, targets, where=where).recall(average)


def f1(predictions: Any, targets: Any, *, average: str | None = "macro", where: Any = None) -> jax.Array:
    """The harmonic mean of precision and recall, from logits. See `Confusion.f1`.

    Source: van Rijsbergen, 1979.

    Example:
      >>> f1(jnp.eye(2)[jnp.array([0, 1, 1])], jnp.array([0, 0, 1])).round(3).item()
      0.66...
    """
    return Confusion.of(predictions, targets, where=where).f1(average)


def _ratio(part: jax.Array, whole: jax.Array) -> jax.Array:
    return jnp.where(whole > 0, part / jnp.maximum(whole, np.finfo(np.float32).tiny), 0)
