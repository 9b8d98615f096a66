"""The folder of a run: its configuration, its metrics and the picture of its curves."""

import csv
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from dlcore._version import __version__
from dlcore.json_form import to_json
from dlcore.train._run import Run

FILES = ("config.json", "metrics.csv", "curves.png")


class RunFolder:
    """Claims a folder before the run, so that nothing is trained in vain, and fills it afterwards.

    Args:
      path: the folder; its parents are made.
      overwrite: whether files of an earlier run are replaced.

    Raises:
      FileExistsError: where the folder holds anything and `overwrite` is false; where the path is a file.
      PermissionError: where nothing can be written there.
    """

    def __init__(self, path: str | Path, overwrite: bool):
        self.path = Path(path)
        if self.path.exists() and not self.path.is_dir():
            raise FileExistsError(f"out: {self.path} is a file; give the name of a folder")
        if self.path.is_dir() and any(self.path.iterdir()) and not overwrite:
            repair = "give another folder, or overwrite=True (--overwrite)"
            raise FileExistsError(f"out: {self.path} exists and is not empty; {repair}")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise type(error)(f"out: {self.path} cannot be made: {error.strerror}") from None
        if not os.access(self.path, os.W_OK):
            raise PermissionError(f"out: {self.path} is read-only; give another folder")

    def write(self, run: Run, arguments: Mapping[str, Any]) -> None:
        """Writes the run's files; each is there whole or not at all."""
        config = {
            "model": to_json(run.model),
            "data": repr(run.data),
            **{name: to_json(value) for name, value in arguments.items()},
            "hparams": dict(run.hparams),
            "batch_size": run.batch_size,
            "steps": int(np.max(run.final.step)),
            "stopped": np.asarray(run.stopped).tolist(),
            "compile_seconds": run.compile_seconds,
            "run_seconds": run.run_seconds,
            "results": {name: _numbers(value) for name, value in run.summary().items()},
            "versions": {"dlcore": __version__, "jax": jax.__version__, "optax": optax.__version__},
            "device": jax.devices()[0].device_kind,
        }
        self._put("config.json", json.dumps(config, indent=2).encode())
        self._put("metrics.csv", _table(run.metrics).encode())
        if "loss" in run.metrics:  # an interrupt may come before the first step
            picture = io.BytesIO()
            run.plot().savefig(picture, dpi=120)
            self._put("curves.png", picture.getvalue())

    def _put(self, name: str, content: bytes) -> None:
        part = self.path / f".{name}.part"
        part.write_bytes(content)
        os.replace(part, self.path / name)


def _numbers(value: Any) -> Any:
    """Returns a number or a list of them; None for what is not finite, which JSON does not know."""
    rows = [float(number) if np.isfinite(number) else None for number in np.ravel(value)]
    return rows if np.ndim(value) else rows[0]


def _table(metrics: Mapping[str, Any]) -> str:
    """Long form, a row a value: `metric,lane,step,value`; `step` is empty for what is measured once."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("metric", "lane", "step", "value"))
    steps = {"validation": "validation_step", "gradient": "norm_step", "update": "norm_step", "params": "norm_step"}
    for name, values in metrics.items():
        if name in steps.values():
            continue
        index = metrics.get(steps.get(name.split("_")[0], ""))
        once = name.startswith("test_")
        lanes = np.reshape(values, (-1, 1)) if once else np.atleast_2d(values)
        places = np.atleast_2d(np.arange(1, lanes.shape[1] + 1) if index is None else index)
        for lane, row in enumerate(lanes):
            for step, value in zip(places[min(lane, len(places) - 1)], row, strict=True):
                rows.writerow((name, lane, "" if once else int(step), repr(float(value))))
    return text.getvalue()
