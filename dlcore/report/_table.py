"""Tables of rows, for the terminal, the notebook and files."""

import csv
import html
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from dlcore.report._statistics import label

Rows = Sequence[Mapping[str, Any]]


def table_text(rows: Rows) -> str:
    """Returns a table in aligned plain text, numbers to four digits.

    Example:
      >>> print(table_text([{"rate": 0.1, "loss": 0.123456}, {"rate": 0.01, "loss": 2.0}]))
      rate    loss
       0.1  0.1235
      0.01       2
    """
    if not rows:
        return "(no rows)"
    names = list(rows[0])
    lines = [[name.replace("_", " ") for name in names], *([_cell(row.get(name)) for name in names] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(names))]
    right = [any(_is_number(row.get(name)) for row in rows) for name in names]
    pad = lambda text, i: text.rjust(widths[i]) if right[i] else text.ljust(widths[i])
    return "\n".join("  ".join(pad(text, i) for i, text in enumerate(line)).rstrip() for line in lines)


def table_html(rows: Rows) -> str:
    """Returns an HTML table, numbers to four digits and to the right.

    Example:
      >>> table_html([{"rate": 0.1}])
      '<table><thead><tr><th>rate</th></tr></thead><tbody><tr><td align="right">0.1</td></tr></tbody></table>'
    """
    names = list(rows[0]) if rows else []
    head = "".join(f"<th>{html.escape(name.replace('_', ' '))}</th>" for name in names)
    body = "".join("<tr>" + "".join(_html_cell(row.get(name)) for name in names) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def table_csv(rows: Rows) -> str:
    r"""Returns a table as CSV, numbers in full.

    Example:
      >>> table_csv([{"rate": 0.1, "note": "a, b"}])
      'rate,note\n0.1,"a, b"\n'
    """
    text = io.StringIO()
    names = list(rows[0]) if rows else []
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_plain(row.get(name)) for name in names] for row in rows)
    return text.getvalue()


def table_json(rows: Rows) -> str:
    """Returns a table as JSON, a list of objects; what is not finite becomes null.

    Example:
      >>> table_json([{"rate": 0.1, "loss": float("nan")}])
      '[{"rate": 0.1, "loss": null}]'
    """
    finite = lambda value: None if isinstance(value, float) and not math.isfinite(value) else _plain(value)
    return json.dumps([{name: finite(value) for name, value in row.items()} for row in rows])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: Any) -> str:
    return "" if value is None else label(value)


def _html_cell(value: Any) -> str:
    side = ' align="right"' if _is_number(value) else ""
    return f"<td{side}>{html.escape(_cell(value))}</td>"


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else label(value)
