"""Ctrl-C at any moment of a start: status 130, nothing on standard error, and a second start that works."""

from __future__ import annotations

import os
import signal
import time

import pytest

# Sends SIGINT when a module is looked for, and swallows what that raises, as some libraries do while they start.
AT_IMPORT = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r} and sys.meta_path[0] is self:
            sys.meta_path.remove(self)
            try:
                os.kill(os.getpid(), signal.{signal})
                for _ in range(1000): pass
            except BaseException: pass
sys.meta_path.insert(0, Finder())
"""

WHILE_WRITING = """
import os, signal
def replace(*_):
    os.kill(os.getpid(), signal.SIGINT)
    while True: pass
os.replace = replace
"""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "number"), [("tyro", "SIGINT"), ("sklearn.datasets", "SIGTERM")])
def test_a_signal_during_an_import_ends_the_start_even_if_a_library_swallows_it(start, tmp_path, name, number):
    before = AT_IMPORT.format(name=name, signal=number)
    with start("train", "iris", "--epochs", "1", "--out", tmp_path / "run", before=before) as process:
        out, err = process.communicate(timeout=100)
    assert (process.returncode, out, err) == (128 + getattr(signal, number), b"", b"")
    assert os.listdir(tmp_path) == []


def test_a_signal_while_a_file_is_written_leaves_no_part_of_it(start, tmp_path):
    with start("show", "digits", "--out", tmp_path / "d.png", before=WHILE_WRITING) as process:
        _, err = process.communicate(timeout=100)
    assert (process.returncode, err, os.listdir(tmp_path)) == (130, b"", [])


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.3, 0.6, 0.9, 1.2, 1.5, 1.8, 2.1, 2.4, 3.0])
def test_ctrl_c_at_any_moment_of_a_start(start, tmp_path, delay):
    out = tmp_path / "run"
    before = "print('started', flush=True)"
    with start("train", "iris", "--epochs", "1000000", "--out", out, before=before) as process:
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=100)
    assert (process.returncode, err) == (130, b"")
    with start("train", "iris", "--epochs", "1", "--out", out, "--resume") as process:
        _, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
