"""What is said of a run: one line of it, and the last value of every metric."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dlcore.train._hparams import Recorder
from dlcore.train._objective import build_layer
from dlcore.train._progress import span
from dlcore.train._shortage import SHARE


def headline(run: Any) -> str:
    """Returns a `Run` in one line."""
    steps = np.atleast_1d(np.asarray(run.final.step))
    hparams = {name: np.ravel(value)[0] if np.ndim(value) else value for name, value in run.hparams.items()}
    name = repr(build_layer(run.model, Recorder(hparams)))
    name = name if len(name) <= 60 else name.split("(")[0] + "(...)"
    seeds = f", {len(steps)} seeds" if run.lanes else ""
    reasons = sorted(set(np.atleast_1d(run.stopped)))
    said = "" if reasons == ["finished"] else f", stopped: {', '.join(reasons)}"
    said += "; resume() goes on" if {"interrupted", "terminated"} & set(reasons) else ""
    where = f" on {run.data.name}" if run.data else ""
    count = f"{steps.max():,}" if steps.min() == steps.max() else f"{steps.min():,} to {steps.max():,}"
    times = f" in {span(run.run_seconds)} + {span(run.compile_seconds)} to compile" if run.run_seconds else ""
    if run.wait_seconds > SHARE * run.run_seconds:
        times += f" ({span(run.wait_seconds)} waiting for data)"
    return f"{name}{where}{seeds}: {count} steps{times}{said}"


def last_values(metrics: Mapping[str, np.ndarray], window: int) -> dict[str, np.ndarray]:
    """Returns the last value of every metric; of training values the mean of the last `window` finite ones."""
    last: dict[str, np.ndarray] = {}
    for name, rows in metrics.items():
        if name.startswith("test_"):
            last[name] = rows
        elif not name.endswith(("_step", "_norm")) and name != "learning_rate" and rows.shape[-1]:
            count = 1 if name.startswith("validation_") else window
            ends = [lane[np.isfinite(lane)][-count:] for lane in np.atleast_2d(rows)]
            means = np.array([end.mean() if end.size else np.nan for end in ends])
            last[name] = means if rows.ndim > 1 else means[0]
    return last
