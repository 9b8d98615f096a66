"""`dlcore evaluate`."""

from json import dumps
from pathlib import Path
from typing import Literal

from dlcore.cli._files import check_run


def evaluate(run: Path, /, split: Literal["validation", "test"] = "validation", json: bool = False) -> None:
    """Evaluate a trained run on a split of its data.

    Args:
        run: the folder of the run.
        split: which part of the data; look at "test" once, at the end.
        json: print one JSON object, a list for each metric where the run has several seeds.
    """
    run = check_run(run)
    from dlcore.errors import CheckpointError
    from dlcore.train import load
    from dlcore.train._folder import numbers
    from dlcore.train._progress import spread

    loaded = load(run)
    if loaded.data is None:
        raise CheckpointError(f"{run} was made with data that are not here: dlcore.load({str(run)!r}, data=...)")
    values = loaded.evaluate(split)
    if json:
        print(dumps({name: numbers(value) for name, value in values.items()}))
        return
    print(f"{loaded.headline()}, {split}")
    for name, value in values.items():
        print(f"  {name.replace('_', ' '):<20} {spread(value)}")
