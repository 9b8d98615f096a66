"""The groups of a sweep, trained one after another, or side by side from rung to rung."""

import contextlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from dlcore.train._groups import Group
from dlcore.train._keys import as_key
from dlcore.train._loop import Loop
from dlcore.train._outcome import make_run_of
from dlcore.train._patience import Monitor
from dlcore.train._progress import Shared, Silent
from dlcore.train._results import Sweep
from dlcore.train._run import Run
from dlcore.train._saver import open_snapshot
from dlcore.train._session import make_fleet, make_patience, make_saver, train_run
from dlcore.train._signals import Interrupt
from dlcore.train._store import Store


class Cohorts:
    """What `sweep` does once its lanes are grouped.

    Args:
      groups: the lanes.
      seeds: how many lanes each point has.
      rungs: epochs at which the better half of the points goes on.
      base: arguments of `fit`.
      show: the display.
      interrupt: the signals.

    Raises:
      ValueError: for rungs that are not increasing, not within the run, or without validation.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        seeds: int,
        rungs: Sequence[float],
        base: Mapping[str, Any],
        show: Silent,
        interrupt: Interrupt,
    ):
        self.groups, self.seeds, self.lanes, self.interrupt = groups, seeds, base["lanes"], interrupt
        self.rungs = [float(rung) for rung in rungs]
        self.show = show
        self.monitors = [Monitor(group.setup, base["monitor"]) for group in groups]
        if self.rungs != sorted(set(self.rungs)) or any(rung <= 0 for rung in self.rungs):
            raise ValueError(f"rungs: expected increasing numbers of epochs, found {list(rungs)}")
        for setup in (group.setup for group in groups if self.rungs):
            per_epoch = setup.inputs.steps_per_epoch
            if "validation" not in setup.inputs.splits or not per_epoch:
                raise ValueError("rungs: points are judged by a validation split, and the data have none")
            if any(rung != int(rung) or rung * per_epoch >= (setup.total or np.inf) for rung in self.rungs):
                last = (setup.total or 0) / per_epoch
                raise ValueError(f"rungs: expected whole epochs before the last, {last:g}, found {list(rungs)}")

    def run(self, path: Path | None = None, *, resume: bool = False, save_every: int | None = None) -> Sweep:
        """Trains all lanes.

        Args:
          path: where the checkpoints are.
          resume: whether to start from them.
          save_every: as in `fit`.
        """
        with self.show:
            setups = [group.setup for group in self.groups]
            totals = [setup.total or 0 for setup in setups]
            self.show.start(sum(totals), setups[0].inputs.steps_per_epoch if len(setups) == 1 else None)
            self._shared = Shared(self.show, totals)
            runs = self._run(path, resume, save_every)
        return Sweep(
            runs=list(runs.values()),
            lanes=[self.groups[number].lanes for number in runs],
            points=[self.groups[number].points for number in runs],
            monitor=self.monitors[0],
            stopped=self.interrupt.requested or "finished",
            folder=path and path.parent,
        )

    def _run(self, path: Path | None, resume: bool, save_every: int | None) -> dict[int, Run]:
        runs: dict[int, Run] = {}
        numbers = list(range(len(self.groups)))
        # Where nothing is decided between groups, each is over before the next one takes up memory.
        for cohort in [numbers] if self.rungs else [[number] for number in numbers]:
            with contextlib.ExitStack() as stack:
                loops: dict[int, Loop] = {}
                for number in cohort if not (runs and self.interrupt.requested) else []:
                    place = path / f"group-{number}" if path is not None else None
                    store = Store(place, keep_last=3, keep_best=0) if place is not None else None
                    if store is not None:
                        stack.enter_context(store)
                    snapshot = open_snapshot(place) if place is not None and resume else None
                    loops[number] = self._start(number, store, snapshot, save_every)
                self._train(loops)
                for number, loop in loops.items():
                    if not self.interrupt.requested:
                        loop.measure_test()
                    loop.save()
                    runs[number] = self._finish(number, loop)
        return runs

    def _start(self, number: int, store: Any, snapshot: Any, save_every: int | None) -> Loop:
        setup, own, monitor = self.groups[number].setup, self.groups[number].arguments, self.monitors[number]
        loop = Loop(
            setup,
            make_fleet(setup, len(own), self.lanes),
            self._shared.of(number),
            self.interrupt,
            patience=make_patience(setup, own[0], len(own)),
            saver=make_saver(store, setup, save_every, monitor) if store is not None else None,
        )
        keys = jnp.stack([as_key(one["key"]) for one in own])
        values = {
            name: jnp.asarray([hparams[name] for hparams in self.groups[number].hparams], jnp.float32)
            for name in setup.hparams
        }
        if snapshot is None:
            loop.begin(keys, values)
        else:
            loop.restore(snapshot, keys, values, f"checkpoint of group {number}")
        return loop

    def _finish(self, number: int, loop: Loop) -> Run:
        return make_run_of(loop, self.groups[number].arguments, None, train_run)

    def _train(self, loops: dict[int, Loop]) -> None:
        """Trains all groups to the end; what is done already, in a sweep that is resumed, is passed over."""
        dropped: set[int] = set()
        for rung in self.rungs:
            for loop in loops.values():
                loop.train(_step(rung, loop))
            if self.interrupt.requested:
                return
            self._halve(loops, rung, dropped)
        for loop in loops.values():
            loop.train()

    def _halve(self, loops: dict[int, Loop], rung: float, dropped: set[int]) -> None:
        """Stops the lanes of the worse half of the points that are left; ties go to the earlier point.

        It is judged by what was measured up to the rung, so that a sweep which is resumed decides as it did before.
        """
        scores: dict[int, list[float]] = {}
        for number, loop in loops.items():
            monitor, until = self.monitors[number], _step(rung, loop)
            values = monitor.sign * loop.history.evaluation(monitor.name, until)
            failed = ~loop.history.finite & (loop.history.done < until)
            values[~np.isfinite(values) | failed] = np.inf
            for lane, value in zip(self.groups[number].lanes, values, strict=True):
                scores.setdefault(lane // self.seeds, []).append(value)
        left = [point for point in sorted(scores) if point not in dropped]
        ranked = sorted(left, key=lambda point: float(np.mean(scores[point])))
        dropped.update(ranked[math.ceil(len(left) / 2) :])
        for number, loop in loops.items():
            worse = np.array([lane // self.seeds in dropped for lane in self.groups[number].lanes])
            loop.reasons[loop.active & worse] = f"rung at epoch {rung:g}"


def _step(rung: float, loop: Loop) -> int:
    return int(rung * (loop.setup.inputs.steps_per_epoch or 0))
