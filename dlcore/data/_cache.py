"""Where downloaded data live on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from dlcore.errors import DataError
from dlcore.files import cache_root

_REPAIR = "set DLCORE_DATA to a folder that can be written"


def data_dir() -> Path:
    """Returns the folder that downloads go to, made if it is not there.

    It is `$DLCORE_DATA`, or else `dlcore/data` in the cache folder of the platform: `$XDG_CACHE_HOME` or `~/.cache` on
    Linux, `~/Library/Caches` on macOS, `%LOCALAPPDATA%` on Windows.

    Raises:
        DataError: there is no home folder, or the folder cannot be made.

    Source: XDG Base Directory Specification (freedesktop.org, 2021).

    Example:
        >>> import pytest, tempfile
        >>> with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        ...     patch.setenv("DLCORE_DATA", f"{folder}/mine")
        ...     data_dir().name, data_dir().is_dir()
        ('mine', True)
    """
    folder = data_place()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        found = f"that it cannot be made ({error.strerror})"
        raise DataError(f"{folder}: expected a folder for downloaded data, found {found}; {_REPAIR}") from None
    return folder


def data_place() -> Path:
    """Returns the folder of `data_dir`, which may not be there yet.

    Raises:
        DataError: there is no home folder.
    """
    try:
        chosen = os.environ.get("DLCORE_DATA")
        return Path(chosen).expanduser() if chosen else cache_root() / "data"
    except RuntimeError:  # no home: neither in the environment nor in the list of users
        raise DataError(f"~: expected a home folder for downloaded data, found none; {_REPAIR}") from None
