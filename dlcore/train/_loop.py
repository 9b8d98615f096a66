"""The host loop around the compiled chunks: evaluation, progress, early stopping, checkpoints, signals."""

import functools
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.errors import CheckpointError
from dlcore.train._fleet import Fleet, Shards
from dlcore.train._history import History, loss_first
from dlcore.train._patience import Patience
from dlcore.train._prefetch import Prefetcher
from dlcore.train._program import CAPACITY
from dlcore.train._progress import Silent
from dlcore.train._restore import restored
from dlcore.train._rewind import is_small
from dlcore.train._saver import Saver
from dlcore.train._setup import Setup
from dlcore.train._signals import WORDS, Interrupt
from dlcore.train._snapshot import Snapshot, flatten
from dlcore.train._stream import STATE


class _Waiting(NamedTuple):
    """A chunk that was started and not yet looked at."""

    done: int
    k: np.ndarray
    logs: Any
    evaluation: Any
    kept: Shards | None  # what went in
    sources: Shards


class Loop:
    """The lanes of one program on their way: `begin` or `restore`, then `train`, as far as wanted.

    Attributes:
      done: steps that were run, by the lanes that still run.
      reasons: for each lane why it has stopped, or "".
      best: the weights of each lane's best evaluation, or None without `patience`.
      wait_seconds: time in which there were no data; a part of `run_seconds`.
    """

    def __init__(
        self,
        setup: Setup,
        fleet: Fleet,
        show: Silent,
        interrupt: Interrupt,
        *,
        patience: Patience | None = None,
        saver: Saver | None = None,
        prefetch: int = 2,
    ):
        self.setup, self.fleet, self.show, self.interrupt = setup, fleet, show, interrupt
        self.patience, self.saver = patience, saver
        self.history, self.reasons, self.done = History(fleet.count), np.full(fleet.count, "", object), 0
        self.best: Shards | None = None
        self.compile_seconds = self.run_seconds = self.wait_seconds = 0.0
        self._prefetch, self._ahead, self._restored = prefetch, None, 0
        inputs = setup.inputs
        self._sources, self._arrays = fleet.share(inputs.source), fleet.share(inputs.arrays)
        self._measures = "validation" in inputs.splits
        self._per_epoch = inputs.steps_per_epoch if self._measures or (saver and saver.every) else None

    @property
    def active(self) -> np.ndarray:
        """Which lanes go on, (lanes,)."""
        return self.reasons == ""

    @property
    def steps_per_second(self) -> float:
        """Steps of this call over their time without compilation; NaN where there were none."""
        steps = self.done - self._restored
        return steps / self.run_seconds if steps and self.run_seconds else float("nan")

    def begin(self, keys: Any, hparams: Mapping[str, Any], params: Any = None, state: Any = None) -> None:
        """Starts at step 0."""
        self._hparams = jax.device_get(hparams)
        keys = jnp.copy(keys)  # they are passed on as they are, and donated then
        self.carries = self._compiling(self.fleet.init, keys, hparams, params, state, self.setup.shapes)

    def restore(self, snapshot: Snapshot, keys: Any, hparams: Mapping[str, Any], where: str = "checkpoint") -> None:
        """Starts where a snapshot was taken; what has the optimizer's state left out gets a new one.

        Raises:
          CheckpointError: lists the leaves that are missing, extra, or of another shape or type.
        """
        arrays, self._hparams = snapshot.arrays, jax.device_get(hparams)
        self.carries, self.best = restored(arrays, keys, hparams, self.fleet, self.setup, where)
        if self.patience is not None:
            self.patience.restore(arrays)
        self.history, self.done = History.from_arrays(arrays), snapshot.step
        self._restored = self.done
        self.reasons = np.array(snapshot.reasons, object)
        if self.reasons.shape != (self.fleet.count,):
            raise CheckpointError(f"{where} has {len(self.reasons)} lanes and the run {self.fleet.count}")
        if self.setup.inputs.stream is not None:
            self.setup.inputs.stream.seek(self.done, arrays.get(self.fleet.cursor(STATE)))

    def train(self, until: int | None = None) -> None:
        """Runs chunk after chunk, and reads the results of each while the next one runs.

        Args:
          until: the step to stop at; the end of the run unless given.
        """
        end, stream = self.setup.total if until is None else until, self.setup.inputs.stream
        if stream is None or end is not None and self.done >= end or not self.active.any():
            return self._train(end)
        self._ahead = Prefetcher(stream, self.fleet.place, self.done, end, self._prefetch)
        try:
            self._train(end)
        finally:
            self._ahead.close()

    def _train(self, end: int | None) -> None:
        fleet, began, compiled = self.fleet, time.perf_counter(), self.compile_seconds
        waiting, first = None, self.run_seconds == 0
        small = all(is_small(carry) for carry in self.carries)
        if first and self.setup.inputs.stream is None:
            self._compiling(fleet.fit_memory, self.carries, self._sources, not small)
        while (end is None or self.done < end) and self.active.any() and not self._is_interrupted():
            sources, count = self._next(end)
            if not count:
                break
            k = np.where(self.active, count, 0)
            kept = fleet.keep(self.carries) if small else None
            self.carries, logs = self._compiling(fleet.run, self.carries, k, sources, not small)
            self.done += count
            evaluation = self._evaluate() if self._is_measured() else None
            if first:
                self.show.compiled(self.compile_seconds - compiled)
                first = False
            if waiting is not None:
                self._read(waiting, kept)
            waiting = _Waiting(self.done, k, logs, evaluation, kept, sources)
            # A verdict is needed before the next chunk; a run that has stopped must not be given the batches after it;
            # and what has no copy must be saved as it is.
            if self.patience is not None or self.setup.inputs.stream is not None or self._saves_itself(small):
                self._read(waiting, None)
                waiting = None
        if waiting is not None:
            self._read(waiting, None)
        self.run_seconds += time.perf_counter() - began - (self.compile_seconds - compiled)

    def measure_test(self) -> None:
        """Measures the test split, with the best weights where they were kept."""
        inputs, fleet = self.setup.inputs, self.fleet
        if "test" in inputs.splits:
            everyone = np.ones(fleet.count, bool)
            measured = fleet.measure(self._weights(self.best), everyone, self._arrays, *inputs.splits["test"])
            values = fleet.read_values(measured)
            self.history.once = {f"test_{name}": value for name, value in loss_first(values).items()}

    def snapshot(self, carries: Shards | None = None, done: int | None = None) -> Snapshot:
        """Returns the run as it is; `carries` and `done` stand for an earlier point."""
        return self.snapshot_later(carries, done)()

    def snapshot_later(self, carries: Shards | None = None, done: int | None = None) -> Callable[[], Snapshot]:
        """Returns what makes a snapshot of now when it is asked for, at which nothing may have been trained on."""
        fleet, best, reasons = self.fleet, self.best, tuple(self.reasons)
        own, done = self.carries if carries is None else carries, self.done if done is None else done
        known = self.history.arrays() | ({} if self.patience is None else self.patience.arrays())
        if self.setup.inputs.stream is not None:  # whose chunks are read before the next one starts
            known |= fleet.cursors(STATE, self.setup.inputs.stream.state)

        def take() -> Snapshot:
            fetched = fleet.fetch(own)
            if carries is None:  # on CPU this is the device's own memory, which the next chunk takes over
                fetched = jax.tree.map(np.array, fetched)
            arrays = flatten(fetched, "carry") | known
            return Snapshot(done, arrays | ({} if best is None else flatten(fleet.fetch(best), "best")), reasons)

        return functools.cache(take)

    def save(self) -> None:
        """Writes a last checkpoint, and waits until it is on disk."""
        if self.saver is not None:
            self.saver.save(self.snapshot())
            self.saver.wait()

    def varies(self, name: str) -> bool:
        """Whether a hyperparameter differs between lanes."""
        return len(np.unique(self._hparams[name])) > 1

    def _next(self, end: int | None) -> tuple[Shards, int]:
        done, unit = self.done, self._per_epoch
        if self._ahead is not None:
            began = time.perf_counter()
            taken = self._ahead.take(self._is_patient)
            seconds = time.perf_counter() - began
            self.wait_seconds += seconds
            self.show.waited(seconds)
            # Where processes read shares of their own, the first that is empty ends the run.
            count = -self.fleet.agree([0 if taken is None else -taken.count])[0]
            return ([], 0) if taken is None else (taken.source, count)
        # Where a chunk ends does not depend on where the run was taken up.
        start = done - done % unit if unit else 0
        stop = start + ((done - start) // CAPACITY + 1) * CAPACITY
        return self._sources, min(stop, start + unit if unit else stop, stop if end is None else end) - done

    def _is_patient(self, seconds: float) -> bool:
        self.show.stalled(seconds)
        return not self.interrupt.requested

    def _is_measured(self) -> bool:
        return bool(self._measures and (self.done % (self._per_epoch or 1) == 0 or self.done == self.setup.total))

    def _saves_itself(self, small: bool) -> bool:
        return not small and self._is_due(self.done)

    def _is_due(self, step: int) -> bool:
        return self.saver is not None and bool(self.fleet.agree([self.saver.is_due(step)])[0])

    def _is_interrupted(self) -> bool:
        agreed = WORDS[self.fleet.agree([WORDS.index(self.interrupt.requested)])[0]]
        if agreed:  # and never taken back: a signal may have come since it was looked at
            self.interrupt.requested = agreed
        return bool(agreed)

    def _evaluate(self) -> Any:
        start, size = self.setup.inputs.splits["validation"]
        return self._compiling(self.fleet.measure, self._weights(None), self.active, self._arrays, start, size)

    def _weights(self, best: Shards | None) -> Shards:
        pairs = best or [(carry.params, carry.state) for carry in self.carries]
        return [(*pair, carry.hparams) for pair, carry in zip(pairs, self.carries, strict=True)]

    def _compiling(self, function: Callable[..., Any], *args: Any) -> Any:
        # Execution is asynchronous: what a call takes is tracing and compiling, and next to nothing when they are done.
        began = time.perf_counter()
        result = function(*args)
        self.compile_seconds += time.perf_counter() - began
        return result

    def _read(self, waiting: _Waiting, after: Shards | None) -> None:
        """Takes in what a chunk measured, and takes lanes that did not stay finite back.

        Args:
          waiting: the chunk.
          after: a copy of what came out of it, where another chunk has been started since.
        """
        fleet, log = self.fleet, self.fleet.read(waiting.logs, waiting.k)
        failed = self.active & ~log.finite
        if failed.any() and waiting.kept is not None:
            repaired, log = fleet.rewind(waiting.kept, waiting.k, waiting.sources, log, failed)
            self.carries = fleet.mend(failed, repaired, self.carries)
            after = after and fleet.mend(failed, repaired, after)
        values = self.history.add_chunk(log)
        for lane in np.flatnonzero(failed):
            self.reasons[lane] = f"non-finite at step {self.history.done[lane]}"
        measured = None
        if waiting.evaluation is not None and self.active.any():
            found = loss_first(fleet.read_values(waiting.evaluation))
            measured = {name: np.where(self.active, value, np.nan) for name, value in found.items()}
            self.history.add_evaluation(waiting.done, measured)
            values |= {f"validation_{name}": value for name, value in measured.items()}
        if "learning_rate" in self.setup.hparams and not self.varies("learning_rate"):
            values["learning_rate"] = np.asarray(self.setup.hparams["learning_rate"])
        if not self.active.all():
            values["live_lanes"] = self.active.sum()
        self.show.update(waiting.done, values)
        if measured is not None and self.patience is not None:
            self._judge(measured)
        if self.saver is not None and self._is_due(waiting.done):
            self.saver.save(self.snapshot(after, waiting.done), values)

    def _judge(self, measured: Mapping[str, np.ndarray]) -> None:
        better, tired = self.patience.update(measured)  # pyright: ignore[reportOptionalMemberAccess]
        weights = [(carry.params, carry.state) for carry in self.carries]
        # The run donates its weights to the next chunk: what is kept is a copy.
        self.best = self.fleet.mend(better, weights, self.best or weights)
        self.reasons[self.active & tired] = "patience"
