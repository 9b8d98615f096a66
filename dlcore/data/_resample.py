"""Classes of uneven size, labels that are wrong, and fewer rows: what changes which rows a model trains on."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
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


def label_noise(
    y: Any, rate: float | None, classes: int, key: int = 0, *, matrix: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Makes some labels wrong, to see what a method does about it.

    Args:
        y: (N,) integer labels.
        rate: the chance that a label becomes one of the others, all alike, from 0 to 1; None where `matrix` is given.
        classes: how many classes there are.
        key: the seed, a non-negative integer.
        matrix: (classes, classes) chances, `matrix[i, j]` that label i becomes j; every row has the sum 1.

    Returns:
        `(labels, flipped)`: (N,) in the dtype of y, and (N,) booleans that tell which are no longer as given.

    Raises:
        TypeError: labels, `classes` or `key` are not integers.
        ValueError: `rate` is not in [0, 1], both or neither of `rate` and `matrix` are given, or `matrix` has another
            shape or rows that are no chances.

    Source: Angluin and Laird, Learning from Noisy Examples (1988); the matrix is Patrini and others, Making Deep
    Neural Networks Robust to Label Noise (2017).

    Example:
        >>> labels, flipped = label_noise(np.zeros(1000, int), 0.2, 10)
        >>> bool((flipped == (labels != 0)).all()), round(float(flipped.mean()), 1)
        (True, 0.2)
    """
    y = _rows.labels_below("label_noise", y, classes)
    generator, k = _rows.generator("label_noise", key), int(classes)
    if (rate is None) == (matrix is None):
        raise ValueError("label_noise: expected either a rate or a matrix; pass rate=None with a matrix")
    if rate is not None:
        if not 0 <= rate <= 1:
            raise ValueError(f"label_noise rate: expected a chance from 0 to 1, found {rate}")
        if k < 2 and rate > 0:
            raise ValueError("label_noise classes: expected at least 2, so that there is another label, found 1")
        chances = np.full((k, k), rate / max(1, k - 1))
        np.fill_diagonal(chances, 1 - rate)
    else:
        chances = np.asarray(matrix, np.float64)
        if chances.shape != (k, k):
            raise ValueError(f"label_noise matrix: expected shape ({k}, {k}), found {chances.shape}")
        if not (np.all(chances >= 0) and np.allclose(chances.sum(axis=1), 1, atol=1e-6)):
            raise ValueError("label_noise matrix: expected chances of 0 or more, and the sum 1 in every row")
    # The last bound is made infinite: a sum of 1 - 1e-16 must not let a draw fall behind all of them.
    bounds = np.cumsum(chances, axis=1)
    last = k - 1 - np.argmax(chances[:, ::-1] > 0, axis=1)
    bounds[np.arange(k) >= last[:, None]] = np.inf
    drawn = (generator.random(len(y))[:, None] >= bounds[y.astype(int)]).sum(axis=1)
    noisy = drawn.astype(y.dtype)
    return noisy, noisy != y


def learning_curve_subsets(
    y: Any, fractions: Sequence[float], key: int = 0, *, stratify: bool = True
) -> list[np.ndarray]:
    """Draws subsets of the training rows, each within the next: what a model would have been given with less data.

    Args:
        y: (N,) integer labels, or any (N, ...) when `stratify=False`.
        fractions: the part of the rows in each subset, above 0 and at most 1, rising.
        key: the seed, a non-negative integer.
        stratify: take `round(fraction * count)` rows of every class, and at least one; otherwise of all rows.

    Returns:
        A rising int64 index array for each fraction.

    Raises:
        TypeError: `key` is not an integer, or `stratify=True` with labels that are not integers.
        ValueError: fractions are none, out of range or do not rise.

    Source: Cortes and others, Learning Curves: Asymptotic Values and Rate of Convergence (1994).

    Example:
        >>> labels = np.repeat([0, 1], [70, 30])
        >>> [np.bincount(labels[rows]).tolist() for rows in learning_curve_subsets(labels, (0.1, 0.5, 1.0))]
        [[7, 3], [35, 15], [70, 30]]
    """
    parts = [float(part) for part in fractions]
    rising = all(before < after for before, after in zip(parts, parts[1:], strict=False))
    if not (parts and rising and all(0 < part <= 1 for part in parts)):
        raise ValueError(
            f"learning_curve_subsets fractions: expected rising numbers above 0 and at most 1, found {parts}"
        )
    repair = "pass stratify=False for targets that are not classes"
    y = _rows.labels("learning_curve_subsets", y, repair) if stratify else np.asarray(y)
    if y.ndim == 0 or not len(y):
        raise ValueError("learning_curve_subsets y: expected at least one row, found none")
    generator = _rows.generator("learning_curve_subsets", key)
    strata = [np.flatnonzero(y == label) for label in np.unique(y)] if stratify else [np.arange(len(y))]
    orders = [generator.permutation(stratum) for stratum in strata]
    return [np.sort(np.concatenate([rows[: max(1, round(part * len(rows)))] for rows in orders])) for part in parts]


def _missing(y: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """The rows of each class, and how many it has fewer than the largest."""
    classes = [np.flatnonzero(y == label) for label in np.unique(y)]
    most = max(map(len, classes))
    return [(members, most - len(members)) for members in classes]
