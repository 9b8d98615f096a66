"""Files that a person names: looked at before they are opened, and written whole or not at all."""

from pathlib import Path

from dlcore.errors import CheckpointError, DataError
from dlcore.files import kind_of, reason, whole


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
    try:
        with whole(path) as part:
            part.write_bytes(content)
    except OSError as error:
        raise DataError(f"{path}: expected a place to write to, found {reason(error)}") from None


def check_place(path: Path) -> None:
    """Refuses a place where no file can be written, before anything is computed for it.

    Raises:
        DataError: says what is there.
    """
    if (found := kind_of(path)) not in ("a file", "nothing"):
        raise DataError(f"{path}: expected the name of a file to write, found {found}")
    if (found := kind_of(path.parent)) != "a folder":
        raise DataError(f"{path}: expected an existing folder {path.parent}, found {found}")
