"""The folders of a run's checkpoints, on a disk or in a bucket: which count, and how they come and go."""

import re
from pathlib import Path

from dlcore.places import children, is_bucket, move, remove
from dlcore.train._checkpoint import COMMITTED, is_committed

_TRASH, _REPLACED = "deleted-", "replaced-"


class Shelf:
    """A folder of checkpoints, each a folder with its step for a name.

    On a disk a folder gets its name when it is complete. A bucket has no names to give: there a checkpoint counts once
    Orbax has written `commit_success.txt`, its last object, and that is the first to be deleted.

    Args:
        path: the folder; it need not be there.
    """

    def __init__(self, path: Path):
        self.path = path

    def folders(self) -> dict[int, Path]:
        """The checkpoints that count, by step, in ascending order."""
        found = {}
        for prefix in (_REPLACED, ""):  # a replaced one counts until its successor is there
            for folder in self._named(prefix):
                number = folder.name.removeprefix(prefix)
                if is_bucket(folder):  # where a writer that is stopped leaves halves of both
                    counts = is_committed(folder)
                else:
                    counts = prefix == "" or not is_committed(self.path / number)
                if counts:
                    found[int(number)] = folder
        return dict(sorted(found.items()))

    def make_way(self, folder: Path) -> None:
        """Moves a checkpoint out of the way of another of its step; it counts until that is there."""
        move(folder, self.path / f"{_REPLACED}{folder.name}", COMMITTED)

    def drop_replaced(self, step: int) -> None:
        """Deletes what has made way for the checkpoint of a step, now that it is there."""
        remove(self.path / f"{_REPLACED}{step}", COMMITTED)

    def set_aside(self, folder: Path) -> None:
        """Moves a damaged checkpoint to `damaged-<step>`."""
        places = (self.path / f"damaged-{folder.name}{suffix}" for suffix in ("", *(f"-{i}" for i in range(2, 1000))))
        if folder.exists():
            move(folder, next(one for one in places if not one.exists()), COMMITTED)

    def delete(self, step: int) -> None:
        """Deletes a checkpoint; half deleted, it is not in sight."""
        folder = trash = self.path / str(step)
        if not is_bucket(folder):
            trash = self.path / f"{_TRASH}{step}"
            if folder.exists():
                move(folder, trash, COMMITTED)
        remove(trash, COMMITTED)

    def tidy(self) -> None:
        """Clears away what a writer that was killed, or failed, has left."""
        found = set(self.folders().values())
        for one in found:
            if one.name.startswith(_REPLACED):
                remove(self.path / one.name.removeprefix(_REPLACED), COMMITTED)
                move(one, self.path / one.name.removeprefix(_REPLACED), COMMITTED)
        if is_bucket(self.path):
            found = {*self._named("")} - {*self.folders().values()}
        for one in children(self.path):
            is_part = one.name.startswith((_REPLACED, _TRASH)) or ".orbax-checkpoint-tmp" in one.name
            if is_part or (one in found and not is_committed(one)):
                remove(one, COMMITTED)

    def _named(self, prefix: str) -> list[Path]:
        there = children(self.path) if is_bucket(self.path) else self.path.glob(f"{prefix}[0-9]*")
        return [folder for folder in there if re.fullmatch(f"{prefix}(0|[1-9][0-9]*)", folder.name)]
