"""CSV files as columns of text: strict about what a row is, and exact about where it is wrong."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from typing import Any

from dlcore.data._check import excerpt
from dlcore.data._columns import Column
from dlcore.data._text import decoded
from dlcore.errors import DataError
from dlcore.files import read_bytes, reason, shown

MISSING = ("", "na", "nan", "null")  # in any letter case


def read_csv(path: str | os.PathLike[str], *, max_bytes: int, delimiter: str) -> list[Column]:
    """Returns the columns of a CSV file in their order, their values text or None where missing."""
    content = read_bytes(path, "a CSV file", max_bytes)
    if (place := content.find(b"\0")) >= 0 and content[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        line = content.count(b"\n", 0, place) + 1
        raise DataError(f"{shown(path)}: expected text, found a NUL byte at byte {place} (line {line})")
    lines, rows = _rows(path, decoded(path, content), delimiter)
    if not rows:
        raise DataError(f"{shown(path)}: expected a header and rows, found an empty file")
    names = [name.strip() for name in rows[0]]
    check_names(path, names, f"line {lines[0]}: ")
    if len(rows) == 1:
        raise DataError(f"{shown(path)}: expected rows below the header, found none")
    for line, row in zip(lines, rows, strict=True):
        if len(row) != len(names):
            raise DataError(
                f"{shown(path)}: line {line}: expected {len(names)} fields as in the header, found {len(row)}"
                + (f", the first of them {excerpt(row[0])}" if row[0] else "")
            )
    return [
        Column(name, [_value(text) for text in texts], lines[1:], "line", is_text=True)
        for name, texts in zip(names, zip(*rows[1:], strict=True), strict=True)
    ]


def check_names(path: Any, names: Sequence[str], where: str) -> None:
    """Refuses columns without a name, and two of one name."""
    seen: dict[str, int] = {}
    for number, name in enumerate(names, 1):
        if not name:
            raise DataError(f"{shown(path)}: {where}expected a name for column {number}, found none")
        if name in seen:
            raise DataError(
                f"{shown(path)}: {where}expected different column names, found {excerpt(name)} for the columns "
                f"{seen[name]} and {number}"
            )
        seen[name] = number


def _rows(path: Any, text: str, delimiter: str) -> tuple[list[int], list[list[str]]]:
    """The rows that are not blank, and the line that each begins on."""
    options: Any = {"delimiter": delimiter, "skipinitialspace": delimiter != " ", "strict": True}
    reader = csv.reader(io.StringIO(text, newline=""), **options)
    lines, rows, line = [], [], 1
    try:
        for row in reader:
            if row:
                lines.append(line)
                rows.append(row)
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{shown(path)}: line {line}: expected a row of a CSV file, found none ({reason(error)})"
        ) from error
    return lines, rows


def _value(text: str) -> str | None:
    text = text.strip()
    return None if text.casefold() in MISSING else text
