"""Tables as text, HTML, CSV and JSON."""

import csv
import html.parser
import io
import json
import math

from dlcore.report import table_csv, table_html, table_json, table_text

ROWS = [
    {"rate": 0.1, "note": 'a, "b"\nc', "count": 3},
    {"rate": float("nan"), "note": "<i>&</i>", "count": None},
    {"rate": 1e-7, "note": "±", "count": 12345678},
]


class Cells(html.parser.HTMLParser):
    """Collects the cells of a table, and checks that what is opened is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.cells = [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.cells[-1] += data


def test_text_stands_in_columns():
    lines = table_text([{"rate": 0.5, "name": "a"}, {"rate": 0.125, "name": "longer"}]).splitlines()
    assert lines == [" rate  name", "  0.5  a", "0.125  longer"]


def test_a_table_without_rows_is_no_error():
    assert table_text([]) == "(no rows)"
    assert table_csv([]) == "\n" and table_json([]) == "[]" and "<tbody></tbody>" in table_html([])


def test_csv_comes_back_as_it_was():
    back = list(csv.DictReader(io.StringIO(table_csv(ROWS))))
    assert [row["note"] for row in back] == [row["note"] for row in ROWS]
    assert [float(row["rate"]) for row in back][::2] == [0.1, 1e-7] and math.isnan(float(back[1]["rate"]))
    assert [row["count"] for row in back] == ["3", "", "12345678"]


def test_json_comes_back_as_it_was_and_is_strict():
    def no_constant(name):
        raise AssertionError(f"{name} is no JSON")

    back = json.loads(table_json(ROWS), parse_constant=no_constant)
    assert back == [row | {"rate": None if math.isnan(row["rate"]) else row["rate"]} for row in ROWS]


def test_html_is_well_formed_and_escaped():
    cells = Cells()
    cells.feed(table_html(ROWS))
    assert not cells.open
    assert cells.cells == [
        "rate",
        "note",
        "count",
        "0.1",
        'a, "b"\nc',
        "3",
        "nan",
        "<i>&</i>",
        "",
        "1e-07",
        "±",
        "12345678",
    ]


def test_numbers_stand_to_the_right_and_texts_to_the_left():
    shown = table_html([{"a": 1.5, "b": "x", "c": True}])
    assert shown.count('align="right"') == 1 and '<td align="right">1.5</td>' in shown


def test_what_is_no_number_or_text_is_shown_by_its_name():
    assert "relu" in table_csv([{"activation": relu}]) and "relu" in table_json([{"activation": relu}])


def relu(x):
    return max(x, 0)
