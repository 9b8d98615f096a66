"""Files that a person names: looked at before they are opened, and written whole or not at all."""

import contextlib
import os
import stat
from pathlib import Path

from dlcore.errors import CheckpointError, DataError

PARTS: set[Path] = set()  # files that are being written

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFREG: "a file",
}


def kind_of(path: Path) -> str:
    """Returns what lies at a path: "a file", "a folder", "a named pipe", ..., "nothing", or why it cannot be seen.

    Example:
        >>> kind_of(Path("."))
        'a folder'
    """
    try:
        return _KINDS.get(stat.S_IFMT(path.stat().st_mode), "something else")
    except FileNotFoundError:
        return "nothing"
    except (OSError, ValueError) as error:  # ValueError: a null byte
        return getattr(error, "strerror", None) or str(error)


def read_bytes(path: Path, expected: str = "a file") -> bytes:
    """Returns the content of a file.

    Args:
        path: the file; a named pipe is refused before it is opened, since it may never end.
        expected: what to call it in an error.

    Raises:
        DataError: where there is no file, or it cannot be read.
    """
    check_file(path, expected)
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: expected {expected}, found {error.strerror or error}") from None


def check_file(path: Path, expected: str = "a file") -> None:
    """Refuses what is no file.

    Raises:
        DataError: says what is there.
    """
    if (found := kind_of(path)) != "a file":
        raise DataError(f"{path}: expected {expected}, found {found}")


def check_run(folder: Path) -> None:
    """Refuses what is no folder of a run.

    Raises:
        CheckpointError: says what is there.
    """
    if (found := kind_of(folder)) not in ("a folder", "nothing"):
        raise CheckpointError(f"{folder}: expected the folder of a run, found {found}")
    if (found := kind_of(folder / "config.json")) not in ("a file", "nothing"):
        raise CheckpointError(f"{folder / 'config.json'}: expected a file, found {found}")


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file that is there whole or not at all; what was there before stays until the new one is complete.

    Args:
        path: the file; its folder has to be there.
        content: what to write.

    Raises:
        DataError: where it cannot be written.
    """
    check_place(path)
    part = path.resolve().with_name(f".dlcore-{os.getpid()}.part")
    PARTS.add(part)
    try:
        with open(part, "xb") as file:
            file.write(content)
        os.replace(part, path.resolve())
    except OSError as error:
        raise DataError(f"{path}: expected a place to write to, found {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        PARTS.discard(part)


def check_place(path: Path) -> None:
    """Refuses a place where no file can be written, before anything is computed for it.

    Raises:
        DataError: says what is there.
    """
    if (found := kind_of(path)) not in ("a file", "nothing"):
        raise DataError(f"{path}: expected the name of a file to write, found {found}")
    if (found := kind_of(path.parent)) != "a folder":
        raise DataError(f"{path}: expected an existing folder {path.parent}, found {found}")
