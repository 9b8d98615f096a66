"""Text files are UTF-8 or refused, and the bundled corpus holds out text that train has not."""

from __future__ import annotations

import os
import platform
import sys
import tracemalloc

import pytest

from dlcore.data import Corpus, pydoc, read_text
from dlcore.errors import DataError


def test_text_comes_back_without_its_byte_order_mark_and_with_newlines(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfgr\xc3\xbc\xc3\x9fe\r\nan\ralle\n")
    assert read_text(path) == "grüße\nan\nalle\n"
    path.write_bytes(b"")
    assert read_text(path) == ""


def test_the_first_byte_that_is_not_utf8_is_named(tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes(b"first\ngr\xfc\xdfe")
    with pytest.raises(DataError, match=r"latin\.txt: expected text in UTF-8, found 0xfc at byte 8 \(line 2\)"):
        read_text(path)
    path.write_bytes("hello".encode("utf-16"))
    with pytest.raises(DataError, match="found UTF-16; save it as UTF-8"):
        read_text(path)


def test_a_file_above_the_limit_is_refused_and_one_at_the_limit_is_not(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("x" * 10)
    assert read_text(path, max_bytes=10) == "x" * 10
    with pytest.raises(DataError, match="at most 9 bytes, found 10"):
        read_text(path, max_bytes=9)
    with pytest.raises(ValueError, match="max_bytes: expected at least 1, found 0"):
        read_text(path, max_bytes=0)
    with pytest.raises(TypeError, match="max_bytes: expected an int, found float"):
        read_text(path, max_bytes=1e9)  # pyright: ignore[reportArgumentType]


def test_what_is_not_a_regular_file_is_refused_in_one_line(tmp_path):
    with pytest.raises(DataError, match="found nothing there"):
        read_text(tmp_path / "absent\n.txt")
    with pytest.raises(DataError) as caught:
        read_text(tmp_path / "absent\n.txt")
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="expected a text file in UTF-8, found a folder"):
        read_text(tmp_path)
    with pytest.raises(DataError, match="can be read"):
        read_text("nul\0inside")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name here")
def test_a_pipe_is_refused_and_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="found a pipe"):
        read_text(tmp_path / "pipe")


def test_a_file_whose_size_is_not_told_is_bounded_too():
    if not os.path.exists("/proc/self/maps"):
        return
    with pytest.raises(DataError, match="at most 10 bytes, found more"):
        read_text("/proc/self/maps", max_bytes=10)


def test_a_small_file_takes_no_memory_of_what_a_file_may_be(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("x" * 10)
    tracemalloc.start()
    read_text(path, max_bytes=1 << 30)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20, peak


def test_a_file_that_grows_while_it_is_read_is_read_to_its_end_and_bounded(tmp_path, monkeypatch):
    path, told = tmp_path / "a.txt", os.fstat
    path.write_text("x" * 1000)
    monkeypatch.setattr(os, "fstat", lambda fd: os.stat_result((told(fd).st_mode, *[0] * 5, 7, *[0] * 3)))
    assert read_text(path, max_bytes=1000) == "x" * 1000
    with pytest.raises(DataError, match="at most 999 bytes, found more"):
        read_text(path, max_bytes=999)


def test_the_bundled_corpus_holds_out_its_last_tenth_and_nothing_of_it_is_in_train():
    corpus = pydoc()
    assert isinstance(corpus, Corpus) and corpus == pydoc()
    assert corpus.version == f"Python {platform.python_version()}"
    assert len(corpus.train) > 300_000
    assert 0.1 <= len(corpus.validation) / len(corpus.train + corpus.validation) < 0.105
    train, validation = (
        [" ".join(paragraph.split()) for paragraph in part.split("\n\n")] for part in (corpus.train, corpus.validation)
    )
    assert not set(train) & set(validation)
    assert len(set(train + validation)) == len(train + validation)
    assert repr(corpus).startswith("Corpus pydoc Python 3.") and "train /" in repr(corpus)


def test_a_python_without_documentation_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(DataError, match=r"pydoc_data\.topics: expected Python's bundled documentation, found none"):
        pydoc()
