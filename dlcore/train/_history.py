"""What a run measured, collected on the host chunk by chunk."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from dlcore.train._chunk import Log


class History:
    """Per-step rows, evaluations and norms of every lane; `metrics()` gives them as arrays by name.

    Args:
      lanes: number of lanes, or None for a lone run, whose arrays have no lane axis.
    """

    def __init__(self, lanes: int | None):
        self.lanes = lanes
        self.done = np.zeros(lanes or 1, int)
        self.finite = np.ones(lanes or 1, bool)
        self._steps: list[dict[str, np.ndarray]] = []
        self._counts: list[np.ndarray] = []
        self._norms: list[tuple[np.ndarray, dict[str, np.ndarray]]] = []
        self._evaluations: list[tuple[int, dict[str, np.ndarray]]] = []

    def add_chunk(self, log: Log) -> dict[str, np.ndarray]:
        """Takes in a chunk's log; returns the means of its rows, a value a lane."""
        done, finite, steps, last = (self.per_lane(tree) for tree in jax.device_get(tuple(log)))
        steps, done = loss_first(steps), np.where(self.finite, done, 0)  # what was started after the end is not counted
        self._steps.append({name: rows[:, : max(done.max(), 1)] for name, rows in steps.items()})
        self._counts.append(done)
        self.done += done
        self.finite &= finite
        if last and done.max() > 0:
            whole = (done > 0) & finite  # a chunk that stopped early did not come to its last step
            self._norms.append((self.done.copy(), {k: np.where(whole, v, np.nan) for k, v in last.items()}))
        inside = np.arange(done.max()) < done[:, None]
        # `where`, not a product: behind a lane's end its rows may be infinite.
        sums = {name: np.where(inside, rows[:, : done.max()], 0).sum(1, dtype=float) for name, rows in steps.items()}
        return {name: np.where(done > 0, total / np.maximum(done, 1), np.nan) for name, total in sums.items()}

    def add_evaluation(self, step: int, values: Mapping[str, Any], active: np.ndarray) -> dict[str, np.ndarray]:
        """Takes in an evaluation; lanes that have stopped get NaN."""
        values = loss_first({k: np.where(active, row, np.nan) for k, row in self.per_lane(dict(values)).items()})
        self._evaluations.append((step, values))
        return values

    def metrics(self) -> dict[str, np.ndarray]:
        """Returns arrays by name: a value a step, `validation_*` with its `validation_step`, norms with `norm_step`."""
        found: dict[str, np.ndarray] = {}
        for name in self._steps[0] if self._steps else ():
            rows = np.full((len(self.done), self.done.max()), np.nan, np.float32)
            position = np.zeros(len(self.done), int)
            for chunk, counts in zip(self._steps, self._counts, strict=True):
                for lane, count in enumerate(counts):
                    rows[lane, position[lane] : position[lane] + count] = chunk[name][lane, :count]
                position += counts
            found[name] = rows
        if self._norms:
            found["norm_step"] = np.stack([steps for steps, _ in self._norms], 1)
            for name in self._norms[0][1]:
                found[name] = np.stack([values[name] for _, values in self._norms], 1)
        if self._evaluations:
            found["validation_step"] = np.array([[step for step, _ in self._evaluations]] * len(self.done))
            for name in self._evaluations[0][1]:
                found[f"validation_{name}"] = np.stack([values[name] for _, values in self._evaluations], 1)
        return {name: self.squeeze(array) for name, array in found.items()}

    def squeeze(self, array: Any) -> Any:
        """Takes the lane axis off the arrays of a lone run."""
        return array if self.lanes else array[0]

    def per_lane(self, tree: Any) -> Any:
        """Gives the arrays of a lone run a lane axis."""
        return jax.tree.map(lambda x: np.asarray(x) if self.lanes else np.asarray(x)[None], tree)


def loss_first(values: Mapping[str, Any]) -> dict[str, Any]:
    """Puts the loss before the metrics: what compiled code returns is sorted by name."""
    return dict(sorted(values.items(), key=lambda item: item[0] != "loss"))
