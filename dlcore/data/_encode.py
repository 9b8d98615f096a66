"""Categories as numbers, by the training rows alone; what is new later on has a code of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from dlcore.errors import suggest

_UNKNOWN = ("column", "error")


@dataclasses.dataclass(frozen=True)
class OrdinalEncoder:
    """Numbers for the categories of every column; `ordinal_encoder` makes one from training rows.

    Attributes:
        categories: the categories of each column, sorted; the number of one is its place.
        unknown: `"column"`, so that what is not among them gets the next number, or `"error"`.

    Example:
        >>> OrdinalEncoder((("no", "yes"),))([["yes"], ["maybe"]]).tolist()
        [[1], [2]]
    """

    categories: tuple[tuple[Any, ...], ...]
    unknown: str = "column"

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many numbers each column may hold, the unknown with them: the rows of an embedding.

        Example:
            >>> OrdinalEncoder((("no", "yes"), (1, 2, 3))).sizes
            (3, 4)
        """
        return tuple(len(names) + (self.unknown == "column") for names in self.categories)

    def __call__(self, rows: Any) -> np.ndarray:
        """Returns (N, columns) int32 numbers of rows of categories."""
        columns = _columns("encoder rows", rows)
        if len(columns) != len(self.categories):
            raise ValueError(f"encoder rows: expected {len(self.categories)} columns as train, found {len(columns)}")
        codes = []
        for number, (names, column) in enumerate(zip(self.categories, columns, strict=True)):
            # Against another kind everything would be unknown, and True would pass for 1.
            if type(column[0]) is not type(names[0]):
                raise TypeError(
                    f"encoder rows: expected {type(names[0]).__name__} in column {number} as in train, found "
                    f"{type(column[0]).__name__}; convert it"
                )
            places = {name: place for place, name in enumerate(names)}
            if self.unknown == "error":
                row, new = next(((row, one) for row, one in enumerate(column) if one not in places), (0, None))
                if new is not None:
                    raise ValueError(
                        f"encoder rows: {new!r} in row {row} of column {number} is not in train"
                        f"{suggest(new, map(str, names)) if len(names) < 50 else ''}; unknown='column' gives it a code"
                    )
            codes.append([places.get(one, len(names)) for one in column])
        return np.array(codes, np.int32).T


@dataclasses.dataclass(frozen=True)
class OneHotEncoder:
    """A column of 0 and 1 for every category; `one_hot_encoder` makes one from training rows.

    Attributes:
        ordinal: the numbers of the categories.

    Example:
        >>> OneHotEncoder(OrdinalEncoder((("no", "yes"),)))([["yes"], ["maybe"]]).tolist()
        [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """

    ordinal: OrdinalEncoder

    @property
    def categories(self) -> tuple[tuple[Any, ...], ...]:
        """The categories of each column, sorted."""
        return self.ordinal.categories

    def feature_names(self, columns: Sequence[str]) -> tuple[str, ...]:
        """Returns the names of the columns that come out: `colour=red`, and `colour=unknown` at the end of each.

        Args:
            columns: the names of the columns that go in.

        Example:
            >>> one_hot_encoder([["red"], ["blue"]]).feature_names(["colour"])
            ('colour=blue', 'colour=red', 'colour=unknown')
        """
        rest = ("unknown",) if self.ordinal.unknown == "column" else ()
        pairs = zip(columns, self.categories, strict=True)
        return tuple(f"{column}={name}" for column, names in pairs for name in (*names, *rest))

    def __call__(self, rows: Any) -> np.ndarray:
        """Returns (N, all categories) float32 of rows of categories."""
        codes = self.ordinal(rows)  # (N, columns)
        pieces = [np.eye(size, dtype=np.float32)[code] for size, code in zip(self.ordinal.sizes, codes.T, strict=True)]
        return np.concatenate(pieces, axis=1)


def ordinal_encoder(train: Any, *, unknown: str = "column") -> OrdinalEncoder:
    """Learns the categories of every column from training rows, and numbers them in sorted order.

    Args:
        train: (N, columns) categories: strings, integers or booleans, one kind a column.
        unknown: what becomes of a category that is not in train: `"column"` gives it the number behind the last
            (a row of its own in an embedding), `"error"` raises.

    Returns:
        A function of rows (N, columns) that returns (N, columns) int32; it has `categories` and `sizes`.

    Raises:
        TypeError: a column holds numbers that are not whole, or values of several kinds.
        ValueError: train is empty or has not two axes, or `unknown` is another word.

    Source: Guo and Berkhahn, Entity Embeddings of Categorical Variables (2016), for numbers that an embedding takes.

    Example:
        >>> encode = ordinal_encoder([["red", "s"], ["blue", "m"]])
        >>> encode([["red", "m"], ["green", "s"]]).tolist(), encode.sizes
        ([[1, 0], [2, 1]], (3, 3))
    """
    if unknown not in _UNKNOWN:
        raise ValueError(f"unknown: expected one of {_UNKNOWN}, found {unknown!r}{suggest(unknown, _UNKNOWN)}")
    return OrdinalEncoder(tuple(tuple(sorted(set(column))) for column in _columns("encoder train", train)), unknown)


def one_hot_encoder(train: Any, *, unknown: str = "column") -> OneHotEncoder:
    """Learns the categories of every column from training rows, and gives each category a column of 0 and 1.

    Args:
        train: (N, columns) categories: strings, integers or booleans, one kind a column.
        unknown: what becomes of a category that is not in train: `"column"` adds a column `unknown` for it, behind
            those of its column, which is 0 in all training rows; `"error"` raises.

    Returns:
        A function of rows (N, columns) that returns (N, all categories) float32; it has `categories` and
        `feature_names`.

    Raises:
        TypeError: as `ordinal_encoder`.
        ValueError: as `ordinal_encoder`.

    Source: Suits, Use of Dummy Variables in Regression Equations (1957).

    Example:
        >>> encode = one_hot_encoder([["red"], ["blue"]])
        >>> encode([["red"], ["green"]]).tolist()
        [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    return OneHotEncoder(ordinal_encoder(train, unknown=unknown))


def _columns(where: str, rows: Any) -> list[list[Any]]:
    """The columns as lists of strings, integers or booleans."""
    array = np.asarray(rows)
    if array.ndim != 2:
        raise ValueError(f"{where}: expected shape (rows, columns), found {array.shape}; pass values[:, None] for one")
    if not array.size:
        raise ValueError(f"{where}: expected at least one category, found the empty shape {array.shape}")
    columns = [column.tolist() for column in array.T]
    for number, column in enumerate(columns):
        kinds = {type(one) for one in column}
        if len(kinds) > 1 or not kinds <= {str, int, bool}:
            found = ", ".join(sorted(kind.__name__ for kind in kinds))
            raise TypeError(
                f"{where}: expected strings, integers or booleans, one kind a column, found {found} in column "
                f"{number}; give missing values a name, and cut real numbers into ranges"
            )
    return columns
