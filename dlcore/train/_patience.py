"""Early stopping, lane by lane."""

from collections.abc import Mapping

import numpy as np

from dlcore.errors import suggest
from dlcore.train._setup import Setup


class Monitor:
    """The validation metric that says which weights are better.

    Args:
      setup: the run.
      name: the metric; the smallest loss is the best, the largest of anything else.

    Raises:
      ValueError: for a metric that is not measured.
    """

    def __init__(self, setup: Setup, name: str):
        self.name = name.removeprefix("validation_")
        if setup.measured and self.name not in setup.measured:
            raise ValueError(f"monitor: there is no {name!r}{suggest(self.name, setup.measured)}")
        self.sign = 1 if self.name.endswith(("loss", "mse", "mae")) else -1

    def score(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns a number a lane, the smallest of which is the best."""
        return self.sign * values[self.name]


class Patience:
    """Counts, for each lane, the evaluations since the last improvement.

    Args:
      setup: the run.
      patience: how many evaluations without improvement a lane may have.
      min_delta: what counts as an improvement.
      monitor: what to watch.
      count: number of lanes.

    Raises:
      ValueError: for a patience below one, a negative `min_delta`, or data without a validation split.
    """

    def __init__(self, setup: Setup, patience: int, min_delta: float, monitor: Monitor, count: int):
        if patience < 1 or min_delta < 0:
            raise ValueError(f"patience, min_delta: expected 1 or more and 0 or more, found {patience} and {min_delta}")
        if "validation" not in setup.inputs.splits:
            raise ValueError("patience: early stopping watches a validation split, and the data have none")
        self.monitor, self._patience, self._min_delta = monitor, patience, min_delta
        self._value, self._waited = np.full(count, np.inf), np.zeros(count, int)

    def update(self, values: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Takes in an evaluation; returns which lanes are better than ever, and which have run out of patience."""
        found = self.monitor.score(values)
        better = found < self._value - self._min_delta
        self._value = np.where(better, found, self._value)
        self._waited = np.where(better, 0, self._waited + 1)
        return better, self._waited >= self._patience

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns what is counted, for a checkpoint."""
        return {"patience/value": self._value, "patience/waited": self._waited}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Takes up what was counted; nothing where the run had no patience before."""
        self._value = arrays.get("patience/value", self._value)
        self._waited = arrays.get("patience/waited", self._waited)
