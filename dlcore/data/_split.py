"""Cut examples into train, validation and test, the same way every time, with every class in proportion."""

from __future__ import annotations

import numbers
from fractions import Fraction
from typing import Any

import numpy as np

_NAMES = ("train", "validation", "test")


def split(
    x: Any, y: Any, *, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1), key: int = 0, stratify: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw disjoint row numbers for train, validation and test that together hold every row once.

    Of N rows, train gets `floor(fraction * N)`; validation and test share the rest, each the floor or the ceiling of
    its part. Stratified, each class count in each split is the floor or the ceiling of `fraction * class count`.

    Args:
        x: (N, ...) the inputs; only their number is read.
        y: (N,) class labels, or any (N, ...) when `stratify=False`.
        fractions: the parts of train, validation and test; positive, with sum 1.
        key: the seed, a non-negative integer; equal keys give equal splits.
        stratify: keep every class in proportion. For regression pass False.

    Returns:
        Three int64 index arrays, in shuffled order.

    Raises:
        TypeError: `key` is not an integer, or `stratify=True` with labels that are not integers.
        ValueError: `fractions` are not three positive numbers with sum 1, x and y differ in length, or a split
            would be empty.

    Source: Cochran, Sampling Techniques (1953), proportional stratified sampling; the rounding that keeps both the
    class counts and the split sizes is Cox, A Constructive Procedure for Unbiased Controlled Rounding (1987).

    Example:
        >>> labels = np.repeat([0, 1], [70, 30])
        >>> train, validation, test = split(labels, labels)
        >>> [np.bincount(labels[rows]).tolist() for rows in (train, validation, test)]
        [[56, 24], [7, 3], [7, 3]]
    """
    labels, exact = np.asarray(y), _exact(fractions)
    rows = len(labels)
    if len(x) != rows:
        raise ValueError(f"split: expected as many rows in x as in y, found {len(x)} in x and {rows} in y")
    if isinstance(key, bool) or not isinstance(key, numbers.Integral):
        raise TypeError(f"split key: expected an int, found {type(key).__name__}; pass for instance key=0")
    if key < 0:
        raise ValueError(f"split key: expected a non-negative int, found {key}")
    if stratify and (labels.ndim != 1 or labels.dtype.kind not in "iub"):
        raise TypeError(
            f"split y: stratify=True expects integer labels of shape (N,), found {labels.dtype} {labels.shape}; "
            "pass stratify=False for targets that are not classes"
        )
    sizes = _sizes(rows, exact)
    for name, size in zip(_NAMES, sizes, strict=True):
        if size == 0:
            raise ValueError(
                f"split: {name} would be empty: {rows} rows cut by fractions {tuple(fractions)} give {sizes}; "
                f"raise that fraction or pass more rows"
            )
    generator = np.random.Generator(np.random.PCG64(int(key)))
    strata = [np.flatnonzero(labels == label) for label in np.unique(labels)] if stratify else [np.arange(rows)]
    counts = _controlled_rounding([len(stratum) for stratum in strata], sizes, exact)
    parts: tuple[list[np.ndarray], ...] = ([], [], [])
    for stratum, count in zip(strata, counts, strict=True):
        cuts = np.split(generator.permutation(stratum), np.cumsum(count)[:-1])
        for part, cut in zip(parts, cuts, strict=True):
            part.append(cut)
    train, validation, test = (generator.permutation(np.concatenate(part)) for part in parts)
    return train, validation, test


def _exact(fractions: Any) -> tuple[Fraction, Fraction, Fraction]:
    """The fractions as ratios, so that `.29 * 100` rows are 29 and not 28."""
    try:
        train, validation, test = (float(part) for part in fractions)
    except (TypeError, ValueError) as error:
        raise ValueError(f"fractions: expected three numbers such as (0.8, 0.1, 0.1), found {fractions!r}") from error
    # Written so that NaN fails too.
    if not (min(train, validation, test) > 0 and abs(train + validation + test - 1) < 1e-6):
        raise ValueError(
            f"fractions: expected three positive numbers with sum 1, found {tuple(fractions)!r} "
            f"with sum {train + validation + test:g}"
        )
    ratios = [Fraction(part).limit_denominator(1_000_000) for part in (train, validation, test)]
    return ratios[0] / sum(ratios), ratios[1] / sum(ratios), ratios[2] / sum(ratios)


def _sizes(rows: int, exact: tuple[Fraction, Fraction, Fraction]) -> tuple[int, int, int]:
    train = int(rows * exact[0])
    validation, test = int(rows * exact[1]), int(rows * exact[2])
    left = rows - train - validation - test  # 0, 1 or 2
    to_validation = left == 2 or (left == 1 and rows * exact[1] - validation >= rows * exact[2] - test)
    return train, validation + to_validation, test + left - to_validation


def _controlled_rounding(
    class_counts: list[int], sizes: tuple[int, int, int], exact: tuple[Fraction, Fraction, Fraction]
) -> np.ndarray:
    """Round the table of `class count * fraction` so that its rows sum to the class counts, its columns to `sizes`.

    Each cell starts at its floor. A row then has up to two units left, which go to different cells of that row that
    are not whole; a column takes as many as its size leaves. That is a bipartite matching: where a column is full, a
    unit placed earlier moves on to another column (an augmenting path). For three columns one always exists.
    """
    proportional = [[count * part for part in exact] for count in class_counts]
    table = np.array([[int(cell) for cell in row] for row in proportional])
    remainders = [[cell - int(cell) for cell in row] for row in proportional]
    room = np.array(sizes) - table.sum(axis=0)
    units = np.zeros_like(table)

    def place(row: int, closed: set[int]) -> bool:
        for column in sorted(range(3), key=lambda column: -remainders[row][column]):
            if units[row, column] or not remainders[row][column] or column in closed:
                continue
            closed.add(column)
            holders = np.flatnonzero(units[:, column])
            mover = None if len(holders) < room[column] else next((h for h in holders if place(int(h), closed)), None)
            if len(holders) < room[column] or mover is not None:
                if mover is not None:
                    units[mover, column] = 0
                units[row, column] = 1
                return True
        return False

    for row, count in enumerate(class_counts):
        for _ in range(count - int(table[row].sum())):
            place(row, set())
    return table + units
