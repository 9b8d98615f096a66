"""What starting a training run and ending it have in common."""

import sys
from pathlib import Path
from typing import Any

from dlcore.places import place


def arguments_of(chosen: Any) -> dict[str, Any]:
    """Returns what `fit` is called with for a preset."""
    from dlcore import presets
    from dlcore.data import load

    return {
        "model": chosen.model(),
        "data": load(chosen.data),
        "optimizer": presets.make_optimizer(chosen.optimizer, chosen.learning_rate),
        "batch_size": chosen.batch_size,
        "epochs": chosen.epochs,
        "key": 0,
    }


def leave(reasons: list[str], again: str) -> None:
    """Exits with the status of a signal if one ended the run, and says how to go on."""
    from dlcore.train import exit_status

    for reason in reasons:
        if status := exit_status(reason):
            print(f"{reason}, and saved; go on with: {again}")
            sys.exit(status)


def check_out(out: Path | None) -> Any:
    """Returns the folder of a run that is to be, on this machine or in a bucket.

    A name that the locale cannot read is refused: checkpoints could not be written at the end.

    Raises:
        ValueError: says what to set.
        ImportError: for a bucket, where gcsfs is missing.
    """
    try:
        str(out).encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"out: expected a name in the letters of the locale, found {ascii(str(out))}; set PYTHONUTF8=1"
        ) from None
    return None if out is None else place(out)


def next_folder(name: str) -> Path:
    """Returns the first of runs/NAME-1, runs/NAME-2, ... that is not there."""
    number = 1
    while (folder := Path("runs", f"{name}-{number}")).exists():
        number += 1
    return folder
