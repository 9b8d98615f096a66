"""Open a file that must be an ordinary one: a pipe, a device or a folder is refused at once, without waiting on it."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from dlcore.errors import DataError

_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}

# Without O_NONBLOCK, opening a pipe waits for somebody to write into it. O_BINARY is Windows'.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


@contextlib.contextmanager
def open_regular(path: str | os.PathLike[str]) -> Iterator[tuple[FileIO, int]]:
    """Gives an ordinary file, open for reading without a buffer, and its size in bytes."""
    if isinstance(path, bool | int):
        raise TypeError(f"path: expected a str or a Path, found {path!r}")
    try:
        descriptor = os.open(path, _FLAGS)
    except FileNotFoundError:
        raise DataError(f"{path}: expected a file, found nothing there") from None
    except OSError as error:  # on Windows also a folder
        found = "a folder" if Path(path).is_dir() else error.strerror
        raise DataError(f"{path}: expected a file that can be read, found {found}") from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        found = _KINDS.get(stat.S_IFMT(status.st_mode), "a device")
        raise DataError(f"{path}: expected an ordinary file, found {found}")
    with open(descriptor, "rb", buffering=0) as stream:
        yield stream, status.st_size


def described(start: bytes) -> str:
    """Says in words what a file that begins with `start` seems to be."""
    if not start:
        return "an empty file"
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return "an HTML page"
    if start.startswith(b"\x1f\x8b"):
        return "gzip data"
    return f"a file that begins with the bytes {start[:4].hex(' ')}"
