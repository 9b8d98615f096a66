"""Checkpoints in a folder, through Orbax: written in the background, checked to the last bit when read."""

import concurrent.futures
import contextlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from dlcore.errors import CheckpointError
from dlcore.places import absolute, is_bucket, place, reaching
from dlcore.train._checkpoint import (
    KEY,
    SCHEMA,
    Damaged,
    by_itself,
    digest,
    is_committed,
    orbax,
    read,
    read_header,
    reason,
)
from dlcore.train._shelf import Shelf

PIECE = 1 << 25  # bytes; Orbax compresses the pieces side by side


class Stored(NamedTuple):
    """A checkpoint as it was read.

    Attributes:
        step: its number.
        arrays: by name, with the dtypes, shapes and bits that they were saved with.
        meta: what was saved beside them.
        skipped: a sentence for each newer checkpoint that is damaged and was passed over.
    """

    step: int
    arrays: dict[str, np.ndarray]
    meta: dict[str, Any]
    skipped: tuple[str, ...]


class Store:
    """The checkpoints of one run; one writer at a time, any number of readers.

    Each is a folder with its step for a name, which any Orbax reads: `bytes-00000`, ... are one row of bytes in which
    all arrays follow each other after a first zero (Orbax takes less than half as long for that as for many small
    arrays), and the metadata say their names, dtypes and shapes in that order, `meta`, and BLAKE2b digests of it all.

    Args:
        path: the folder; made by the first `save`, which also clears away what an earlier writer left half done.
        keep_last: how many of the newest stay; all of them for None.
        keep_best: how many of those with the smallest score stay besides.

    Raises:
        ValueError: for `keep_last` below one, or `keep_best` below zero.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with Store(folder) as store:
        ...         store.save(10, {"params/bias": np.zeros(3, np.float32)}, {"note": "first"})
        ...     store.load().arrays["params/bias"]
        array([0., 0., 0.], dtype=float32)
    """

    def __init__(self, path: str | Path, *, keep_last: int | None = 3, keep_best: int = 1):
        if keep_last is not None and keep_last < 1:
            raise ValueError(f"keep_last: expected a positive whole number, or None for all, found {keep_last!r}")
        if keep_best < 0:
            raise ValueError(f"keep_best: expected a whole number from 0 on, found {keep_best!r}")
        self.path, self._keep_last, self._keep_best = place(path), keep_last, keep_best
        self._shelf = Shelf(self.path)
        self._scores: dict[int, float | None] = {}  # of all the checkpoints that are there
        self._writer: Any = None
        self._pending: concurrent.futures.Future[None] | None = None
        # Orbax can write in the background itself, but takes milliseconds to start, and reports errors in three places.
        self._worker = concurrent.futures.ThreadPoolExecutor(1, "dlcore-store")

    def save(
        self,
        step: int,
        arrays: Mapping[str, np.ndarray | jax.Array],
        meta: Mapping[str, Any],
        score: float | None = None,
    ) -> None:
        """Copies the arrays and returns; they are written in the background, one checkpoint after the other.

        A step that is there already is left alone if it holds the same, and otherwise replaced; it keeps its score if
        none is given. A damaged one is moved aside to `damaged-<step>`, and never looked at again.

        Args:
            step: from 0 on.
            arrays: numbers of any type and shape, by name.
            meta: anything that JSON can say.
            score: the smaller, the better; NaN and None are never the best.

        Raises:
            CheckpointError: the one before could not be written.
            TypeError: for an array of anything but numbers, and for `meta` that is not JSON.
            ValueError: for a negative step.
        """
        if step < 0:
            raise ValueError(f"step: expected a whole number from 0 on, found {step!r}")
        self.wait()
        header = {"schema": SCHEMA, "step": int(step), "score": None, "arrays": {}}
        if score is not None and not math.isnan(score):
            header["score"] = float(score)
        pieces = [np.zeros(1, np.uint8)]  # tensorstore has no empty arrays
        for name, value in sorted(arrays.items()):
            array = np.asarray(value)
            is_number = array.dtype == np.bool_ or jax.numpy.issubdtype(array.dtype, np.number)
            if not is_number or not array.dtype.isnative:
                raise TypeError(f"arrays: expected numbers, found {name!r} of dtype {array.dtype}")
            header["arrays"][name] = [array.dtype.name, list(array.shape)]
            pieces.append(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
        header["meta"] = json.loads(json.dumps(dict(meta)))  # as it is now
        self._pending = self._worker.submit(self._write, header, np.concatenate(pieces))

    def wait(self) -> None:
        """Waits until everything is on disk.

        Raises:
            CheckpointError: it could not be written; what was there before still is.
        """
        if self._pending is not None:
            concurrent.futures.wait([self._pending])
            pending, self._pending = self._pending, None
            pending.result()

    def close(self) -> None:
        """Waits, and gives all resources back; more than once does no harm."""
        try:
            self.wait()
        finally:
            self._worker.shutdown()
            if self._writer is not None:
                self._writer.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with contextlib.suppress(*([CheckpointError] if kind else [])):  # the first error is the one to see
            self.close()

    def steps(self) -> list[int]:
        """The checkpoints that are there and were written to the end, in ascending order."""
        with reaching(self.path):
            return [step for step, folder in self._shelf.folders().items() if is_committed(folder)]

    def load(self, step: int | None = None) -> Stored:
        """Reads a checkpoint; without a step, the newest that is not damaged.

        Raises:
            CheckpointError: where it is missing, damaged, or of a newer dlcore; where none is good.
        """
        skipped = []
        with reaching(self.path):
            folders = self._shelf.folders()
        if step is not None and step not in folders:
            there = ", ".join(map(str, self.steps())) or "none"
            raise CheckpointError(f"{self.path / str(step)}: no such checkpoint; there are: {there}")
        for number in [step] if step is not None else sorted(folders, reverse=True):
            try:
                header, arrays = read(folders[number])
                return Stored(number, arrays, header["meta"], tuple(skipped))
            except Damaged as damage:
                skipped.append(str(damage))
        raise CheckpointError("; ".join(skipped) or f"{self.path}: expected a checkpoint, found none")

    def _write(self, header: dict[str, Any], data: np.ndarray) -> None:
        step, header["digest"] = header["step"], digest(data)
        try:
            with orbax() as ocp:
                self._open(step, ocp)
                if step in self._scores and self._holds(header):
                    return
                self._put(header, data, ocp)
                self._scores[step] = header["score"]
                self._delete_old(step)
        except Exception as error:
            with contextlib.suppress(Exception):
                self._shelf.tidy()
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(f"{self.path / str(step)} cannot be written: {reason(error)}") from None

    def _open(self, step: int, ocp: Any) -> None:
        if self._writer is not None:
            if not is_bucket(self.path) and not self.path.is_dir():
                raise CheckpointError(f"{self.path / str(step)} cannot be written: {self.path} was removed")
            return
        if not is_bucket(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        self._shelf.tidy()
        is_good = False
        for number, folder in reversed(self._shelf.folders().items()):
            try:  # down to the newest that is good, as `load` does: a damaged one must not push it out
                self._scores[number] = (read_header(folder) if is_good else read(folder)[0])["score"]
                is_good = True
            except Damaged:
                self._shelf.set_aside(folder)
        alone = by_itself(ocp)
        options = {"composite_options": ocp.CompositeOptions(**alone)} if alone else {}
        self._writer = ocp.Checkpointer(ocp.CompositeCheckpointHandler(**options), **alone)

    def _put(self, header: dict[str, Any], data: np.ndarray, ocp: Any) -> None:
        name, text = str(header["step"]), json.dumps(header)
        pieces = {f"bytes-{i:05}": data[start : start + PIECE] for i, start in enumerate(range(0, len(data), PIECE))}
        state = ocp.args.Composite(default=ocp.args.StandardSave(pieces))
        self._writer.save(
            absolute(self.path / name), state, custom_metadata={KEY: text, "digest": digest(text.encode())}
        )
        self._shelf.drop_replaced(header["step"])

    def _holds(self, header: dict[str, Any]) -> bool:
        """Whether the same is there already; what is not the same is moved out of the way."""
        folder = self.path / str(header["step"])
        if header["score"] is None:
            header["score"] = self._scores[header["step"]]
        try:
            if read(folder)[0] == header:
                return True
            self._shelf.make_way(folder)
        except Damaged:
            self._shelf.set_aside(folder)
        return False

    def _delete_old(self, newest: int) -> None:
        ranked = sorted((score, step) for step, score in self._scores.items() if score is not None)
        last = sorted(self._scores)[-(self._keep_last or len(self._scores)) :]
        for step in set(self._scores) - {newest, *last, *(step for _, step in ranked[: self._keep_best])}:
            del self._scores[step]
            self._shelf.delete(step)
