"""Files from outside and files for others: only ordinary ones are read, within a bound, and they are written whole."""

import contextlib
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any

from dlcore.errors import DataError, one_line
from dlcore.places import is_bucket, place

PARTS: set[Path] = set()  # files that are being written; whoever ends the process at once removes them

_KINDS = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

# Without O_NONBLOCK, opening a pipe waits for somebody to write into it. O_BINARY is Windows'.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)

_ENOUGH = 1 << 30


def cache_root() -> Path:
    """Returns the folder of the platform's cache that is dlcore's; it may not be there.

    Raises:
        RuntimeError: there is no home folder, neither in the environment nor in the list of users.

    Source: XDG Base Directory Specification (freedesktop.org, 2021).
    """
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        root = Path(local) if local else Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches"
    else:
        chosen = Path(os.environ.get("XDG_CACHE_HOME", ""))
        root = chosen if chosen.is_absolute() else Path.home() / ".cache"  # relative paths are ignored, it says
    return root / "dlcore"


def kind_of(path: str | os.PathLike[str]) -> str:
    """Returns what lies at a path: "a file", "a folder", "a pipe", ..., "nothing", or why it cannot be seen.

    Example:
        >>> kind_of(".")
        'a folder'
    """
    try:
        return _kind(os.stat(path).st_mode)
    except FileNotFoundError:
        return "nothing"
    except (OSError, ValueError) as error:  # ValueError: a null byte
        return reason(error)


def regular_size(path: str | os.PathLike[str], what: str) -> int:
    """Returns the size of an ordinary file in bytes; everything else that has a name is refused.

    Args:
        path: the file.
        what: it should be, for the message: "a CSV file".

    Raises:
        DataError: it is missing, or no ordinary file.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise unreadable(path, what, error) from None
    _refuse_irregular(path, what, status.st_mode)
    return status.st_size


@contextlib.contextmanager
def open_regular(path: str | os.PathLike[str], what: str = "an ordinary file") -> Iterator[tuple[FileIO, int]]:
    """Gives an ordinary file, open for reading without a buffer, and its size in bytes.

    Raises:
        TypeError: the path is a number.
        DataError: as `regular_size`; a pipe is refused without waiting on it.
    """
    if isinstance(path, bool | int):
        raise TypeError(f"path: expected a str or a Path, found {path!r}")
    try:
        descriptor = os.open(path, _FLAGS)
    except (OSError, ValueError) as error:
        if isinstance(error, PermissionError) and Path(path).is_dir():  # Windows says so of folders
            error = IsADirectoryError(error.errno, "Is a directory")
        raise unreadable(path, what, error) from None
    try:
        status = os.fstat(descriptor)
        _refuse_irregular(path, what, status.st_mode)
        stream = open(descriptor, "rb", buffering=0)  # noqa: SIM115 (closed below)
    except BaseException:
        os.close(descriptor)
        raise
    with stream:
        yield stream, status.st_size


def read_bytes(path: str | os.PathLike[str], what: str, max_bytes: int = _ENOUGH) -> bytes:
    """Returns the content of an ordinary file of at most `max_bytes`, 1 GiB unless given.

    Raises:
        DataError: it is missing, not an ordinary file, unreadable or too large.
    """
    with open_regular(path, what) as (stream, size):
        if size > max_bytes:
            raise DataError(f"{shown(path)}: expected {what} of at most {max_bytes} bytes, found {size}")
        try:
            with open(stream.fileno(), "rb", closefd=False) as file:
                content = file.read(size + 1)  # not the bound: `read` asks for the memory of all that it is told to
                while size < len(content) <= max_bytes:  # it grew, or its size is not told, as under /proc
                    more = file.read(min(len(content), max_bytes + 1 - len(content)))
                    if not more:
                        break
                    content += more
        except OSError as error:
            raise unreadable(path, what, error) from None
    if len(content) > max_bytes:
        raise DataError(f"{shown(path)}: expected {what} of at most {max_bytes} bytes, found more")
    return content


@contextlib.contextmanager
def whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives a path to write to, which takes the place of `path` at the end: whole, or not at all.

    In a bucket, where an object is never there in part, it is the path itself.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with whole(f"{folder}/a.txt") as part:
        ...         _ = part.write_text("all of it")
        ...     os.listdir(folder)
        ['a.txt']
    """
    target = place(path, "path")
    if is_bucket(target):
        yield target
        return
    target = target.resolve() if target.is_symlink() else target  # what a link leads to is replaced, not the link
    part = target.with_name(f".dlcore-{secrets.token_hex(8)}.part")
    PARTS.add(part)
    try:
        yield part
        os.replace(part, target)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        PARTS.discard(part)


def described(start: bytes) -> str:
    """Says in words what a file that begins with `start` seems to be.

    Example:
        >>> described(b"<!DOCTYPE html>")
        'an HTML page'
    """
    if not start:
        return "an empty file"
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return "an HTML page"
    if start.startswith(b"\x1f\x8b"):
        return "gzip data"
    return f"a file that begins with the bytes {start[:4].hex(' ')}"


def shown(path: Any) -> str:
    """Returns a path as one line of text that every terminal prints."""
    text = os.fspath(path)
    text = os.fsdecode(text) if isinstance(text, bytes) else text
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def reason(error: BaseException) -> str:
    """Returns what an error of others says, on one line and cut where it is long."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else one_line(error, 150)
    return said or type(error).__name__


def unreadable(path: str | os.PathLike[str], what: str, error: Exception) -> DataError:
    """Returns the error that says why a file cannot be read."""
    found = "nothing there" if isinstance(error, FileNotFoundError) else f"none that can be read ({reason(error)})"
    return DataError(f"{shown(path)}: expected {what}, found {found}")


def _kind(mode: int) -> str:
    return _KINDS.get(stat.S_IFMT(mode), "something else")


def _refuse_irregular(path: str | os.PathLike[str], what: str, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise DataError(f"{shown(path)}: expected {what}, found {_kind(mode)}")
