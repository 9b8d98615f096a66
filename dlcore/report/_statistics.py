"""How sure we are: means with intervals, and paired comparisons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from dlcore.errors import suggest


class Interval(NamedTuple):
    """A mean with its confidence interval; not a number where one value, or none, says nothing of the spread."""

    mean: float
    low: float
    high: float
    count: int


def mean_interval(values: Any, confidence: float = 0.95) -> Interval:
    """Returns the mean of the finite values with Student's interval: mean +- t * s / sqrt(n).

    Args:
      values: (n,).
      confidence: the probability with which such intervals hold the true mean.

    Source: Student, The Probable Error of a Mean, 1908.

    Example:
      >>> mean_interval([1.0, 2.0, 3.0])
      Interval(mean=2.0, low=-0.484..., high=4.484..., count=3)
    """
    mean, half, count = mean_and_half(np.asarray(values, float).reshape(-1, 1), confidence)
    return Interval(float(mean[0]), float(mean[0] - half[0]), float(mean[0] + half[0]), int(count[0]))


def mean_and_half(rows: np.ndarray, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns mean, half the width of the interval, and number of the finite values of each column of (n, steps)."""
    from scipy.stats import t

    known = np.isfinite(rows)
    count = known.sum(0)
    some = np.maximum(count, 1)
    mean = np.where(known, rows, 0).sum(0) / some
    variance = np.where(known, rows - mean, 0.0) ** 2
    deviation = np.sqrt(variance.sum(0) / np.maximum(count - 1, 1))
    half = t.ppf((1 + confidence) / 2, np.maximum(count - 1, 1)) * deviation / np.sqrt(some)
    return np.where(count > 0, mean, np.nan), np.where(count > 1, half, np.nan), count


@dataclass(frozen=True)
class Comparison:
    """A paired difference b - a.

    Attributes:
      difference: the mean over the pairs.
      low: end of the interval.
      high: end of the interval.
      probability: in how many of the resamples b's mean is the larger one; ties count half.
      pairs: how many pairs.
      dropped: pairs left out because one of the two is not finite.
      confidence: of the interval.
    """

    difference: float
    low: float
    high: float
    probability: float
    pairs: int
    dropped: int
    confidence: float

    def __repr__(self) -> str:
        dropped = f", {self.dropped} not finite left out" if self.dropped else ""
        return (
            f"difference {self.difference:+.4g}, {self.confidence:.0%} interval {self.low:+.4g} to {self.high:+.4g}; "
            f"the second is larger with probability {self.probability:.3g} ({self.pairs} pairs{dropped})"
        )


def paired_bootstrap(a: Any, b: Any, *, resamples: int = 10_000, confidence: float = 0.95, seed: int = 0) -> Comparison:
    """Compares paired values by drawing pairs anew, with replacement.

    Args:
      a: (n,).
      b: (n,), each beside its partner in a.
      resamples: how often n pairs are drawn.
      confidence: of the interval between percentiles of the resampled means.
      seed: of the draws.

    Raises:
      ValueError: for arrays of different shapes, and for fewer than two pairs.

    Source: Efron, Bootstrap Methods: Another Look at the Jackknife, 1979.

    Example:
      >>> paired_bootstrap([1.0, 2.0, 3.0], [2.0, 3.0, 4.0])
      difference +1, 95% interval +1 to +1; the second is larger with probability 1 (3 pairs)
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"paired_bootstrap: expected two lists of one length, found shapes {a.shape} and {b.shape}")
    known = np.isfinite(a) & np.isfinite(b)
    differences = (b - a)[known]
    if len(differences) < 2:
        raise ValueError(f"paired_bootstrap: expected two or more pairs, found {len(differences)}; train more seeds")
    generator = np.random.default_rng(seed)
    means = np.array(
        [differences[generator.integers(len(differences), size=len(differences))].mean() for _ in range(resamples)]
    )
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    larger = float((means > 0).mean() + (means == 0).mean() / 2)
    dropped = int((~known).sum())
    return Comparison(float(differences.mean()), float(low), float(high), larger, len(differences), dropped, confidence)


def summarise(rows: Sequence[Mapping[str, Any]], by: Sequence[str], values: Sequence[str]) -> list[dict[str, Any]]:
    """Groups rows that are equal in some columns, in the order of their first, and averages others.

    Args:
      rows: dicts by column.
      by: the columns that make a group.
      values: the columns to average.

    Returns:
      A dict a group: the columns of `by`, `count`, and an `Interval` for each of `values`.

    Raises:
      ValueError: for a column that is not there.

    Example:
      >>> summarise([{"rate": 0.1, "loss": 1.0}, {"rate": 0.1, "loss": 3.0}], ["rate"], ["loss"])[0]["loss"].mean
      2.0
    """
    check_columns(rows, *by, *values)
    groups: dict[Any, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(same(row[name]) for name in by), []).append(row)
    return [
        {name: own[0][name] for name in by}
        | {"count": len(own)}
        | {name: mean_interval([row[name] for row in own]) for name in values}
        for own in groups.values()
    ]


def check_columns(rows: Sequence[Mapping[str, Any]], *names: str) -> None:
    """Refuses names that are no columns."""
    if not rows:
        raise ValueError("there are no rows")
    for name in names:
        if name not in rows[0]:
            raise ValueError(f"there is no column {name!r}{suggest(name, rows[0])}")


def same(value: Any) -> Any:
    """Returns what stands for a value where rows are grouped: numbers and texts for themselves."""
    return (type(value), value) if isinstance(value, int | float | str) else repr(value)


def label(value: Any) -> str:
    """Returns a value as a short text."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, str):
        return value
    name = getattr(value, "__name__", None)
    return name if isinstance(name, str) else repr(value)
