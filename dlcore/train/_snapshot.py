"""All that a run is between two chunks, as plain arrays by name: what is kept in memory, and written to disk."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.errors import CheckpointError
from dlcore.scale._processes import broadcast
from dlcore.train._history import take_lanes


class Snapshot(NamedTuple):
    """A run between two chunks.

    Attributes:
      step: steps that were run, by the lanes that still run.
      arrays: `carry/params/...`, `carry/opt_state/...`, `best/...`, `patience/...`, `steps/loss`, ...; what belongs to
        single lanes has a first axis for them, but for the carry and the best weights of a lone run.
      reasons: for each lane why it has stopped, or "" while it has not.
    """

    step: int
    arrays: Mapping[str, np.ndarray]
    reasons: tuple[str, ...]

    def lanes(self, lanes: np.ndarray, lone: bool) -> "Snapshot":
        """Returns some lanes of a snapshot with lanes, or one of them as a lone run."""
        pick = int(lanes[0]) if lone else lanes
        weights = {name: rows[pick] for name, rows in self.arrays.items() if _is_weight(name)}
        cursor = {name: rows for name, rows in self.arrays.items() if name.startswith("stream/")}
        others = {k: v for k, v in self.arrays.items() if not _is_weight(k) and k not in cursor}
        history = take_lanes(others, lanes)
        reasons = tuple(self.reasons[lane] for lane in lanes)
        step = self.step if "" in reasons else int(history["lanes/done"].max())
        # Lanes that have stopped earlier go on, if at all, with earlier batches.
        return Snapshot(step, weights | history | (cursor if step == self.step else {}), reasons)


def shared(snapshot: Snapshot | None) -> Snapshot | None:
    """Returns the snapshot of the first process in all of them: the others may not see its disk."""
    mine = snapshot and (snapshot.arrays, [snapshot.step, list(snapshot.reasons)])
    found = broadcast(*mine) if mine else broadcast(None)
    if found is None:
        return None
    arrays, (step, reasons) = found
    return Snapshot(step, arrays, tuple(reasons))


def flatten(tree: Any, prefix: str) -> dict[str, np.ndarray]:
    """Returns the leaves of a tree as NumPy arrays by path: `prefix/params/dense/kernel`."""
    named = {_name(prefix, path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
    plain = {k: jax.random.key_data(v) if _is_key(v) else v for k, v in named.items()}
    return {name: np.asarray(leaf) for name, leaf in jax.device_get(plain).items()}


def unflatten(like: Any, arrays: Mapping[str, np.ndarray], prefix: str, where: str = "checkpoint") -> Any:
    """Returns a tree of the structure of `like` (arrays or shapes) with the leaves that `flatten` gave.

    Raises:
      CheckpointError: lists the leaves that are missing, extra, or of another shape or type.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(like)
    wanted = {_name(prefix, path): leaf for path, leaf in leaves}
    found = {name: array for name, array in arrays.items() if name.startswith(prefix + "/")}
    problems = [f"{name} is missing" for name in wanted if name not in found]
    problems += [f"{name} is not in this run" for name in found if name not in wanted]
    for name, leaf in wanted.items():
        expected = jax.eval_shape(jax.random.key_data, leaf) if _is_key(leaf) else leaf
        array: Any = found.get(name, expected)
        if (array.shape, array.dtype) != (expected.shape, expected.dtype):
            problems.append(f"{name} is {_say(array)} and should be {_say(expected)}")
    if problems:
        raise CheckpointError(f"{where} is of another run: " + "; ".join(problems))
    return jax.tree.unflatten(structure, [_typed(found[name], leaf) for name, leaf in wanted.items()])


def _is_weight(name: str) -> bool:
    return name.startswith(("carry/", "best/"))


def _name(prefix: str, path: Any) -> str:
    return f"{prefix}/{jax.tree_util.keystr(path, simple=True, separator='/')}"


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _typed(array: np.ndarray, leaf: Any) -> Any:
    impl = jax.random.key_impl(jnp.empty((), leaf.dtype)) if _is_key(leaf) else None
    return jax.random.wrap_key_data(jnp.asarray(array), impl=impl) if impl else jnp.asarray(array)


def _say(leaf: Any) -> str:
    return f"{leaf.shape} {leaf.dtype}"
