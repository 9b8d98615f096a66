"""A report is one file that needs no other."""

import base64
import html.parser
import re

import numpy as np

from dlcore import report

VOID = {"meta", "img"}


class Document(html.parser.HTMLParser):
    """Checks that what is opened is closed, and collects texts, headings and where anything is fetched from."""

    def __init__(self):
        super().__init__()
        self.open, self.fetched, self.texts = [], [], []

    def handle_starttag(self, tag, attrs):
        self.fetched += [value for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))


def read(text):
    document = Document()
    document.feed(text)
    assert not document.open
    return document


def test_a_page_is_well_formed_escaped_and_fetches_nothing():
    figure = report.bands({"a": ([1, 2], [[1.0, 0.5]])}, ylabel="loss")
    parts = ("a text & more", figure, {"nested": {"<b>": 1.0}}, [{"rate": 0.1}])
    document = read(report.page("<run>", [("Curves", figure), ("All", parts)]))
    assert ("h1", "<run>") in document.texts and ("h2", "Curves") in document.texts
    assert ("p", "a text & more") in document.texts and ("th", "<b>") in document.texts
    assert len(document.fetched) == 2
    for source in document.fetched:
        kind, code = source.split(",")
        assert kind == "data:image/png;base64" and base64.b64decode(code).startswith(b"\x89PNG")


def test_a_page_of_nothing_is_a_page():
    assert ("h1", "empty") in read(report.page("empty", [])).texts


def test_what_sorts_a_table_reads_numbers_with_their_interval():
    page = report.page("t", [("Points", [{"loss": "0.12 ± 0.03"}])])
    pattern = re.compile(re.findall(r"const number = /(.*)/;", page)[0])
    assert all(pattern.match(text) for text in ("0.12 ± 0.03", "1e-07", "-3", "12345678", "+1.5e+3 ± 2"))
    assert not any(pattern.match(text) for text in ("relu", "440 to 1760", "3 blocks", "", "1e"))


def test_arrays_in_a_configuration_are_shown():
    assert "array" in report.page("t", [("Configuration", {"x": np.zeros(2)})])
