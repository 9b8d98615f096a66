"""Files that a person names: looked at before they are opened, and written whole or not at all."""

from pathlib import Path
from typing import Any

from dlcore.errors import CheckpointError, DataError
from dlcore.files import kind_of, reason, whole
from dlcore.places import is_bucket, place, reaching


def check_run(path: Path) -> Any:
    """Returns the folder of a run, on this machine or in a bucket; what is there and is no folder of a run is refused.

    Raises:
        CheckpointError: says what is there.
        ValueError, ImportError: as `dlcore.places.place`.
    """
    folder = place(path, "run")
    if is_bucket(folder):
        return folder  # no pipe lies there, nor anything else that would be waited for
    if (found := kind_of(folder)) not in ("a folder", "nothing"):
        raise CheckpointError(f"{folder}: expected the folder of a run, found {found}")
    if (found := kind_of(folder / "config.json")) not in ("a file", "nothing"):
        raise CheckpointError(f"{folder / 'config.json'}: expected a file, found {found}")
    return folder


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file that is there whole or not at all; what was there before stays until the new one is complete.

    Args:
        path: the file; its folder has to be there.
        content: what to write.

    Raises:
        DataError: where it cannot be written.
    """
    path = check_place(path)
    try:
        with reaching(path), whole(path) as part:
            part.write_bytes(content)
    except OSError as error:
        raise DataError(f"{path}: expected a place to write to, found {reason(error)}") from None


def check_place(path: Path) -> Any:
    """Returns the place, on this machine or in a bucket; one where no file can be written is refused beforehand.

    Raises:
        DataError: says what is there.
    """
    path = place(path)
    if is_bucket(path):  # where folders need not be made
        return path
    if (found := kind_of(path)) not in ("a file", "nothing"):
        raise DataError(f"{path}: expected the name of a file to write, found {found}")
    if (found := kind_of(path.parent)) != "a folder":
        raise DataError(f"{path}: expected an existing folder {path.parent}, found {found}")
    return path
