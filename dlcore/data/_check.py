"""What the data room asks of an array: numbers, finite, of the right kind. Host side, before any compute."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

_INT32 = np.iinfo(np.int32)


def numeric(where: str, value: Any) -> np.ndarray:
    """Returns `value` as a host array of real numbers with a leading axis of at least one row."""
    array = np.asarray(value)
    if not any(jnp.issubdtype(array.dtype, kind) for kind in (np.bool_, np.integer, np.floating)):
        raise TypeError(f"{where}: expected real numbers, found dtype {array.dtype}; convert it to float32 or int32")
    if array.ndim == 0:
        raise ValueError(f"{where}: expected one row an example, found a scalar; give it a leading axis of examples")
    if array.size == 0:
        raise ValueError(
            f"{where}: expected at least one number, found the empty shape {array.shape}; pass None instead"
        )
    return array


def is_integer(array: np.ndarray) -> bool:
    """Tell whether an array holds integers; booleans do not count."""
    return bool(jnp.issubdtype(array.dtype, np.integer))


def finite_float32(where: str, array: np.ndarray) -> np.ndarray:
    """Returns `array` in float32, refusing NaN and infinity (and what becomes infinite in float32)."""
    with np.errstate(over="ignore", invalid="ignore"):  # a signalling NaN is "invalid"
        single = array.astype(np.float32, copy=False)
    finite = np.isfinite(single)
    if not finite.all():
        position = np.argwhere(~finite)[0]
        bad_rows = int((~finite.reshape(len(single), -1).all(axis=1)).sum())
        raise ValueError(
            f"{where}: expected finite float32 numbers, found {array[tuple(position)]} in row {position[0]} "
            f"({bad_rows} of {len(single)} rows are affected); drop those rows or fill in the missing values"
        )
    return single


def integers_int32(where: str, array: np.ndarray) -> np.ndarray:
    """Returns `array` in int32, refusing numbers that the cast would cut."""
    low, high = array.min(), array.max()
    if low < _INT32.min or high > _INT32.max:
        raise ValueError(
            f"{where}: expected integers that fit int32, found values from {low} to {high}; renumber them from 0"
        )
    return array.astype(np.int32, copy=False)


def features(where: str, value: Any) -> np.ndarray:
    """Returns inputs as float32, or as int32 where they are integers (token ids go into an embedding unchanged)."""
    array = numeric(where, value)
    if is_integer(array):
        return integers_int32(where, array)
    if array.ndim == 1:
        raise ValueError(f"{where}: expected shape (rows, features...), found {array.shape}; pass x[:, None]")
    return finite_float32(where, array)


def class_labels(where: str, value: Any, classes: int) -> np.ndarray:
    """Returns integer labels in `[0, classes)` as int32."""
    array = numeric(where, value)
    if jnp.issubdtype(array.dtype, np.floating):
        raise TypeError(
            f"{where}: expected integer class labels, found dtype {array.dtype}; pass y.astype('int32') if these are "
            "class numbers, or task='regression' if they are targets"
        )
    if array.ndim == 2 and array.shape[1] == 1:
        raise ValueError(f"{where}: expected labels of shape ({len(array)},), found {array.shape}; pass y[:, 0]")
    array = array.astype(np.int32) if array.dtype == np.bool_ else array
    outside = (array < 0) | (array >= classes)
    if outside.any():
        position = np.argwhere(outside)[0]
        raise ValueError(
            f"{where}: expected labels from 0 to {classes - 1} for {classes} classes, found {array[tuple(position)]} "
            f"in row {position[0]}; number the labels from 0 or name every class"
        )
    return array.astype(np.int32, copy=False)


def real_targets(where: str, value: Any, *, flat: bool) -> np.ndarray:
    """Returns regression targets as float32 of shape (N, 1), or (N, ...); (N,) only where `flat` allows it."""
    array = numeric(where, value)
    if array.ndim == 1 and not flat:
        raise ValueError(
            f"{where}: expected targets of shape ({len(array)}, 1), found {array.shape}, which would broadcast against "
            "predictions of shape (N, 1); pass y[:, None], or flat_targets=True for a model whose output is (N,)"
        )
    return finite_float32(where, array)


def excerpt(text: Any) -> str:
    """Returns what was found in a file, quoted, on one line and cut where it is long."""
    quoted = repr(str(text)[:60])
    return f"{quoted[:-1]}...{quoted[-1]}" if len(str(text)) > 60 else quoted


def checked_limit(where: str, value: Any) -> int:
    """Returns a limit, a positive int."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{where}: expected an int, found {type(value).__name__}")
    if value < 1:
        raise ValueError(f"{where}: expected at least 1, found {value}")
    return value
