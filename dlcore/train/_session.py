"""From the arguments of `fit` to a `Run`: what `fit`, `load`, `resume` and `fork` have in common."""

import contextlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from dlcore.scale._processes import name_lost_peers
from dlcore.train._cache import compile_cache
from dlcore.train._config import changes, make_config
from dlcore.train._fleet import Fleet
from dlcore.train._folder import RunFolder, read_config
from dlcore.train._keys import as_keys
from dlcore.train._loop import Loop
from dlcore.train._mesh import MeshFleet
from dlcore.train._outcome import make_run_of, write_run
from dlcore.train._patience import Monitor, Patience
from dlcore.train._program import CAPACITY, program
from dlcore.train._progress import Silent, make_progress
from dlcore.train._run import Run
from dlcore.train._saver import Saver, open_snapshot
from dlcore.train._setup import PREPARED, Setup, prepare
from dlcore.train._signals import Interrupt
from dlcore.train._snapshot import Snapshot, shared
from dlcore.train._store import Store
from dlcore.train._weights import check_weights

# The arguments of `fit` that make a run, with their defaults: those of `prepare`, and the rest.
DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(PREPARED),
    **{name: value for name, value in PREPARED.items() if value is not inspect.Parameter.empty},
    "key": 0,
    "seeds": None,
    "params": None,
    "state": None,
    "patience": None,
    "min_delta": 0.0,
    "monitor": "loss",
    "lanes": None,
}


def train_run(
    arguments: Mapping[str, Any],
    snapshot: Snapshot | None = None,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    allow_changes: bool = False,
    overwrite: bool = False,
    save_every: int | None = None,
    keep_last: int | None = 3,
    keep_best: int = 1,
    prefetch: int = 2,
    progress: bool | str | None = None,
    further: bool = False,
) -> Run:
    """Trains; see `fit` for the arguments. With a snapshot, from there on; `further` wants something left to do."""
    if resume and out is None:
        raise ValueError("resume: give the folder of the run too: out=...")
    if isinstance(prefetch, bool) or not isinstance(prefetch, int) or prefetch < 0:
        raise ValueError(f"prefetch: expected a whole number from 0 on, found {prefetch!r}")
    is_shared = arguments["mesh"] is not None and jax.process_count() > 1
    is_first = not is_shared or jax.process_index() == 0  # what is written and shown, the first process does
    folder = None
    if out is not None and is_first:
        folder = RunFolder(out, overwrite=overwrite, resume=resume or snapshot is not None)
    with compile_cache(), Interrupt() as interrupt, contextlib.ExitStack() as stack:
        if is_shared:
            stack.enter_context(name_lost_peers())
        ready = make_ready(arguments)
        if further and snapshot is not None:
            check_further(snapshot, ready.setup)
        if ready.setup.layout is not None:
            ready.setup.layout.check_devices()
        saver = store = None
        if folder is not None:
            stack.enter_context(folder)
            config = make_config(arguments, ready.setup)
            if resume and snapshot is None:
                check_changes(folder.path, config, allow_changes)
                snapshot = open_snapshot(folder.checkpoints)
            folder.put_json("config.json", config)
            store = stack.enter_context(Store(folder.checkpoints, keep_last=keep_last, keep_best=keep_best))
        if out is not None:
            saver = make_saver(store, ready.setup, save_every, Monitor(ready.setup, arguments["monitor"]))
        if is_shared and resume:
            snapshot = shared(snapshot)
        loop = ready.loop(make_progress(progress if is_first else False), interrupt, saver, prefetch)
        with loop.show:
            loop.show.start(ready.setup.total, ready.setup.inputs.steps_per_epoch, snapshot.step if snapshot else 0)
            if snapshot is None:
                loop.begin(ready.keys, ready.values, arguments["params"], arguments["state"] or {})
            else:
                loop.restore(snapshot, ready.keys, ready.values, str(out or "snapshot"))
                loop.best = loop.best if loop.patience is not None else None
            loop.train()
            if not interrupt.requested:
                loop.measure_test()
            loop.save()
        run = make_run_of(loop, ready.lanes, folder and folder.path, train_run)
        if folder is not None:
            write_run(folder, run)
    return run


# And those that say where it is kept, how it is read and shown, which change nothing about its program.
HOST = tuple(
    name
    for name, parameter in inspect.signature(train_run).parameters.items()
    if parameter.kind is parameter.KEYWORD_ONLY and name != "further"
)


class Ready(NamedTuple):
    """A run whose arguments fit together."""

    arguments: Mapping[str, Any]
    setup: Setup
    keys: Any
    values: dict[str, Any]  # traced hyperparameters, with an axis for the lanes
    lanes: list[dict[str, Any]]  # the arguments of each lane by itself

    def loop(self, show: Silent, interrupt: Interrupt, saver: Saver | None = None, prefetch: int = 2) -> Loop:
        """Returns the loop that trains it."""
        count = len(self.lanes)
        fleet = make_fleet(self.setup, None if self.arguments["seeds"] is None else count, self.arguments["lanes"])
        patience = make_patience(self.setup, self.arguments, count)
        return Loop(self.setup, fleet, show, interrupt, patience=patience, saver=saver, prefetch=prefetch)


def make_ready(arguments: Mapping[str, Any]) -> Ready:
    """Resolves and checks the arguments of `fit`."""
    setup = prepare(**{name: arguments[name] for name in PREPARED})
    keys, own = as_keys(arguments["key"], arguments["seeds"])
    if arguments["params"] is not None:
        check_weights(setup, arguments["params"], arguments["state"] or {})
    Monitor(setup, arguments["monitor"])
    make_patience(setup, arguments, len(own))
    values = {name: np.asarray(value, np.float32) for name, value in setup.hparams.items()}
    if arguments["seeds"] is not None:
        values = {name: np.repeat(value, len(own)) for name, value in values.items()}
    if setup.inputs.stream is not None:
        arguments = {**arguments, "data": setup.inputs.stream}  # which knows how far it has been read
    return Ready(
        arguments, setup, keys, values, [{**arguments, "seeds": None, "lanes": None, "key": key} for key in own]
    )


def make_patience(setup: Setup, arguments: Mapping[str, Any], count: int) -> Patience | None:
    """Returns what watches the validation split, or None where nobody asked for it."""
    if arguments["patience"] is None:
        return None
    monitor = Monitor(setup, arguments["monitor"])
    return Patience(setup, arguments["patience"], arguments["min_delta"], monitor, count)


def make_saver(store: Store | None, setup: Setup, save_every: int | None, monitor: Monitor) -> Saver:
    """Returns what writes checkpoints.

    Raises:
      ValueError: for `save_every` below one.
    """
    if save_every is not None and (int(save_every) != save_every or save_every < 1):
        raise ValueError(f"save_every: expected a positive whole number, found {save_every!r}")
    unit = setup.inputs.steps_per_epoch or CAPACITY
    return Saver(store, save_every and int(save_every) * unit, monitor)


def make_fleet(setup: Setup, count: int | None, lanes: str | None = None) -> Fleet:
    """Returns the lanes of a program on all of this process's devices; a lone run on the default one."""
    if lanes not in (None, "loop", "vmap"):
        raise ValueError(f"lanes: expected 'loop' or 'vmap', found {lanes!r}")
    faster = "loop" if jax.default_backend() == "cpu" else "vmap"
    lanes = None if count is None else lanes or faster
    layout = setup.layout
    if layout is not None and count is not None:
        raise ValueError("mesh: a run over many devices is one run; leave `seeds` out, or train them one after another")
    programs = program(
        setup.model, setup.objective, setup.optimizer, setup.step, setup.batch_size, lanes, layout, setup.scaled
    )
    if layout is not None:
        return MeshFleet(programs, layout)
    devices = jax.local_devices() if count is not None and len(jax.local_devices()) > 1 else (None,)
    return Fleet(programs, lanes, count or 1, devices)


def check_further(snapshot: Snapshot, setup: Setup) -> None:
    """Refuses to go on with a run that has nothing left to do.

    Raises:
      ValueError: says why.
    """
    if "" not in snapshot.reasons:
        raise ValueError(f"resume: the run has stopped ({', '.join(sorted(set(snapshot.reasons)))}); see fork")
    if setup.total is not None and snapshot.step >= setup.total:
        repair = "give more epochs or steps, which count from the start"
        raise ValueError(f"resume: the run has {snapshot.step} steps already, of {setup.total}; {repair}")


def check_changes(path: Path, config: Mapping[str, Any], allowed: bool) -> None:
    """Compares a run's configuration with the one that its folder was made with.

    Raises:
      ValueError: shows the difference.
    """
    before = read_config(path)
    if before is not None and before["kind"] != config["kind"]:
        raise ValueError(f"resume: {path} holds a {before['kind']}, and this is a {config['kind']}")
    if before is not None and not allowed and (found := changes(before, config)):
        repair = "make it the same again, or pass allow_changes=True (--allow-changes)"
        raise ValueError(f"resume: {path} was made with another configuration: {'; '.join(found)}; {repair}")
