"""The folder of a run: its configuration, its checkpoints, its metrics and pictures, one writer at a time."""

import csv
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dlcore.errors import CheckpointError, one_line
from dlcore.files import whole
from dlcore.places import children, clear, is_bucket, place, reaching
from dlcore.train._checkpoint import SCHEMA, is_form
from dlcore.train._first_look import NAME as LOOK
from dlcore.train._lock import Lock

CONFIG, CHECKPOINTS = "config.json", "checkpoints"
FILES = (CONFIG, "results.json", "metrics.csv", "curves.png", "report.html", "lanes.csv", "lanes.json", LOOK)
_DEEPEST = 200  # brackets in brackets; what reads them calls itself


class RunFolder:
    """A folder that is looked at before the run, so that nothing is trained in vain, and claimed while entered.

    In a bucket (`gs://BUCKET/FOLDER`) nothing is claimed, as no kernel watches over it: that one process at a time
    writes a run there is up to whoever starts them.

    Args:
      path: the folder; its parents are made.
      overwrite: whether an earlier run is replaced.
      resume: whether an earlier run is gone on with.

    Raises:
      ValueError: for an address of anything but a bucket.
      ImportError: for a bucket, where gcsfs is missing.
      FileExistsError: where the folder holds anything and neither is wanted; where the path is a file.
      PermissionError: where nothing can be written there.
      CheckpointError: for a bucket that cannot be reached.
    """

    def __init__(self, path: str | Path, *, overwrite: bool = False, resume: bool = False):
        self.path, self._overwrite = place(path), overwrite and not resume
        with reaching(self.path):
            is_file = self.path.exists() and not self.path.is_dir()
            is_used = not is_file and any(one.name != ".lock" for one in children(self.path))
        if is_file:
            raise FileExistsError(f"out: {self.path} is a file; give the name of a folder")
        if is_used and not (overwrite or resume):
            repair = "give another folder, resume=True (--resume), or overwrite=True (--overwrite)"
            raise FileExistsError(f"out: {self.path} exists and is not empty; {repair}")
        if is_bucket(self.path):
            return
        nearest = next(place for place in (self.path, *self.path.absolute().parents) if place.exists())
        if not nearest.is_dir():
            raise FileExistsError(f"out: {self.path} cannot be made: {nearest} is a file")
        if not os.access(nearest, os.W_OK):
            raise PermissionError(f"out: {nearest} is read-only; give another folder")

    def __enter__(self) -> "RunFolder":
        self._lock = None if is_bucket(self.path) else self._claimed()
        if self._overwrite:
            with reaching(self.path):
                for name in FILES:
                    (self.path / name).unlink(missing_ok=True)
                clear(self.path / CHECKPOINTS)
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.release()

    def _claimed(self) -> Lock:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise type(error)(f"out: {self.path} cannot be made: {error.strerror}") from None
        return Lock(self.path)

    @property
    def checkpoints(self) -> Path:
        """Where the checkpoints are."""
        return self.path / CHECKPOINTS

    def put(self, name: str, content: str | bytes) -> None:
        """Writes a file that is there whole or not at all."""
        try:
            with reaching(self.path / name), whole(self.path / name) as part:
                part.write_bytes(content.encode() if isinstance(content, str) else content)
        except OSError as error:
            raise CheckpointError(f"{self.path / name} cannot be written: {error.strerror}") from None

    def put_json(self, name: str, content: Any) -> None:
        """Writes a JSON file."""
        self.put(name, json.dumps(content, indent=2) + "\n")


def read_config(path: str | Path) -> dict[str, Any] | None:
    """Returns the configuration of the run in a folder, or None where there is none.

    Raises:
      CheckpointError: where it cannot be read, or was written by a newer dlcore.
    """
    file = place(path, "path") / CONFIG
    with reaching(file):
        if not file.exists():
            return None
        if not file.is_file():  # a named pipe would be waited for
            raise CheckpointError(f"{file} is damaged: expected a file, found something else")
    try:
        with reaching(file):
            text = file.read_bytes()
        config = json.loads(text.decode("utf-8"))
        schema = config["schema"]
        if type(schema) is not int:
            raise ValueError(f"its schema is {schema!r}")
        if schema <= SCHEMA:
            _check_form(config)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{file} is damaged: {_reason(error)}") from None
    if schema > SCHEMA:
        raise CheckpointError(f"{file} was written by a newer dlcore: schema {schema}, this one reads up to {SCHEMA}")
    return config


def _check_form(config: dict[str, Any]) -> None:
    """Refuses what no run wrote, before it is read as if one had."""
    kinds = {"kind": str, "arguments": dict, "digests": dict, "batch": dict | None}
    for name, kind in kinds.items():
        if not isinstance(config[name], kind):
            raise ValueError(f"its {name} is {config[name]!r}")
    if config["total"] is not None and not (type(config["total"]) is int and config["total"] >= 0):
        raise ValueError(f"its total is {config['total']!r}")
    if not all(isinstance(config["digests"][name], str | None) for name in ("data", "params")):
        raise ValueError(f"its digests are {config['digests']!r}")
    for name, form in (config["batch"] or {}).items():
        if not is_form([*form[::-1]] if isinstance(form, list) else form):
            raise ValueError(f"its batch has {name!r} of {form!r}")
        np.dtype(form[1])
    level: list[Any] = [config]
    depth = 0
    while level := [one for each in level for one in (each.values() if isinstance(each, dict) else each)]:
        level, depth = [one for one in level if isinstance(one, dict | list)], depth + 1
        if depth > _DEEPEST:
            raise ValueError(f"its brackets are nested deeper than {_DEEPEST}")


def _reason(error: Exception) -> str:
    match error:
        case KeyError():
            return f"it has no {one_line(error)}"
        case RecursionError():
            return "its brackets are nested too deep"
    return one_line(error)


def numbers(value: Any) -> Any:
    """Returns a number or a list of them; None for what is not finite, which JSON does not know."""
    rows = [float(number) if np.isfinite(number) else None for number in np.ravel(value)]
    return rows if np.ndim(value) else rows[0]


def metrics_table(metrics: Mapping[str, Any]) -> str:
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
