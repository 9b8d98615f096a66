"""When a run is saved, and how good what is saved was."""

import time
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dlcore.errors import CheckpointError, one_line
from dlcore.train._patience import Monitor
from dlcore.train._snapshot import Snapshot
from dlcore.train._store import Store

SECONDS = 60  # between two checkpoints, where nothing else is asked for


class Saver:
    """Writes checkpoints while the run goes on.

    Args:
      store: where to; None in the processes beside the first, which take part in collecting what it writes.
      every: how many steps lie between two checkpoints; a minute unless given.
      monitor: what makes a checkpoint the best one.
    """

    def __init__(self, store: Store | None, every: int | None, monitor: Monitor):
        self.every = every
        self._store, self._monitor, self._saved = store, monitor, time.monotonic()

    def is_due(self, step: int) -> bool:
        """Whether to save after so many steps."""
        if self.every:
            return step % self.every == 0
        return self._store is not None and time.monotonic() - self._saved >= SECONDS

    def save(self, snapshot: Snapshot, values: Mapping[str, np.ndarray] | None = None) -> None:
        """Starts to write, and returns before it is done."""
        self._saved, score = time.monotonic(), None
        if self._store is None:
            return
        prefix = f"validation_{self._monitor.name}"
        if values and prefix in values and np.isfinite(values[prefix]).any():
            score = float(self._monitor.sign * np.nanmean(values[prefix]))
        self._store.save(snapshot.step, snapshot.arrays, {"reasons": list(snapshot.reasons)}, score)

    def wait(self) -> None:
        """Waits until all is on disk."""
        if self._store is not None:
            self._store.wait()


def open_snapshot(path: Path, step: int | None = None) -> Snapshot | None:
    """Reads a checkpoint; the newest good one, or None where there is none, unless a step is given.

    Raises:
      CheckpointError: where there are checkpoints and none is good, and for a step that is not there.
    """
    store = Store(path)
    if step is None and not store.steps():
        return None
    found = store.load(step)
    for sentence in found.skipped:
        warnings.warn(f"{sentence}; using step {found.step}", stacklevel=4)
    reasons = found.meta.get("reasons")
    if not isinstance(reasons, list) or not all(isinstance(reason, str) for reason in reasons):
        raise CheckpointError(f"{path / str(found.step)} is damaged: its reasons are {one_line(repr(reasons))}")
    return Snapshot(found.step, found.arrays, tuple(reasons))
