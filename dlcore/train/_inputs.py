"""What `fit` accepts as data, made one thing: a source of batches, and arrays to evaluate on."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from dlcore.checks import shapes_of
from dlcore.data import Batches, Dataset, Stacked, as_dataset
from dlcore.errors import suggest

STACK = 32  # host batches that are sent to the device at a time


class Inputs(NamedTuple):
    """Data, ready for the compiled programs.

    `arrays` holds all splits behind one another, and `splits` their (start, size): so that one program evaluates any.
    """

    source: Any
    stream: "Stream | None"
    arrays: Any
    splits: dict[str, tuple[int, int]]
    dataset: Dataset | None
    batch: Any  # shapes of a batch
    steps_per_epoch: int | None


class Shapes(NamedTuple):
    """A tree of shapes as a hashable value, which `jax.jit` takes as a static argument."""

    leaves: tuple[jax.ShapeDtypeStruct, ...]
    structure: Any

    @classmethod
    def of(cls, tree: Any) -> "Shapes":
        leaves, structure = jax.tree.flatten(shapes_of(tree))
        return cls(tuple(leaves), structure)

    @property
    def tree(self) -> Any:
        return jax.tree.unflatten(self.structure, self.leaves)


class Stream:
    """Batches from a host iterator, stacked so that one transfer and one chunk take many."""

    def __init__(self, batches: Iterator[Any]):
        first = next(batches, None)
        if first is None:
            raise ValueError("data: the iterator is empty; a batch is a pair (x, y) or a dict of arrays")
        self.batch = shapes_of(_as_batch(first))
        # A short last batch is dropped, as the remainder of an epoch is.
        self._rest = itertools.filterfalse(self._is_short, map(_as_batch, itertools.chain([first], batches)))

    def _is_short(self, batch: Any) -> bool:
        found, first = shapes_of(batch), self.batch
        if jax.tree.structure(found) != jax.tree.structure(first):
            return False
        pairs = list(zip(jax.tree.leaves(found), jax.tree.leaves(first), strict=True))
        return all(a.shape[1:] == b.shape[1:] and a.dtype == b.dtype and a.shape < b.shape for a, b in pairs)

    def skip(self, count: int) -> None:
        """Passes over batches that an earlier part of the run has seen.

        Raises:
          ValueError: where there are not so many.
        """
        if (found := sum(1 for _ in itertools.islice(self._rest, count))) < count:
            raise ValueError(f"data: the run has seen {count} batches already, and the iterator has only {found}")

    def take(self, start: int, most: int) -> tuple[Stacked | None, int]:
        """Returns the next batches as a source for steps from `start` on, and how many there are."""
        taken = list(itertools.islice(self._rest, min(most, STACK)))
        for n, batch in enumerate(taken):
            if shapes_of(batch) != self.batch:
                raise ValueError(f"data: batch {start + n} has {shapes_of(batch)}, and the first had {self.batch}")
        if not taken:
            return None, 0
        padded = taken + [taken[-1]] * (STACK - len(taken))  # a short stack compiles nothing new
        return Stacked(jax.tree.map(lambda *leaves: np.stack(leaves), *padded), np.int32(start)), len(taken)


def as_inputs(data: Any, batch_size: int) -> Inputs:
    """Returns `data` ready for training.

    Args:
      data: a `Dataset`, a pair (x, y) of arrays, a source (a pytree called with (key, n)), or an iterator of batches.
      batch_size: examples a step, for the first two.

    Raises:
      TypeError: for anything else.
      ValueError: for a batch larger than the data, and as `Dataset`.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 1:
        raise ValueError(f"batch_size: expected a positive whole number, found {batch_size!r}")
    if isinstance(data, Inputs):  # on the device already
        if data.dataset is None:
            return data
        return _batched(data.dataset, data.arrays, data.splits, batch_size)
    if not isinstance(data, Dataset | tuple | list | str | Mapping):
        if callable(data):
            is_tree = not jax.tree_util.all_leaves([data])
            source = data if is_tree else jax.tree_util.Partial(data)  # a plain function is a tree without leaves
            batch = shapes_of(jax.eval_shape(source, jax.random.key(0), np.int32(0)))
            return Inputs(source, None, None, {}, None, batch, getattr(data, "steps_per_epoch", None))
        if isinstance(data, Iterator) or hasattr(data, "__iter__") and not hasattr(data, "shape"):
            stream = Stream(iter(data))
            return Inputs(None, stream, None, {}, None, stream.batch, None)
    dataset = as_dataset(data)
    parts, splits, start = list(dataset.splits.values()), {}, 0
    for name, part in dataset.splits.items():
        splits[name] = (start, len(part["x"]))
        start += len(part["x"])
    host = {name: np.concatenate([part[name] for part in parts]) if len(parts) > 1 else parts[0][name] for name in "xy"}
    return _batched(dataset, jax.device_put(host), splits, batch_size)


def _batched(dataset: Dataset, arrays: Any, splits: dict[str, tuple[int, int]], batch_size: int) -> Inputs:
    size = splits["train"][1]
    if batch_size > size:
        raise ValueError(f"batch_size: {batch_size} is more than the {size} training examples; give {size} or less")
    source = Batches(arrays, batch_size, size)
    batch = {k: jax.ShapeDtypeStruct((batch_size, *v.shape[1:]), v.dtype) for k, v in arrays.items()}
    return Inputs(source, None, arrays, splits, dataset, batch, source.steps_per_epoch)


def check_split(splits: Mapping[str, Any], name: str) -> None:
    """Refuses the name of a split that is not there."""
    if name not in splits:
        raise ValueError(f"there is no {name!r} split here{suggest(name, splits)}")


def _as_batch(batch: Any) -> dict[str, Any]:
    if isinstance(batch, Mapping):
        return {name: np.asarray(array) for name, array in batch.items()}
    if isinstance(batch, tuple | list) and len(batch) == 2:
        return {"x": np.asarray(batch[0]), "y": np.asarray(batch[1])}
    raise TypeError(f"data: expected batches that are pairs (x, y) or dicts of arrays, found {type(batch).__name__}")
