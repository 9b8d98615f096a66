"""Columns of a table: which are numbers, booleans and categories, and what stands in for a missing value."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from dlcore.data._check import excerpt
from dlcore.data._encode import one_hot_encoder
from dlcore.errors import DataError
from dlcore.files import shown

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?", re.IGNORECASE | re.ASCII)
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
_COMMAS = re.compile(r"[+-]?\d+(,\d+)+(\.\d*)?", re.ASCII)  # 3,5 and 1,234.5
_DAY = r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2}))"
_TIME = r"\d{1,2}:\d{2}(:\d{2}.*)?"
_DATE = re.compile(f"{_DAY}([T ]{_TIME})?|{_TIME}", re.ASCII)
_BOOLEANS = {"true": True, "false": False}
_MOST_CATEGORIES = 1000
_FEW_CATEGORIES = 50  # so many may be rare; more of them are likely names or numbers of the rows
_MOST_DIGITS = 300  # an int of more is none of a float's, and Python takes long to read it


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a file.

    Attributes:
        name: its name.
        values: text, numbers or booleans; None where missing.
        places: the line or the row that each value is in, from 1, for messages.
        unit: what is counted there.
        is_text: values are text that may stand for numbers; otherwise their types are what the file says.
    """

    name: str
    values: Sequence[Any]
    places: Sequence[int]
    unit: str
    is_text: bool

    def error(self, path: Any, row: int, expected: str, repair: str = "") -> DataError:
        """The error of one value."""
        value = self.values[row]
        found = "a missing value" if value is None else excerpt(value)
        where = f"{shown(path)}: {self.unit} {self.places[row]}, column {excerpt(self.name)}"
        return DataError(f"{where}: expected {expected}, found {found}{'; ' + repair if repair else ''}")


def typed(path: Any, column: Column, *, as_categories: bool = False) -> Column:
    """Returns the column with values of one type: bool, int, float or str (None where missing).

    Numbers are a column all of whose values are; where most are, the first that is not is an error.

    Raises:
        DataError: dates, or a value that does not go with the others, or one that float32 does not hold.
    """
    present = [value for value in column.values if value is not None]
    if as_categories:
        return dataclasses.replace(column, values=[None if one is None else str(one) for one in column.values])
    if not column.is_text:
        return _finite(path, column)
    if present and all(value.casefold() in _BOOLEANS for value in present):
        return _converted(column, lambda text: _BOOLEANS[text.casefold()])
    if present and all(_DATE.fullmatch(value) for value in present):
        repair = "write what matters of dates as numbers, such as year and month, or leave the column out of features"
        raise column.error(path, _first(column, lambda text: True), "numbers, text or booleans", repair)
    numbers = sum(_NUMBER.fullmatch(value) is not None for value in present)
    alike = numbers + sum(_COMMAS.fullmatch(value) is not None for value in present)
    if numbers < len(present) and 2 * alike > len(present):
        row = _first(column, lambda text: not _NUMBER.fullmatch(text))
        expected = f"a number such as -1234.5, as most of the column seems to be ({alike} of {len(present)} values)"
        raise column.error(path, row, expected, f"for categories pass categorical=({column.name!r},)")
    if numbers < len(present) or not present:
        return column
    if any(len(value) > _MOST_DIGITS for value in present):
        raise column.error(path, _first(column, lambda text: len(text) > _MOST_DIGITS), "a number of fewer digits")
    is_whole = all(_WHOLE.fullmatch(value) for value in present)
    return _finite(path, _converted(column, int if is_whole else float))


def encoded(path: Any, column: Column, train: np.ndarray, missing: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns a typed column as (rows, width) float32 and the names of what it has become.

    What fills a gap, and which categories there are, is taken from the rows `train` alone.

    Raises:
        DataError: a value is missing and `missing` is `"error"` or no row of train has one; too many categories.
    """
    gaps = np.array([value is None for value in column.values])
    known = [column.values[row] for row in train if not gaps[row]]
    if gaps.any() and missing == "error":
        raise column.error(path, int(np.argmax(gaps)), "a value", "pass missing='mean' to fill in what train has")
    if not known:
        raise DataError(
            f"{shown(path)}: column {excerpt(column.name)}: expected a value in some row of train, found none; leave "
            "the column out of features"
        )
    is_category = isinstance(known[0], str)
    is_number = not is_category and not isinstance(known[0], bool)
    fill: Any = None
    if gaps.any():
        fill = _average(known, missing) if is_number and missing != "most_common" else _most_common(known)
    filled = [fill if value is None else value for value in column.values]
    if not is_category:
        return np.array(filled, np.float64).astype(np.float32)[:, None], (column.name,)
    rows = np.array(filled, dtype=object)[:, None]
    encode = one_hot_encoder(rows[train])
    (categories,) = encode.categories
    if len(categories) > _MOST_CATEGORIES or len(categories) > max(_FEW_CATEGORIES, len(known) / 2):
        raise DataError(
            f"{shown(path)}: column {excerpt(column.name)}: expected at most {_MOST_CATEGORIES} categories of two rows "
            f"or more, found {len(categories)} in {len(known)} rows of train; leave it out of features"
        )
    names = encode.feature_names([column.name])
    # Where a category is called that itself, the column for new ones needs another name.
    return encode(rows), (*names[:-1], f"{column.name}=not in train") if "unknown" in categories else names


def _average(known: Sequence[Any], missing: str) -> float:
    values = np.array(known, np.float64)
    return float(np.mean(values) if missing == "mean" else np.median(values))


def _most_common(known: Sequence[Any]) -> Any:
    counts = Counter(known)
    most = max(counts.values())
    return min(value for value, count in counts.items() if count == most)  # the smallest, as in scikit-learn


def _converted(column: Column, convert: Any) -> Column:
    values = [None if value is None else convert(value) for value in column.values]
    return dataclasses.replace(column, values=values, is_text=False)


def _finite(path: Any, column: Column) -> Column:
    limit = float(np.finfo(np.float32).max)
    for row, value in enumerate(column.values):
        if isinstance(value, int | float) and not -limit <= value <= limit:
            raise column.error(path, row, "a finite number that float32 holds")
    return column


def _first(column: Column, wrong: Any) -> int:
    return next(row for row, value in enumerate(column.values) if value is not None and wrong(value))
