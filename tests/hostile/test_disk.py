"""Disks that are full or read-only: one line, and nothing half-written."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from collections.abc import Iterator

import pytest

from dlcore import files
from dlcore.cli import _files, main
from dlcore.errors import DataError
from dlcore.train import _folder


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """No file can be written beyond a size: as on a full disk, the first bytes are there and the next fail."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_file_that_was_there(tmp_path):
    file = tmp_path / "a.csv"
    _files.write_whole(file, b"before")
    with files_of_at_most(100), pytest.raises(DataError, match=r"a\.csv: expected a place to write to, found File too"):
        _files.write_whole(file, bytes(1000))
    assert file.read_bytes() == b"before" and os.listdir(tmp_path) == ["a.csv"]


def test_a_full_disk_under_a_picture(tmp_path, refused):
    with files_of_at_most(300):
        said = refused("show", "digits", "--out", tmp_path / "d.png")
    assert "d.png" in said and os.listdir(tmp_path) == []


def test_a_full_disk_under_a_run_keeps_its_checkpoint_and_no_parts(tmp_path, refused):
    out = tmp_path / "run"
    with files_of_at_most(2048):  # a checkpoint of iris is smaller, its picture larger
        said = refused("train", "iris", "--epochs", "1", "--out", out)
    assert "curves.png cannot be written: File too large" in said
    assert sorted(os.listdir(out)) == [".lock", "checkpoints", "config.json", "metrics.csv", "results.json"]
    main(["train", "--resume", "--out", str(out)])  # with room again
    assert (out / "report.html").exists()


def test_a_disk_that_is_full_from_the_start(tmp_path, refused):
    with files_of_at_most(100):
        said = refused("train", "iris", "--epochs", "1", "--out", tmp_path / "run")
    assert "config.json cannot be written" in said and os.listdir(tmp_path / "run") == [".lock"]
    main(["train", "iris", "--epochs", "1", "--out", str(tmp_path / "run")])


def test_a_folder_that_is_read_only(tmp_path, monkeypatch, refused):
    def fail(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(files.os, "replace", fail)
    said = refused("show", "digits", "--out", tmp_path / "d.png")
    assert "d.png: expected a place to write to, found Read-only file system" in said and os.listdir(tmp_path) == []
    monkeypatch.setattr(_folder.os, "access", lambda *_: False)
    said = refused("train", "iris", "--epochs", "1", "--out", tmp_path / "run")
    assert "is read-only; give another folder" in said and os.listdir(tmp_path) == []
