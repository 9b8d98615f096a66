"""Feature scaling whose statistics come from the training rows alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from dlcore.data import _check


def standardize(train: ArrayLike, *others: ArrayLike) -> tuple[np.ndarray, ...]:
    r"""Shift and scale every column to mean 0 and variance 1 over the training rows.

    $z = (x - \mu) / \sigma$ with $\mu$, $\sigma^2$ the mean and the (biased) variance of the column in `train`.
    A column that is constant in `train` becomes 0 everywhere.

    Args:
        train: (N, ...) the rows that the statistics are taken from.
        others: (M, ...) further rows, validation and test, scaled by the statistics of `train`.

    Returns:
        A tuple of float32 arrays: `train` and each of `others`, scaled.

    Raises:
        ValueError: an array is empty or not finite, or rows differ in shape.

    Source: LeCun, Bottou, Orr and Müller, Efficient BackProp (1998), section 4.3.

    Example:
        >>> train, test = standardize(np.array([[1.0, 5.0], [3.0, 5.0]]), np.array([[2.0, 7.0]]))
        >>> train.tolist(), test.tolist()
        ([[-1.0, 0.0], [1.0, 0.0]], [[0.0, 0.0]])
    """
    arrays = _checked("standardize", train, others)
    wide = arrays[0].astype(np.float64)
    return _scaled(arrays, wide.mean(axis=0), wide.std(axis=0))


def min_max(train: ArrayLike, *others: ArrayLike) -> tuple[np.ndarray, ...]:
    r"""Shift and scale every column to the range 0 to 1 over the training rows.

    $z = (x - \min) / (\max - \min)$ with the extremes of the column in `train`; other rows may fall outside 0 to 1.
    A column that is constant in `train` becomes 0 everywhere.

    Args:
        train: (N, ...) the rows that the extremes are taken from.
        others: (M, ...) further rows, validation and test, scaled by the extremes of `train`.

    Returns:
        A tuple of float32 arrays: `train` and each of `others`, scaled.

    Raises:
        ValueError: an array is empty or not finite, or rows differ in shape.

    Source: Han and Kamber, Data Mining (2000), section 3.2.

    Example:
        >>> train, test = min_max(np.array([[1.0], [3.0]]), np.array([[5.0]]))
        >>> train.tolist(), test.tolist()
        ([[0.0], [1.0]], [[2.0]])
    """
    arrays = _checked("min_max", train, others)
    wide = arrays[0].astype(np.float64)
    return _scaled(arrays, wide.min(axis=0), wide.max(axis=0) - wide.min(axis=0))


def _checked(caller: str, train: ArrayLike, others: tuple[ArrayLike, ...]) -> list[np.ndarray]:
    arrays = []
    for number, rows in enumerate((train, *others)):
        where = f"{caller} train" if number == 0 else f"{caller} others[{number - 1}]"
        array = _check.numeric(where, rows)
        _check.finite_float32(where, array)
        arrays.append(array)
        if array.shape[1:] != arrays[0].shape[1:]:
            raise ValueError(f"{where}: expected rows of shape {arrays[0].shape[1:]} as train, found {array.shape[1:]}")
    return arrays


def _scaled(arrays: list[np.ndarray], shift: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray, ...]:
    # Rounding gives a constant column a spread of about 1e-17, so constancy is asked of the values themselves.
    constant = arrays[0].min(axis=0) == arrays[0].max(axis=0)
    factor = np.where(constant, 0.0, 1.0 / np.where(constant, 1.0, spread))
    return tuple(((array.astype(np.float64) - shift) * factor).astype(np.float32) for array in arrays)
