"""What a run measured, collected on the host chunk by chunk."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dlcore.train._chunk import Log


class History:
    """Rows of every step, evaluations and norms of every lane.

    Args:
      count: number of lanes.
    """

    def __init__(self, count: int):
        self.done = np.zeros(count, int)
        self.finite = np.ones(count, bool)
        self.once: dict[str, np.ndarray] = {}  # measured at the end
        self._steps: dict[str, np.ndarray] = {}  # (lanes, room) by name, NaN where nothing was measured
        self._norms: list[tuple[np.ndarray, dict[str, np.ndarray]]] = []
        self._evaluations: list[tuple[int, dict[str, np.ndarray]]] = []

    def add_chunk(self, log: Log) -> dict[str, np.ndarray]:
        """Takes in a chunk's log, arrays with a lane axis; returns the means of its rows, a value a lane."""
        steps, done = loss_first(log.steps), np.where(self.finite, log.done, 0)  # nothing counts after the end
        inside = np.arange(done.max(initial=0)) < done[:, None]
        for name, rows in steps.items():
            self._write(name, rows[:, : inside.shape[1]], inside)
        self.done = self.done + done
        self.finite = self.finite & log.finite
        if log.last and done.max() > 0:
            whole = (done > 0) & log.finite  # a chunk that stopped early did not come to its last step
            self._norms.append((self.done, {k: np.where(whole, v, np.nan) for k, v in log.last.items()}))
        # `where`, not a product: behind a lane's end its rows may be infinite.
        sums = {k: np.where(inside, rows[:, : inside.shape[1]], 0).sum(1, dtype=float) for k, rows in steps.items()}
        return {name: np.where(done > 0, total / np.maximum(done, 1), np.nan) for name, total in sums.items()}

    def add_evaluation(self, step: int, values: Mapping[str, np.ndarray]) -> None:
        """Takes in an evaluation, a value a lane; NaN for lanes that had stopped before."""
        self._evaluations.append((step, loss_first(values)))

    def evaluation(self, name: str, until: int) -> np.ndarray:
        """Returns each lane's last value of a validation metric up to a step; NaN where there is none."""
        found = np.full(len(self.done), np.nan)
        for step, values in self._evaluations:
            if step <= until:
                found = np.where(np.isnan(values[name]), found, values[name])
        return found

    def metrics(self) -> dict[str, np.ndarray]:
        """Returns arrays by name: a value a step, `validation_*` with its `validation_step`, norms with `norm_step`."""
        found: dict[str, np.ndarray] = {}
        for name, rows in self.arrays().items():
            kind, _, own = name.partition("/")
            prefix = {"evaluations": "validation_", "norms": "norm_" if own == "step" else ""}.get(kind, "")
            if kind != "lanes":
                found[prefix + own] = rows
        if "validation_step" in found:
            found["validation_step"] = np.tile(found["validation_step"], (len(self.done), 1))
        return found

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns everything as arrays by name, for a checkpoint."""
        found = {f"steps/{name}": rows[:, : self.done.max()] for name, rows in self._steps.items()}
        if self._norms:
            found["norms/step"] = np.stack([steps for steps, _ in self._norms], 1)
            for name in self._norms[0][1]:
                found[f"norms/{name}"] = np.stack([values[name] for _, values in self._norms], 1)
        if self._evaluations:
            found["evaluations/step"] = np.array([step for step, _ in self._evaluations])
            for name in self._evaluations[0][1]:
                found[f"evaluations/{name}"] = np.stack([values[name] for _, values in self._evaluations], 1)
        found |= {f"once/{name}": values for name, values in self.once.items()}
        return found | {"lanes/done": self.done, "lanes/finite": self.finite}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "History":
        """Returns the history that `arrays` was written from."""
        history = cls(len(arrays["lanes/done"]))
        history.done, history.finite = arrays["lanes/done"], arrays["lanes/finite"]
        kinds: dict[str, dict[str, np.ndarray]] = {"steps": {}, "norms": {}, "evaluations": {}, "once": {}}
        for name, rows in arrays.items():
            kind, _, own = name.partition("/")
            if kind in kinds:
                kinds[kind][own] = rows
        history._steps, history.once = loss_first(kinds["steps"]), loss_first(kinds["once"])
        if steps := kinds["norms"]:
            places = steps.pop("step")
            history._norms = [(places[:, i], {k: v[:, i] for k, v in steps.items()}) for i in range(places.shape[1])]
        if values := loss_first(kinds["evaluations"]):
            places = values.pop("step")
            history._evaluations = [(int(s), {k: v[:, i] for k, v in values.items()}) for i, s in enumerate(places)]
        return history

    def _write(self, name: str, rows: np.ndarray, inside: np.ndarray) -> None:
        room = self._steps.get(name, np.empty((len(self.done), 0), np.float32))
        needed = int(self.done.max() + inside.shape[1])
        if room.shape[1] < needed:
            larger = np.full((len(room), max(needed, 2 * room.shape[1])), np.nan, np.float32)
            larger[:, : room.shape[1]] = room
            room = larger
        lanes, steps = np.nonzero(inside)
        room[lanes, self.done[lanes] + steps] = rows[lanes, steps]
        self._steps[name] = room


def loss_first(values: Mapping[str, Any]) -> dict[str, Any]:
    """Puts the loss first, and the metrics after it by name."""
    return dict(sorted(values.items(), key=lambda item: (item[0].removeprefix("test_") != "loss", item[0])))


def take_lanes(arrays: Mapping[str, np.ndarray], lanes: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the arrays of a history with some of its lanes, and nothing from after their end."""
    done = arrays["lanes/done"][lanes]
    last, found, norms = done.max(), {}, None
    if "norms/step" in arrays:
        norms = np.flatnonzero((np.diff(arrays["norms/step"][lanes], axis=1, prepend=0) > 0).any(0))
    evaluations = np.flatnonzero(arrays["evaluations/step"] <= last) if "evaluations/step" in arrays else None
    for name, rows in arrays.items():
        columns = {"steps": slice(last), "norms": norms, "evaluations": evaluations}.get(name.partition("/")[0])
        own = rows if name == "evaluations/step" else rows[lanes]
        found[name] = own if columns is None else own[..., columns]
    return found
