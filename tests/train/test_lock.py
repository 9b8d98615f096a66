"""One writer a folder: who is refused, and what becomes of the lock of a process that dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dlcore.errors import CheckpointError
from dlcore.train._lock import Lock

HOLD = """
import sys, time
from pathlib import Path
from dlcore.train._lock import Lock
lock = Lock(Path(sys.argv[1]))
{then}
print("held", flush=True)
time.sleep(60)
"""


def hold(folder: Path, then: str = "") -> subprocess.Popen[str]:
    """Start a process that holds the lock."""
    command = [sys.executable, "-c", HOLD.format(then=then), str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    """Kill a process as nothing can be caught."""
    process.kill()
    process.communicate()


def test_another_process_is_refused_with_the_number_of_the_first(tmp_path: Path):
    process = hold(tmp_path)
    try:
        with pytest.raises(CheckpointError) as caught:
            Lock(tmp_path)
    finally:
        end(process)
    repair = "wait for it, stop it, or give another folder"
    assert str(caught.value) == f"{tmp_path} is being written by process {process.pid}; {repair}"


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path):
    end(hold(tmp_path))
    with Lock(tmp_path):
        assert (tmp_path / ".lock").read_text() == str(os.getpid())


def test_the_same_process_is_refused_too(tmp_path: Path):
    with Lock(tmp_path), pytest.raises(CheckpointError, match=f"written by process {os.getpid()};"):
        Lock(tmp_path)


def test_a_released_lock_can_be_taken_and_released_twice(tmp_path: Path):
    first = Lock(tmp_path)
    first.release()
    second = Lock(tmp_path)
    first.release()
    with pytest.raises(CheckpointError):
        Lock(tmp_path)
    second.release()
    Lock(tmp_path).release()


@pytest.mark.parametrize(
    "child",
    [
        pytest.param(
            "import subprocess; c = subprocess.Popen(['sleep', '60'], close_fds=False); pid = c.pid", id="exec"
        ),
        pytest.param("import os; pid = os.fork(); pid or time.sleep(60)", id="fork"),
    ],
)
def test_a_child_that_outlives_the_holder_does_not_keep_the_lock(tmp_path: Path, child: str):
    note = f"Path({str(tmp_path / 'child')!r}).write_text(str(pid))"
    process = hold(tmp_path, f"{child}\n{note}")
    number = int((tmp_path / "child").read_text())
    try:
        with pytest.raises(CheckpointError, match=f"process {process.pid};"):
            Lock(tmp_path)  # the child has not given away the lock of its parent
        process.kill()
        process.wait()
        os.kill(number, 0)  # the child is still there
        deadline = time.monotonic() + 10
        while True:
            try:
                Lock(tmp_path).release()
                break
            except CheckpointError:  # a child that has only just been forked lets go with its first instructions
                assert time.monotonic() < deadline
                time.sleep(0.05)
    finally:
        os.kill(number, signal.SIGKILL)
        end(process)


def test_a_forked_child_that_releases_leaves_the_lock_to_its_parent(tmp_path: Path):
    process = hold(tmp_path, "import os; pid = os.fork()\nif pid == 0: lock.release(); os._exit(0)\nos.waitpid(pid, 0)")
    try:
        with pytest.raises(CheckpointError, match=f"process {process.pid};"):
            Lock(tmp_path)
    finally:
        end(process)


def test_what_cannot_be_locked_is_one_line(tmp_path: Path):
    with pytest.raises(CheckpointError, match="missing cannot be locked: No such file or directory$"):
        Lock(tmp_path / "missing")


def test_a_short_number_replaces_a_longer_one(tmp_path: Path):
    (tmp_path / ".lock").write_text("12345678901234567")
    start = time.monotonic()
    with Lock(tmp_path):
        assert (tmp_path / ".lock").read_text() == str(os.getpid())
    assert time.monotonic() - start < 5  # an unlocked file is taken at once, whatever it says
