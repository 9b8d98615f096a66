"""Runs from disk: `load` reads one, `verify` runs it again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.errors import CheckpointError, suggest
from dlcore.places import place
from dlcore.train._cache import compile_cache
from dlcore.train._config import changes as changes_of
from dlcore.train._config import make_config, read_arguments
from dlcore.train._folder import CHECKPOINTS, read_config
from dlcore.train._outcome import make_run_of
from dlcore.train._progress import Silent
from dlcore.train._run import Run
from dlcore.train._saver import open_snapshot
from dlcore.train._session import DEFAULTS, Ready, make_ready, train_run
from dlcore.train._signals import Interrupt
from dlcore.train._snapshot import Snapshot
from dlcore.train._store import Store


def load(path: str | Path, **given: Any) -> Run:
    """Reads a run from its folder: its newest good checkpoint, or the one before where that is damaged.

    Nothing is executed that the folder names but dlcore's own factories; whatever else the run was made of has to be
    given again. Without its data a run still predicts, evaluates and plots.

    Args:
      path: the folder, `out` of `fit`; in a bucket too, `gs://BUCKET/FOLDER`.
      **given: arguments of `fit` that cannot be built from their names: `model=`, `data=`, `optimizer=`, ...

    Returns:
      A `Run`, with `predict`, `evaluate`, `plot` and `resume`.

    Raises:
      TypeError: for a name that is no argument of `fit`.
      CheckpointError: where there is no run or no good checkpoint, for one of another model (with the leaves that
        differ), and for an argument that has to be given.

    Example:
      >>> import dlcore as dl, tempfile
      >>> folder = tempfile.mkdtemp() + "/run"
      >>> _ = dl.fit(dl.models.softmax_regression(3), dl.data.iris(), epochs=1, batch_size=32, out=folder)
      >>> dl.load(folder).predict(dl.data.iris().test["x"]).shape
      (15, 3)
    """
    ready, config = _open(path, given)
    ready = ready._replace(setup=ready.setup._replace(layout=None))  # it is looked at with the devices there are
    snapshot = open_snapshot(place(path, "path") / CHECKPOINTS)
    if snapshot is None:
        raise CheckpointError(f"{path} has no checkpoint yet: train it with resume=True")
    changed = changes_of(config, make_config(ready.arguments, ready.setup))
    if ready.lanes[0]["data"] is not None and (found := [line for line in changed if line.startswith("data:")]):
        raise CheckpointError(f"{path} was made with other data ({found[0]}): give data=...")
    with compile_cache():
        loop = ready.loop(Silent(), Interrupt())
        loop.restore(snapshot, ready.keys, ready.values, str(path))
        if loop.active.any() and loop.done != ready.setup.total:
            loop.interrupt.requested = "interrupted"
        return make_run_of(loop, ready.lanes, place(path, "path"), train_run)


class Verification(NamedTuple):
    """What `verify` found: for each interval its first and last step, and the arrays that differ."""

    intervals: tuple[tuple[int, int, tuple[str, ...]], ...]

    @property
    def ok(self) -> bool:
        """Whether every bit was the same."""
        return not any(differing for _, _, differing in self.intervals)

    def __repr__(self) -> str:
        lines = []
        for first, last, differing in self.intervals:
            said = (
                f"{len(differing)} arrays differ: {', '.join(differing[:5])}" if differing else "the same in every bit"
            )
            lines.append(f"steps {first} to {last}: {said}")
        return "\n".join(lines)


def verify(path: str | Path, **given: Any) -> Verification:
    """Runs the chunks between the checkpoints of a run again, and compares every bit.

    Args:
      path: the folder of a run.
      **given: as in `load`.

    Returns:
      A `Verification`, whose `ok` says whether all was the same. Another version of JAX, or another kind of device, may
      well differ.

    Raises:
      TypeError, CheckpointError: as `load`.
    """
    ready, config = _open(path, given)
    if ready.lanes[0]["data"] is None:
        raise CheckpointError(f"{path} was made with data that are not here: give data=...")
    places = Store(place(path, "path") / CHECKPOINTS).steps()
    if not places:
        raise CheckpointError(f"{path} has no checkpoint yet: train it with resume=True")
    intervals, before = [], None
    with compile_cache():
        for step in places:
            if before is None and config["digests"]["params"] is not None and ready.arguments["params"] is None:
                before = _read(path, step)  # what it started from was given, and is not here
                continue
            loop = ready.loop(Silent(), Interrupt())
            if before is None:
                loop.begin(ready.keys, ready.values, ready.arguments["params"], ready.arguments["state"] or {})
            else:
                loop.restore(before, ready.keys, ready.values, str(path))
            first, after = loop.done, _read(path, step)
            loop.train(step)
            intervals.append((first, step, _differing(loop.snapshot().arrays, after.arrays)))
            before = after
    return Verification(tuple(intervals))


def _open(path: str | Path, given: Mapping[str, Any]) -> tuple[Ready, dict[str, Any]]:
    if unknown := [name for name in given if name not in DEFAULTS]:
        raise TypeError(f"load: there is no argument {unknown[0]!r}{suggest(unknown[0], DEFAULTS)}")
    config = read_config(path)
    if config is None:
        raise CheckpointError(f"{path} holds no run: there is no config.json")
    if config["kind"] != "run":
        raise CheckpointError(
            f"{path} holds a {config['kind']}, not a run: repeat the call that made it, with resume=True"
        )
    arguments = DEFAULTS | read_arguments(config, given, path)
    if arguments["data"] is not None:
        return make_ready(arguments), config
    shapes = {name: jax.ShapeDtypeStruct(shape, dtype) for name, (shape, dtype) in config["batch"].items()}
    nothing = jax.tree_util.Partial(lambda key, n: jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes))
    ready = make_ready(arguments | {"data": nothing, "epochs": None, "steps": config["total"] or 1, "patience": None})
    return ready._replace(lanes=[{**own, **arguments, "seeds": None, "key": own["key"]} for own in ready.lanes]), config


def _read(path: str | Path, step: int) -> Snapshot:
    found = open_snapshot(place(path, "path") / CHECKPOINTS, step)
    assert found is not None
    return found


def _differing(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    # What is measured at the end is not yet; and where a loader stands, it says in its own way.
    names = [name for name in dict.fromkeys([*one, *other]) if not name.startswith(("once/", "stream/"))]

    def same(name: str) -> bool:
        a, b = one.get(name), other.get(name)
        return (
            a is not None and b is not None and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
        )

    return tuple(name for name in names if not same(name))
