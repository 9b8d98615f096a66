"""Folders that belong to no run."""

import os
import sys
from pathlib import Path


def data_folder() -> Path:
    """Returns where fetched data sets lie: `DLCORE_DATA`, or a folder of the platform's cache.

    Nothing is made, and a machine without a home folder gets one beneath the working folder.

    Example:
        >>> data_folder().name
        'data'
    """
    if wanted := os.environ.get("DLCORE_DATA"):
        folder = Path(wanted)
    elif sys.platform == "darwin":
        folder = Path("~/Library/Caches/dlcore/data")
    elif sys.platform == "win32":
        folder = Path(os.environ.get("LOCALAPPDATA", "~"), "dlcore", "data")
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "dlcore", "data")
    try:
        return folder.expanduser()
    except RuntimeError:  # no home
        return Path("dlcore-cache", "data")


def size_of(folder: Path) -> tuple[int, int]:
    """Returns how many files lie in a folder, and their bytes in all."""
    count = size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.stat(os.path.join(place, name)).st_size
                count += 1
            except OSError:  # gone since it was listed
                continue
    return count, size
