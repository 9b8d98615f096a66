"""What cutting and drawing rows asks of its labels and its seed. Host side, before any compute."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np


def generator(where: str, key: Any) -> np.random.Generator:
    """Returns the generator of a seed, a non-negative integer."""
    if isinstance(key, bool) or not isinstance(key, numbers.Integral):
        raise TypeError(f"{where} key: expected an int, found {type(key).__name__}; pass for instance key=0")
    if key < 0:
        raise ValueError(f"{where} key: expected a non-negative int, found {key}")
    return np.random.Generator(np.random.PCG64(int(key)))


def labels(where: str, y: Any, repair: str = "number the classes from 0") -> np.ndarray:
    """Returns integer labels of shape (N,), at least one of them."""
    array = np.asarray(y)
    if array.ndim != 1 or array.dtype.kind not in "iub":
        raise TypeError(
            f"{where} y: expected integer labels of shape (N,), found {array.dtype} {array.shape}; {repair}"
        )
    if not len(array):
        raise ValueError(f"{where} y: expected at least one label, found none")
    return array


def labels_below(where: str, y: Any, classes: Any) -> np.ndarray:
    """Returns integer labels in `[0, classes)`."""
    array = labels(where, y)
    if isinstance(classes, bool) or not isinstance(classes, numbers.Integral):
        raise TypeError(f"{where} classes: expected an int, found {type(classes).__name__}; pass how many there are")
    outside = (array < 0) | (array >= int(classes))
    if outside.any():
        row = int(np.argmax(outside))
        raise ValueError(f"{where} y: expected labels from 0 to {int(classes) - 1}, found {array[row]} in row {row}")
    return array


def pair(where: str, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns inputs (N, ...) and their labels (N,)."""
    x, y = np.asarray(x), labels(where, y)
    if x.ndim == 0 or len(x) != len(y):
        found = len(x) if x.ndim else "a scalar"
        raise ValueError(f"{where}: expected as many rows in x as in y, found {found} in x and {len(y)} in y")
    return x, y
