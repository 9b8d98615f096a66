"""A file read whole, within a limit: never a device, a pipe that blocks, or more than was allowed."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from dlcore.errors import DataError


def shown(path: Any) -> str:
    """Returns a path as one line of text that every terminal prints."""
    text = os.fspath(path)
    text = os.fsdecode(text) if isinstance(text, bytes) else text
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def excerpt(text: Any) -> str:
    """Returns what was found in a file, quoted, on one line and cut where it is long."""
    quoted = repr(str(text)[:60])
    return f"{quoted[:-1]}...{quoted[-1]}" if len(str(text)) > 60 else quoted


def reason(error: BaseException) -> str:
    """Returns what another library's error says, on one line and cut where it is long."""
    text = " ".join(str(error).split()) or type(error).__name__
    return "".join(character if character.isprintable() else "?" for character in text[:150])


def checked_limit(where: str, value: Any) -> int:
    """Returns a limit, a positive int."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{where}: expected an int, found {type(value).__name__}")
    if value < 1:
        raise ValueError(f"{where}: expected at least 1, found {value}")
    return value


def regular_size(path: str | os.PathLike[str], what: str) -> int:
    """Returns the size of a regular file in bytes, refusing everything else that has a name."""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise unreadable(path, what, error) from error
    _refuse_irregular(path, what, status.st_mode)
    return status.st_size


def read_bytes(path: str | os.PathLike[str], what: str, max_bytes: int) -> bytes:
    """Returns the content of a regular file of at most `max_bytes`; `what` names it in messages.

    Raises:
        DataError: it is missing, not a regular file, unreadable or too large.
    """
    try:
        # Without O_NONBLOCK, opening a pipe that nobody writes to never returns.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        if isinstance(error, PermissionError) and Path(path).is_dir():  # Windows says so of folders
            error = IsADirectoryError(error.errno, "Is a directory")
        raise unreadable(path, what, error) from error
    try:
        status = os.fstat(descriptor)
        _refuse_irregular(path, what, status.st_mode)
        if status.st_size > max_bytes:
            raise DataError(f"{shown(path)}: expected {what} of at most {max_bytes} bytes, found {status.st_size}")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise unreadable(path, what, error) from error
    finally:
        os.close(descriptor)
    if len(content) > max_bytes:  # it grew, or its size is not told, as under /proc
        raise DataError(f"{shown(path)}: expected {what} of at most {max_bytes} bytes, found more")
    return content


def _refuse_irregular(path: str | os.PathLike[str], what: str, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
        found = next((name for test, name in kinds if test(mode)), "a device")
        raise DataError(f"{shown(path)}: expected {what}, found {found}")


def unreadable(path: str | os.PathLike[str], what: str, error: Exception) -> DataError:
    said = error.strerror if isinstance(error, OSError) and error.strerror else reason(error)
    return DataError(f"{shown(path)}: expected {what}, found none that can be read ({said})")
