"""`dlcore verify`."""

import sys
from pathlib import Path

from dlcore.cli._files import check_run


def verify(folder: Path, /) -> None:
    """Run a run again from checkpoint to checkpoint, and compare every bit.

    Args:
        folder: the folder of the run.
    """
    from dlcore.train import verify as run_again

    folder = check_run(folder)
    found = run_again(folder)
    print(found)
    if not found.ok:
        sys.exit(1)
