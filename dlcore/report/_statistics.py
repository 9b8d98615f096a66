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
      larger: in which share of the resamples b's mean is the larger one; ties count half.
      pairs: how many pairs.
      dropped: pairs left out because one of the two is not finite.
      confidence: of the interval.
      what: what the values are.
      names: of a and b.
    """

    difference: float
    low: float
    high: float
    larger: float
    pairs: int
    dropped: int
    confidence: float
    what: str = ""
    names: tuple[str, str] = ("a", "b")

    def __repr__(self) -> str:
        dropped = f", {self.dropped} not finite left out" if self.dropped else ""
        what = self.what and f"{self.what.replace('_', ' ')}: "
        return (
            f"{what}{self.names[1]} minus {self.names[0]}: {self.difference:+.4g}, {self.confidence:.0%} interval "
            f"{self.low:+.4g} to {self.high:+.4g}; above 0 in {100 * self.larger:.4g}% of the resamples "
            f"({self.pairs} pairs{dropped})"
        )


def paired_bootstrap(
    a: Any,
    b: Any,
    *,
    resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
    what: str = "",
    names: tuple[str, str] = ("a", "b"),
) -> Comparison:
    """Compares paired values by drawing pairs anew, with replacement.

    Args:
      a: (n,).
      b: (n,), each beside its partner in a.
      resamples: how often n pairs are drawn.
      confidence: of the interval between percentiles of the resampled means.
      seed: of the draws.
      what: what the values are, for what is printed.
      names: what a and b are called.

    Raises:
      ValueError: for arrays of different shapes, and for fewer than two pairs.

    Source: Efron, Bootstrap Methods: Another Look at the Jackknife, 1979.

    Example:
      >>> paired_bootstrap([1.0, 2.0, 3.0], [2.0, 3.0, 4.0])
      b minus a: +1, 95% interval +1 to +1; above 0 in 100% of the resamples (3 pairs)
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"paired_bootstrap: expected two lists of one length, found shapes {a.shape} and {b.shape}")
    known = np.isfinite(a) & np.isfinite(b)
    differences = (b - a)[known]
    if len(differences) < 2:
        raise ValueError(f"paired_bootstrap: expected two or more pairs, found {len(differences)}; train more seeds")
    count = len(differences)
    # How often each pair is drawn: a multinomial, so that all resamples are one product.
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
    means = drawn @ differences / count
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    larger = float((means > 0).mean() + (means == 0).mean() / 2)
    dropped = int((~known).sum())
    difference = float(differences.mean())
    return Comparison(difference, float(low), float(high), larger, count, dropped, confidence, what, names)


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
