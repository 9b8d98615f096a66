"""Early stopping, lane by lane, with the best weights kept."""

from typing import Any

import numpy as np

from dlcore.errors import suggest
from dlcore.train._rewind import mend
from dlcore.train._setup import Setup


class Patience:
    """Watches a validation metric; keeps the best weights on the device.

    Args:
      setup: the run.
      patience: how many evaluations without improvement a lane may have.
      min_delta: what counts as an improvement.
      monitor: the metric; the smallest loss is the best, the largest of anything else.
      lanes: number of lanes, or None.

    Raises:
      ValueError: for a patience below one, a negative `min_delta`, data without a validation split, or a metric that is
        not measured.
    """

    def __init__(self, setup: Setup, patience: int, min_delta: float, monitor: str, lanes: int | None):
        if patience < 1 or min_delta < 0:
            raise ValueError(f"patience, min_delta: expected 1 or more and 0 or more, found {patience} and {min_delta}")
        if "validation" not in setup.inputs.splits:
            raise ValueError("patience: early stopping watches a validation split, and the data have none")
        self.monitor = monitor.removeprefix("validation_")
        if self.monitor not in setup.measured:
            raise ValueError(f"monitor: there is no {monitor!r}{suggest(self.monitor, setup.measured)}")
        self._patience, self._min_delta, self._lone = patience, min_delta, lanes is None
        self._sign = 1 if self.monitor.endswith(("loss", "mse", "mae")) else -1
        self._value = np.full(lanes or 1, np.inf)
        self._waited = np.zeros(lanes or 1, int)
        self.best: Any = None

    def update(self, values: dict[str, np.ndarray], weights: Any) -> np.ndarray:
        """Takes in an evaluation and the weights that gave it; returns which lanes have run out of patience."""
        found = self._sign * values[self.monitor]
        better = found < self._value - self._min_delta
        self._value = np.where(better, found, self._value)
        self._waited = np.where(better, 0, self._waited + 1)
        # The run donates its weights to the next chunk: what is kept is a copy.
        self.best = mend(better[0] if self._lone else better, weights, self.best or weights)
        return self._waited >= self._patience
