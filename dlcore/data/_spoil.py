"""Labels that are wrong, and fewer rows: what training is tested against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlcore.data import _rows


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
