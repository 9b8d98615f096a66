"""From the arguments of `fit` to a `Run`: what `fit`, `load`, `resume` and `fork` have in common."""

import contextlib
import functools
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.report import page
from dlcore.train._cache import compile_cache
from dlcore.train._config import changes, make_config
from dlcore.train._fleet import Fleet
from dlcore.train._folder import RunFolder, metrics_table, numbers, read_config
from dlcore.train._hparams import as_arrays, schedule_of
from dlcore.train._loop import Loop
from dlcore.train._patience import Monitor, Patience
from dlcore.train._program import CAPACITY, program
from dlcore.train._progress import Silent, make_progress
from dlcore.train._run import Run
from dlcore.train._saver import Saver, open_snapshot
from dlcore.train._setup import Setup, check_weights, prepare
from dlcore.train._signals import Interrupt
from dlcore.train._snapshot import Snapshot
from dlcore.train._store import Store

# What `prepare` takes, and the rest of what makes a run.
PREPARED = (
    "model",
    "data",
    "loss",
    "metrics",
    "objective",
    "optimizer",
    "step",
    "epochs",
    "steps",
    "batch_size",
    "hparams",
)
DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(PREPARED),
    "batch_size": 64,
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
    progress: bool | str | None = None,
) -> Run:
    """Trains; see `fit` for the arguments. With a snapshot, from there on."""
    folder = RunFolder(out, overwrite=overwrite, resume=resume or snapshot is not None) if out is not None else None
    if resume and folder is None:
        raise ValueError("resume: give the folder of the run too: out=...")
    with compile_cache(), Interrupt() as interrupt, contextlib.ExitStack() as stack:
        ready = make_ready(arguments)
        saver = None
        if folder is not None:
            stack.enter_context(folder)
            config = make_config(arguments, ready.setup)
            if resume and snapshot is None:
                check_changes(folder.path, config, allow_changes)
                snapshot = open_snapshot(folder.checkpoints)
            folder.put_json("config.json", config)
            store = stack.enter_context(Store(folder.checkpoints, keep_last=keep_last, keep_best=keep_best))
            saver = make_saver(store, ready.setup, save_every, Monitor(ready.setup, arguments["monitor"]))
        loop = ready.loop(make_progress(progress), interrupt, saver)
        with loop.show:
            loop.show.start(ready.setup.total, ready.setup.inputs.steps_per_epoch)
            if snapshot is None:
                loop.begin(ready.keys, ready.values, arguments["params"], arguments["state"] or {})
            else:
                loop.restore(snapshot, ready.keys, ready.values, str(out or "snapshot"))
            loop.train()
            if not interrupt.requested:
                loop.measure_test()
            loop.save()
        run = make_run_of(loop, ready.lanes, folder and folder.path)
        if folder is not None:
            write_run(folder, run)
    return run


class Ready(NamedTuple):
    """A run whose arguments fit together."""

    arguments: Mapping[str, Any]
    setup: Setup
    keys: Any
    values: dict[str, Any]  # traced hyperparameters, with an axis for the lanes
    lanes: list[dict[str, Any]]  # the arguments of each lane by itself

    def loop(self, show: Silent, interrupt: Interrupt, saver: Saver | None = None) -> Loop:
        """Returns the loop that trains it."""
        count = len(self.lanes)
        fleet = make_fleet(self.setup, None if self.arguments["seeds"] is None else count, self.arguments["lanes"])
        patience = make_patience(self.setup, self.arguments, count)
        return Loop(self.setup, fleet, show, interrupt, patience=patience, saver=saver)


def make_ready(arguments: Mapping[str, Any]) -> Ready:
    """Resolves and checks the arguments of `fit`."""
    setup = prepare(**{name: arguments[name] for name in PREPARED})
    keys, own = as_keys(arguments["key"], arguments["seeds"])
    if arguments["params"] is not None:
        check_weights(setup, arguments["params"], arguments["state"] or {})
    Monitor(setup, arguments["monitor"])
    make_patience(setup, arguments, len(own))
    values = as_arrays(setup.hparams)
    if arguments["seeds"] is not None:
        values = {name: jnp.broadcast_to(value, (len(own),)) for name, value in values.items()}
    return Ready(
        arguments, setup, keys, values, [{**arguments, "seeds": None, "lanes": None, "key": key} for key in own]
    )


def make_patience(setup: Setup, arguments: Mapping[str, Any], count: int) -> Patience | None:
    """Returns what watches the validation split, or None where nobody asked for it."""
    if arguments["patience"] is None:
        return None
    monitor = Monitor(setup, arguments["monitor"])
    return Patience(setup, arguments["patience"], arguments["min_delta"], monitor, count)


def make_saver(store: Store, setup: Setup, save_every: int | None, monitor: Monitor) -> Saver:
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
    programs = program(setup.model, setup.objective, setup.optimizer, setup.step, setup.batch_size, lanes)
    devices = jax.local_devices() if count is not None and len(jax.local_devices()) > 1 else (None,)
    return Fleet(programs, lanes, count or 1, devices)


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


def make_run_of(loop: Loop, arguments: Sequence[Mapping[str, Any]], folder: Path | None) -> Run:
    """Returns the run that a loop has come to.

    Args:
      loop: after training.
      arguments: of `fit`, for each lane by itself.
      folder: where the run is kept.
    """
    setup, fleet, schedule = loop.setup, loop.fleet, schedule_of(arguments[0]["optimizer"])
    carry = fleet.join(loop.carries)
    params, state = fleet.join(loop.best) if loop.best is not None else (carry.params, carry.state)
    metrics = loop.history.metrics()
    steps = np.arange(loop.history.done.max())
    rates = jax.vmap(schedule)(jnp.asarray(steps)) if schedule and len(steps) else None
    if rates is None and (own := carry.hparams.get("learning_rate")) is not None:
        rates = np.asarray(own)[..., None] if loop.varies("learning_rate") else np.ravel(own)[0]
    if fleet.lanes is None:
        metrics = {name: values[0] for name, values in metrics.items()}
    if rates is not None:
        shape = (*np.shape(rates)[:-1], len(steps)) if np.ndim(rates) > 1 else steps.shape
        metrics["learning_rate"] = np.broadcast_to(np.asarray(rates, np.float32), shape)
    reasons = loop.reasons.copy()
    reasons[loop.active] = loop.interrupt.requested or "finished"
    hparams = {
        name: np.asarray(value) if loop.varies(name) else setup.hparams[name] for name, value in carry.hparams.items()
    }
    return Run(
        model=setup.model,
        params=params,
        state=state,
        metrics=metrics,
        hparams=hparams | setup.structure,
        stopped=reasons if fleet.lanes else reasons[0],
        compile_seconds=loop.compile_seconds,
        run_seconds=loop.run_seconds,
        final=carry,
        data=setup.inputs.dataset,
        arguments=arguments,
        snapshot=loop.snapshot(),
        programs=functools.partial(
            program, setup.model, setup.objective, setup.optimizer, setup.step, setup.batch_size
        ),
        again=train_run,
        lanes=fleet.lanes,
        batch_size=setup.batch_size,
        folder=folder,
    )


def write_run(folder: RunFolder, run: Run) -> None:
    """Writes what people look at; the checkpoints are there already."""
    folder.put_json(
        "results.json",
        {
            "steps": int(np.max(run.final.step)),
            "stopped": np.asarray(run.stopped).tolist(),
            "compile_seconds": run.compile_seconds,
            "run_seconds": run.run_seconds,
            "results": {name: numbers(value) for name, value in run.summary().items()},
        },
    )
    folder.put("metrics.csv", metrics_table(run.metrics))
    if "loss" in run.metrics:  # an interrupt may come before the first step
        picture = io.BytesIO()
        run.plot().savefig(picture, dpi=120)
        folder.put("curves.png", picture.getvalue())
        folder.put("report.html", page(run.headline(), run.sections()))


def as_keys(key: Any, seeds: int | Sequence[Any] | None) -> tuple[Any, list[Any]]:
    """Returns the keys of the lanes, stacked, and each as `fit` takes it; without `seeds`, of a lone run.

    Raises:
      TypeError: for a key that is neither a whole number nor a JAX key.
      ValueError: for no seeds.
    """
    if not _is_seed(key) and not _is_key(key):
        raise TypeError(f"key: expected a whole number or a key from jax.random.key, found {key!r}")
    if seeds is None:
        return as_key(key), [key]
    several = range(seeds) if isinstance(seeds, int) else seeds
    if not len(several) or isinstance(seeds, bool):
        raise ValueError(f"seeds: expected one or more, found {seeds!r}")
    if not all(_is_seed(one) or _is_key(one) for one in several):
        raise TypeError(f"seeds: expected a number of lanes, or whole numbers, found {seeds!r}")
    if not _is_seed(key):
        own = [jax.random.fold_in(key, int(one)) if _is_seed(one) else one for one in several]
    else:
        own = [key + one for one in several] if isinstance(seeds, int) else list(several)
    return jnp.stack([as_key(one) for one in own]), own


def as_key(key: Any) -> Any:
    """Returns the JAX key of a seed."""
    return jax.random.key(int(key)) if _is_seed(key) else key


def _is_seed(key: Any) -> bool:
    return isinstance(key, int | np.integer) and not isinstance(key, bool)


def _is_key(key: Any) -> bool:
    return isinstance(key, jax.Array) and key.shape == () and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
