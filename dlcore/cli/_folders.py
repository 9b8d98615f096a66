"""What lies in a folder."""

import os
from pathlib import Path


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
