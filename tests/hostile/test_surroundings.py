"""No home, no letters but ASCII, twenty columns, a pipe that nobody reads, a clock that runs backwards."""

from __future__ import annotations

import itertools
import os
import re
import struct
import time

import pytest

from dlcore.cli import main
from dlcore.train import _progress

PLAIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.slow
def test_a_narrow_terminal_without_colours_or_letters_or_a_home(start, tmp_path):
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 20, 0, 0))
    # Not even root can make a folder there. Nothing else is inherited.
    env = {**PLAIN, "HOME": "/dev/null/none", "PATH": os.defpath, "NO_COLOR": "1", "TERM": "xterm-256color"}
    command = ("train", "iris", "--epochs", "2", "--seeds", "2", "--out", tmp_path / "run")
    process = start(*command, env=env, stdout=theirs, stderr=theirs, stdin=theirs)
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 65536):
            said += part
    except OSError:  # Linux: the other side is closed
        pass
    os.close(ours)
    assert process.wait(timeout=100) == 0, said
    assert b"Traceback" not in said and b"Error" not in said and b"atplotlib" not in said
    assert not re.search(rb"\x1b\[[0-9;]*3[0-7][0-9;]*m", said)  # no colours
    assert b"loss" in said and b" ? " in said  # a plus-minus sign, which the locale does not have
    assert (tmp_path / "run" / "report.html").read_text(encoding="utf-8").count("±")


def test_the_help_fits_into_twenty_columns_and_into_ascii(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "20")
    for words in (["--help"], ["train", "--help"], ["predict", "--help"]):
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert not caught.value.code and "help" in capsys.readouterr().out


def test_a_path_that_the_locale_cannot_say_is_refused_before_training(start, tmp_path):
    with start("train", "iris", "--out", tmp_path / "ü", env={**os.environ, **PLAIN}) as process:
        out, err = process.communicate(timeout=100)
    assert (process.returncode, out, err.count(b"\n")) == (2, b"", 1)
    assert b"set PYTHONUTF8=1" in err and os.listdir(tmp_path) == []


@pytest.mark.parametrize("words", [["list", "--all"], ["--help"]], ids=" ".join)
def test_a_pipe_that_nobody_reads_ends_the_command_quietly(start, words):
    reader, writer = os.pipe()
    os.close(reader)
    with start(*words, stdout=writer) as process:
        os.close(writer)
        _, err = process.communicate(timeout=100)
    assert (process.returncode, err) == (141, b"")


def test_output_that_cannot_be_written_is_said_in_one_line(start):
    with open("/dev/full", "wb") as full, start("list", stdout=full) as process:
        _, err = process.communicate(timeout=100)
    assert (process.returncode, err) == (2, b"dlcore: [Errno 28] No space left on device\n")


def test_where_jax_cannot_be_imported_the_doctor_says_so(start, tmp_path):
    before = "import sys; sys.modules['jax'] = None"
    with start("doctor", before=before, cwd=tmp_path) as process:
        out, err = process.communicate(timeout=100)
    assert (process.returncode, err) == (1, b"") and b"WRONG  devices" in out and b"-> pip install" in out
    with start("train", before=before, cwd=tmp_path) as process:
        out, err = process.communicate(timeout=100)
    assert (process.returncode, out, err.count(b"\n")) == (2, b"", 1) and b"dlcore doctor" in err
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_a_clock_that_runs_backwards_gives_no_negative_times(tmp_path, monkeypatch, capsys):
    ticks = itertools.count(2_000_000_000, -1)
    monkeypatch.setattr(time, "time", lambda: float(next(ticks)))
    clock = _progress.Clock()
    clock.start(1000, 10)
    time.sleep(0.21)
    assert re.fullmatch(r"[\d,]+ steps/s  [\d.]+ m?s left", clock.speed(500)), clock.speed(500)
    main(["train", "iris", "--epochs", "300", "--out", str(tmp_path / "run")])
    out = capsys.readouterr().out
    assert "compiled in " in out and not re.search(r"-\d[\d.]* (s|min|h|steps/s)\b", out), out
