"""Classes of uneven size: weights, and more rows of the rare ones."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from dlcore.data import _rows


def class_weights(y: Any, classes: int) -> np.ndarray:
    r"""Weights that let every class count as much as every other in a mean: $w_c = N / (k N_c)$.

    Args:
        y: (N,) integer labels of the training rows.
        classes: how many classes there are, $k$.

    Returns:
        (classes,) float32; their mean over the rows is 1. `class_weights(y, k)[y]` are weights of the rows.

    Raises:
        TypeError: labels or `classes` are not integers.
        ValueError: a label is outside `[0, classes)`, or a class has no row.

    Source: King and Zeng, Logistic Regression in Rare Events Data (2001); "balanced" in scikit-learn.

    Example:
        >>> class_weights([0, 0, 0, 1], 2).tolist()
        [0.6666667, 2.0]
    """
    counts = np.bincount(_rows.labels_below("class_weights", y, classes), minlength=int(classes))
    if not counts.all():
        raise ValueError(
            f"class_weights y: expected a row of every class, found none of class {int(counts.argmin())}, which would "
            "weigh infinitely much; leave that class out or pass more rows"
        )
    return (counts.sum() / (len(counts) * counts)).astype(np.float32)


def oversample(x: Any, y: Any, key: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Repeats rows of the smaller classes at random until every class is as large as the largest.

    Only training rows may be given: a row repeated before the split would be on both sides of it.

    Args:
        x: (N, ...) inputs.
        y: (N,) integer labels.
        key: the seed, a non-negative integer.

    Returns:
        `(x, y)`: the rows as given, and behind them the repeated ones, drawn with replacement.

    Raises:
        TypeError: labels or `key` are not integers.
        ValueError: x and y differ in length, or there is no row.

    Source: Japkowicz and Stephen, The Class Imbalance Problem (2002).

    Example:
        >>> x, y = oversample(np.array([[1.0], [2.0], [3.0]]), [0, 0, 1])
        >>> x.tolist(), y.tolist()
        ([[1.0], [2.0], [3.0], [3.0]], [0, 0, 1, 1])
    """
    x, y = _rows.pair("oversample", x, y)
    generator = _rows.generator("oversample", key)
    further = [generator.choice(members, missing) for members, missing in _missing(y)]
    rows = np.concatenate([np.arange(len(y)), *further])
    return x[rows], y[rows]


def smote(x: Any, y: Any, *, neighbors: int = 5, key: int = 0) -> tuple[np.ndarray, np.ndarray]:
    r"""Invents rows of the smaller classes, between near ones of the class, until all are as large as the largest.

    A new row is $x_i + u (x_j - x_i)$, with $x_i$ drawn from the class, $x_j$ from the `neighbors` rows of the same
    class nearest to it, and $u$ uniform on $[0, 1)$. Only training rows may be given, scaled alike in every feature.

    Args:
        x: (N, ...) floating inputs; integers are codes or counts, between which there is nothing.
        y: (N,) integer labels.
        neighbors: how many nearest rows of the same class are drawn from, by Euclidean distance.
        key: the seed, a non-negative integer.

    Returns:
        `(x, y)`: the rows as given, and behind them the new ones, in the dtype of x.

    Raises:
        TypeError: x is not floating, or labels, `neighbors` or `key` are not integers.
        ValueError: a class that must grow has not more rows than `neighbors`, x is not finite, or x and y differ.

    Source: Chawla, Bowyer, Hall and Kegelmeyer, SMOTE: Synthetic Minority Over-sampling Technique (2002).

    Example:
        >>> x, y = smote(np.array([[0.0], [1.0], [8.0], [8.5], [9.0]]), [1, 1, 0, 0, 0], neighbors=1)
        >>> y.tolist(), bool(0 <= x[-1, 0] <= 1)
        ([1, 1, 0, 0, 0, 1], True)
    """
    from sklearn.neighbors import NearestNeighbors

    x, y = _rows.pair("smote", x, y)
    if x.dtype.kind != "f":
        raise TypeError(f"smote x: expected floating features, found {x.dtype}; use oversample for codes and counts")
    if not np.isfinite(x).all():
        raise ValueError("smote x: expected finite numbers, found NaN or infinity; fill in the missing values")
    if isinstance(neighbors, bool) or not isinstance(neighbors, numbers.Integral):
        raise TypeError(f"smote neighbors: expected an int, found {type(neighbors).__name__}")
    if neighbors < 1:
        raise ValueError(f"smote neighbors: expected at least 1, found {neighbors}")
    generator, flat = _rows.generator("smote", key), x.reshape(len(x), -1)
    new_x, new_y = [flat], [y]
    for members, missing in _missing(y):
        if not missing:
            continue
        if len(members) <= neighbors:
            raise ValueError(
                f"smote neighbors: class {y[members[0]]} has {len(members)} rows, so {len(members) - 1} neighbors at "
                f"most, found {neighbors}; lower it, or use oversample"
            )
        own = flat[members]
        # Without an argument, a row is no neighbour of itself, also where another row equals it.
        near = NearestNeighbors(n_neighbors=int(neighbors)).fit(own).kneighbors(return_distance=False)
        first = generator.integers(len(members), size=missing)
        second = near[first, generator.integers(int(neighbors), size=missing)]
        share = generator.random((missing, 1))
        new_x.append((own[first] + share * (own[second] - own[first])).astype(x.dtype))
        new_y.append(np.full(missing, y[members[0]], y.dtype))
    return np.concatenate(new_x).reshape(-1, *x.shape[1:]), np.concatenate(new_y)


def _missing(y: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """The rows of each class, and how many it has fewer than the largest."""
    classes = [np.flatnonzero(y == label) for label in np.unique(y)]
    most = max(map(len, classes))
    return [(members, most - len(members)) for members in classes]
