"""The host loop around the compiled chunks: evaluation, progress, early stopping, Ctrl-C."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.train._chunk import Log
from dlcore.train._history import History, loss_first
from dlcore.train._patience import Patience
from dlcore.train._program import CAPACITY, Program
from dlcore.train._progress import Silent
from dlcore.train._rewind import is_small, keep, mend, rewind
from dlcore.train._run import Run
from dlcore.train._setup import Setup
from dlcore.train._signals import Interrupt
from dlcore.train._state import TrainState


class _Waiting(NamedTuple):
    """A chunk that was started and not yet looked at."""

    done: int
    log: Log
    evaluation: Any
    kept: Any
    source: Any
    steps: Any


class Loop:
    """One run of `fit`: `train` to the end, then `finish`."""

    def __init__(
        self,
        setup: Setup,
        programs: Program,
        history: History,
        show: Silent,
        patience: Patience | None,
        interrupt: Interrupt,
    ):
        self.setup, self.programs, self.history, self.show = setup, programs, history, show
        self.patience, self.interrupt = patience, interrupt
        self.reasons = np.full(len(history.done), "finished", object)
        self.active = np.ones(len(history.done), bool)
        self.compile_seconds = 0.0

    def train(self, start: Callable[[], TrainState]) -> TrainState:
        """Runs chunk after chunk, and reads the results of each while the next one runs."""
        inputs, total = self.setup.inputs, self.setup.total
        self.show.start(total, inputs.steps_per_epoch)
        self._began = time.perf_counter()
        carry, done, waiting = self._compiling(start), 0, None
        self._is_small = is_small(carry)
        self._per_epoch = inputs.steps_per_epoch if "validation" in inputs.splits else None
        while (total is None or done < total) and self.active.any() and not self.interrupt.requested:
            if inputs.stream is not None and waiting is not None:
                # A run that has stopped at a batch must not be given the ones after it.
                carry, waiting = self._read(carry, waiting), None
                if not self.active.any():
                    break
            source, k = self._next(done)
            if not k:
                break
            first, done = done == 0, done + k
            steps = np.int32(k) if self.history.lanes is None else np.where(self.active, k, 0).astype(np.int32)
            kept = keep(carry) if self._is_small else None
            chunk = self.programs.chunk if self._is_small else self.programs.guarded_chunk
            carry, log = self._compiling(chunk, carry, source, steps) if first else chunk(carry, source, steps)
            evaluation = None
            if self._per_epoch and (done % self._per_epoch == 0 or done == total):
                measure = (self.programs.evaluate, carry.params, carry.state, carry.hparams, inputs.arrays)
                evaluation = self._compiling(*measure, *inputs.splits["validation"])
            if first:
                self.show.compiled(self.compile_seconds)
            if waiting is not None:
                carry = self._read(carry, waiting)
            waiting = _Waiting(done, log, evaluation, kept, source, steps)
            if self.patience is not None:  # its verdict is needed before the next chunk
                carry, waiting = self._read(carry, waiting), None
                if evaluation is not None:
                    self._judge(carry)
        if waiting is not None:
            carry = self._read(carry, waiting)
        if self.interrupt.requested:
            self.reasons[self.active] = "interrupted"
        return carry

    def finish(self, carry: TrainState, lanes: str | None, schedule: Callable[[Any], Any] | None) -> Run:
        """Takes the best weights back, measures the test split, and returns the run."""
        setup, inputs = self.setup, self.setup.inputs
        best = self.patience.best if self.patience is not None else None
        params, state = best or (carry.params, carry.state)
        metrics = self.history.metrics()
        if "test" in inputs.splits and not self.interrupt.requested:
            values = self.programs.evaluate(params, state, carry.hparams, inputs.arrays, *inputs.splits["test"])
            metrics |= {f"test_{name}": np.asarray(value) for name, value in loss_first(values).items()}
        steps = np.arange(self.history.done.max())
        rate = jax.vmap(schedule)(jnp.asarray(steps)) if schedule and len(steps) else setup.hparams.get("learning_rate")
        if rate is not None:
            metrics["learning_rate"] = np.broadcast_to(np.asarray(rate, np.float32), steps.shape)
        return Run(
            model=setup.model,
            params=params,
            state=state,
            metrics=metrics,
            hparams=setup.hparams,
            stopped=self.history.squeeze(self.reasons),
            compile_seconds=self.compile_seconds,
            run_seconds=time.perf_counter() - self._began - self.compile_seconds,
            final=carry,
            data=inputs.dataset,
            programs=self.programs,
            lanes=lanes,
            batch_size=setup.batch_size,
        )

    def _next(self, done: int) -> tuple[Any, int]:
        inputs, total = self.setup.inputs, self.setup.total
        k = CAPACITY if total is None else min(CAPACITY, total - done)
        if inputs.stream is not None:
            return inputs.stream.take(done, k)
        if self._per_epoch:
            k = min(k, self._per_epoch - done % self._per_epoch)
        return inputs.source, k

    def _compiling(self, function: Callable[..., Any], *args: Any) -> Any:
        # Execution is asynchronous: what a call takes is tracing and compiling, and next to nothing when they are done.
        began = time.perf_counter()
        result = function(*args)
        self.compile_seconds += time.perf_counter() - began
        return result

    def _read(self, carry: TrainState, waiting: "_Waiting") -> TrainState:
        """Takes in what a chunk measured; returns the carry, with lanes that did not stay finite taken back."""
        log = waiting.log
        failed = self.active & ~self.history.per_lane(np.asarray(log.finite))
        if failed.any() and self._is_small:
            lanes = self.history.squeeze(failed)
            log = log._replace(finite=~lanes)  # those that failed earlier are out already
            repaired, log = rewind(self.programs.chunk, waiting.kept, waiting.source, waiting.steps, log)
            carry = mend(lanes, repaired, carry)
        values = self.history.add_chunk(log)
        for lane in np.flatnonzero(failed):
            self.reasons[lane] = f"non-finite at step {self.history.done[lane]}"
        self.active &= ~failed
        if waiting.evaluation is not None:
            measured = self.history.add_evaluation(waiting.done, waiting.evaluation, self.active)
            values |= {f"validation_{name}": value for name, value in measured.items()}
        rate = self.setup.hparams.get("learning_rate")
        self.show.update(waiting.done, values | ({"learning_rate": np.asarray(rate)} if rate is not None else {}))
        self._last = values
        return carry

    def _judge(self, carry: TrainState) -> None:
        names = {name: value for name, value in self._last.items() if name.startswith("validation_")}
        measured = {name.removeprefix("validation_"): value for name, value in names.items()}
        tired = self.patience.update(measured, (carry.params, carry.state))  # pyright: ignore
        self.reasons[self.active & tired] = "patience"
        self.active &= ~tired
