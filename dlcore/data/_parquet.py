"""Parquet files as columns of Python values, by pyarrow."""

from __future__ import annotations

import io
import os
from collections.abc import Collection
from typing import Any

from dlcore.data._check import excerpt
from dlcore.data._columns import Column
from dlcore.data._csv import check_names
from dlcore.errors import DataError, suggest
from dlcore.files import read_bytes, reason, shown


def read_parquet(path: str | os.PathLike[str], *, max_bytes: int, wanted: Collection[str] | None) -> list[Column]:
    """Returns the columns of a Parquet file (those that are wanted); missing values and NaN are None."""
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError(
            f"{shown(path)}: Parquet files are read by pyarrow, which is not installed; "
            "run: pip install 'dlcore[parquet]'"
        ) from error
    content = read_bytes(path, "a Parquet file", max_bytes)
    try:
        file = parquet.ParquetFile(io.BytesIO(content))
        meta, schema = file.metadata, file.schema_arrow
    except Exception as error:  # a decoder of others: whatever it stumbles over is a damaged file
        raise _damaged(path, error) from error
    check_names(path, schema.names, "")
    if wanted is not None and (unknown := next((name for name in wanted if name not in schema.names), None)):
        raise ValueError(f"read_table: there is no column {unknown!r} in {shown(path)}{suggest(unknown, schema.names)}")
    names = [name for name in schema.names if wanted is None or name in wanted]
    if meta.num_rows < 1:
        raise DataError(f"{shown(path)}: expected rows, found none")
    # Compressed, a small file may hold any number of rows.
    if (cells := meta.num_rows * len(names)) > max_bytes:
        raise DataError(f"{shown(path)}: expected at most {max_bytes} values, found {cells}; raise max_bytes")
    kinds = {name: _kind(path, name, schema.field(name).type) for name in names}
    try:
        table = file.read(columns=names).to_pydict()
    except Exception as error:
        raise _damaged(path, error) from error
    rows = range(1, meta.num_rows + 1)
    return [Column(name, [_value(one, kinds[name]) for one in table[name]], rows, "row", False) for name in names]


def _kind(path: Any, name: str, kind: Any) -> type:
    """The Python type of a column's values."""
    from pyarrow import types

    value = kind.value_type if types.is_dictionary(kind) else kind
    for python, tests in (
        (bool, (types.is_boolean,)),
        (int, (types.is_integer,)),
        (float, (types.is_floating, types.is_decimal)),
        (str, (types.is_string, types.is_large_string, types.is_string_view, types.is_null)),
    ):
        if any(test(value) for test in tests):
            return python
    if types.is_temporal(value):
        raise DataError(
            f"{shown(path)}: column {excerpt(name)}: expected numbers, text or booleans, found dates or times "
            f"({value}); write what matters of them as numbers, such as year and month, or leave it out of features"
        )
    raise DataError(f"{shown(path)}: column {excerpt(name)}: expected numbers, text or booleans, found {value}")


def _value(one: Any, kind: type) -> Any:
    if one is None or one != one:
        return None
    return kind(one)


def _damaged(path: Any, error: Exception) -> DataError:
    return DataError(f"{shown(path)}: expected a Parquet file, found none that can be read ({reason(error)})")
