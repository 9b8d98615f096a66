"""`read_table`: a CSV or Parquet file as a `Dataset`, every statistic taken from the training rows alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dlcore.data._check import checked_limit, excerpt
from dlcore.data._columns import Column, encoded, typed
from dlcore.data._csv import read_csv
from dlcore.data._dataset import Dataset
from dlcore.data._parquet import read_parquet
from dlcore.data._split import split
from dlcore.errors import DataError, suggest, suggest_arguments
from dlcore.files import shown

_MISSING = ("mean", "median", "most_common", "error")
_TASKS = ("classification", "regression")
_MOST_CLASSES = 1000
_MOST_VALUES = 1 << 30  # of the whole encoded table: 4 GiB


@suggest_arguments
def read_table(
    path: str | os.PathLike[str],
    *,
    target: str,
    task: str | None = None,
    features: Sequence[str] | None = None,
    categorical: Sequence[str] = (),
    missing: str = "mean",
    delimiter: str = ",",
    key: int = 0,
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    max_bytes: int = 1 << 28,
) -> Dataset:
    r"""Reads a table from a file, splits it and makes numbers of its columns.

    A column of a CSV file is of numbers if all its values are, of booleans (0 and 1) if all are `true` or `false`,
    and of categories otherwise; a Parquet file says so itself. Categories become a column of 0 and 1 each, and one
    for what train does not have (`one_hot_encoder`). In a CSV file, an empty field, `NA`, `NaN` and `null` (in any
    letter case) are missing, and spaces around a value are left out. Numbers are not scaled: see `standardize`.

    Args:
        path: a file that ends in `.parquet`, or else a CSV file in UTF-8 with a header.
        target: the column to predict.
        task: `"classification"` or `"regression"`; unless given, regression for a target of real numbers, and
            classification for whole numbers, text and booleans.
        features: the columns to predict from, in this order; all others unless given.
        categorical: columns that are categories although they look like numbers, such as postal codes.
        missing: what stands in for a missing feature: the `"mean"` or the `"median"` of the numbers that train has
            (for categories and booleans the most common), `"most_common"` for all, or `"error"`.
        delimiter: what separates the fields of a CSV file.
        key: the seed of the split.
        fractions: the parts of train, validation and test.
        max_bytes: a larger file is refused; 256 MiB by default.

    Returns:
        A `Dataset`; x (features,) float32 with `feature_names`; y a class by name, in sorted order and with every
        class in proportion in each split, or (1,) float32.

    Raises:
        DataError: the file cannot be read as a table; the message names line and column where there is one. Dates,
            and a target that is missing, are refused.
        ImportError: a Parquet file without pyarrow.
        TypeError: an argument of the wrong type, as `split`.
        ValueError: an unknown column, task or way with missing values; as `split`.

    Source: RFC 4180 for CSV.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     lines = [f"{4 + i % 3}.5,{'red' if i % 2 else 'blue'},{'yes' if i % 3 else 'no'}" for i in range(60)]
        ...     _ = Path(folder, "fruit.csv").write_text("size,colour,ripe\n" + "\n".join(lines))
        ...     fruit = read_table(Path(folder, "fruit.csv"), target="ripe")
        >>> fruit
        Dataset fruit: 48 train / 6 validation / 6 test, x (4,) float32, y 2 classes
        >>> fruit.feature_names
        ('size', 'colour=blue', 'colour=red', 'colour=unknown')
    """
    for name, value, known in (("missing", missing, _MISSING), ("task", task, (*_TASKS, None))):
        if value not in known:
            words = [word for word in known if word]
            raise ValueError(f"read_table {name}: expected one of {words}, found {value!r}{suggest(str(value), words)}")
    features, categorical = _names("features", features), _names("categorical", categorical) or ()
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n \0':
        raise ValueError(f"read_table delimiter: expected one character such as ',' or ';', found {delimiter!r}")
    limit = checked_limit("read_table max_bytes", max_bytes)
    if Path(path).suffix.lower() == ".parquet":
        wanted = None if features is None else {*features, *categorical, target}
        columns = {column.name: column for column in read_parquet(path, max_bytes=limit, wanted=wanted)}
    else:
        columns = {column.name: column for column in read_csv(path, max_bytes=limit, delimiter=delimiter)}
    chosen = _chosen(path, columns, target, features, categorical, delimiter)
    y, classes = _target(path, typed(path, columns[target], as_categories=target in categorical), task)
    rows = split(y, y, fractions=fractions, key=key, stratify=bool(classes))
    pieces, names, width = [], [], 0
    for name in chosen:
        column = typed(path, columns[name], as_categories=name in categorical)
        values, named = encoded(path, column, rows[0], missing)
        width += values.shape[1]
        if width * len(values) > _MOST_VALUES:
            raise DataError(
                f"{shown(path)}: expected a table of at most {_MOST_VALUES} numbers, found more; fewer features"
            )
        pieces.append(values)
        names.extend(named)
    x = np.concatenate(pieces, axis=1)
    parts = [{"x": x[part], "y": y[part]} for part in rows]
    task = "classification" if classes else "regression"
    return Dataset(Path(path).stem, *parts, task=task, classes=classes, feature_names=_different(path, names))


def _names(where: str, given: Any) -> tuple[str, ...] | None:
    if given is None:
        return None
    if isinstance(given, str) or not all(isinstance(name, str) for name in given):
        raise TypeError(f"read_table {where}: expected a sequence of column names, found {given!r}; pass ('a', 'b')")
    if len(set(given)) < len(given):
        raise ValueError(f"read_table {where}: expected different names, found {tuple(given)!r}")
    return tuple(given)


def _chosen(path: Any, columns: dict[str, Column], target: str, features: Any, categorical: Any, delimiter: str) -> Any:
    """The names of the columns to predict from."""
    for where, names in (("target", (target,)), ("features", features or ()), ("categorical", categorical)):
        if unknown := [name for name in names if name not in columns]:
            hint = suggest(unknown[0], columns) if len(columns) < 50 else ""
            if len(columns) == 1 and (other := next((mark for mark in ";\t,|" if mark in next(iter(columns))), "")):
                hint = f"; its header looks like delimiter={other!r}, not {delimiter!r}"
            raise ValueError(f"read_table {where}: there is no column {unknown[0]!r} in {shown(path)}{hint}")
    chosen = [name for name in columns if name != target] if features is None else features
    if target in chosen:
        raise ValueError(f"read_table features: expected columns other than the target, found {target!r} among them")
    if not chosen:
        raise ValueError(f"read_table features: expected at least one column besides {target!r}, found none")
    return chosen


def _target(path: Any, column: Column, task: str | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """The labels (N,) and their names, or the targets (N, 1) and no names."""
    for row, value in enumerate(column.values):
        if value is None:
            raise column.error(path, row, "a value of the target", "leave that row out")
    kinds = {type(value) for value in column.values}
    if task == "regression" or (task is None and float in kinds):
        if str in kinds:
            raise column.error(path, 0, "a number as the target of regression")
        return np.array(column.values, np.float64).astype(np.float32)[:, None], ()
    values = column.values
    if float in kinds:  # whole numbers in a column with gaps are often written 1.0
        broken = next((row for row, value in enumerate(values) if value != int(value)), None)
        if broken is not None:
            raise column.error(path, broken, "a whole number as a class", "or pass task='regression'")
        values = [int(value) for value in values]
    classes = sorted(set(values))
    if len(classes) > _MOST_CLASSES and (task is None or len(classes) > len(values) / 2):
        raise DataError(
            f"{shown(path)}: column {excerpt(column.name)}: expected at most {_MOST_CLASSES} classes, found "
            f"{len(classes)}; pass task='regression' if they are amounts"
            + (", or task='classification'" if task is None else "")
        )
    places = {value: place for place, value in enumerate(classes)}
    return np.array([places[value] for value in values], np.int32), tuple(map(str, classes))


def _different(path: Any, names: list[str]) -> tuple[str, ...]:
    """The names, where no category makes one that another column has."""
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{shown(path)}: expected different names of features, found {excerpt(twice)} twice; rename it")
    return tuple(names)
