"""Cross-validation: cut examples into folds, each of which validates once what the others train."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from dlcore.data import _rows


def k_fold(
    y: Any, folds: int = 5, *, stratify: bool = True, groups: Any = None, key: int = 0
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Cuts rows into folds; each row validates in one of them and trains in all others.

    Args:
        y: (N,) class labels, or any (N, ...) when `stratify=False`.
        folds: how many, 2 or more.
        stratify: keep every class in proportion, as far as groups allow it. For regression pass False.
        groups: (N,) what rows belong together, for instance the patient of each scan: no group is on both sides.
        key: the seed, a non-negative integer; equal keys give equal folds.

    Returns:
        A list of (train rows, validation rows), two rising int64 index arrays a fold.

    Raises:
        TypeError: `folds` or `key` is not an integer, or `stratify=True` with labels that are not integers.
        ValueError: there are fewer rows, members of a class, or groups than folds, or y and groups differ in length.

    Source: Stone, Cross-Validatory Choice and Assessment of Statistical Predictions (1974); the cuts are
    scikit-learn's `KFold`, `StratifiedKFold`, `GroupKFold` and `StratifiedGroupKFold`.

    Example:
        >>> labels = np.repeat([0, 1], [6, 3])
        >>> [np.bincount(labels[validation]).tolist() for train, validation in k_fold(labels, 3)]
        [[2, 1], [2, 1], [2, 1]]
    """
    from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

    targets = _targets(y, stratify)
    rows = len(targets)
    if isinstance(folds, bool) or not isinstance(folds, numbers.Integral):
        raise TypeError(f"k_fold folds: expected an int, found {type(folds).__name__}")
    if not 2 <= folds <= rows:
        raise ValueError(f"k_fold folds: expected from 2 to {rows}, as many as there are rows, found {folds}")
    generator = _rows.generator("k_fold", key)
    shuffled: Any = {"shuffle": True, "random_state": np.random.RandomState(generator.bit_generator)}
    if stratify:
        _enough(targets, int(folds))
    if groups is None:
        cut = StratifiedKFold(folds, **shuffled) if stratify else KFold(folds, **shuffled)
        return list(cut.split(np.zeros(rows), targets if stratify else None))
    belonging = _groups(groups, rows, int(folds), generator)
    cut = StratifiedGroupKFold(folds, **shuffled) if stratify else GroupKFold(folds)
    return list(cut.split(np.zeros(rows), targets if stratify else None, belonging))


def _targets(y: Any, stratify: bool) -> np.ndarray:
    if stratify:
        return _rows.labels("k_fold", y, "pass stratify=False for targets that are not classes")
    array = np.asarray(y)
    if array.ndim == 0:
        raise ValueError("k_fold y: expected one row an example, found a scalar")
    return array


def _groups(groups: Any, rows: int, folds: int, generator: np.random.Generator) -> np.ndarray:
    array = np.asarray(groups)
    if array.shape != (rows,):
        raise ValueError(f"k_fold groups: expected shape ({rows},), one a row, found {array.shape}")
    names, numbers_ = np.unique(array, return_inverse=True)
    if len(names) < folds:
        raise ValueError(f"k_fold groups: expected at least {folds} groups for {folds} folds, found {len(names)}")
    # `GroupKFold` gives out groups by size and equal sizes by number: numbered at random, the key decides.
    return generator.permutation(len(names))[numbers_.ravel()]


def _enough(labels: np.ndarray, folds: int) -> None:
    names, counts = np.unique(labels, return_counts=True)
    if counts.min() < folds:
        raise ValueError(
            f"k_fold y: class {names[counts.argmin()]} has {counts.min()} members, fewer than {folds} folds; ask for "
            f"{max(2, int(counts.min()))} folds, or pass stratify=False"
        )
