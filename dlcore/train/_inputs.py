"""What `fit` accepts as data, made one thing: a source of batches, and arrays to evaluate on."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from dlcore.checks import shapes_of
from dlcore.data import Batches, Dataset, as_dataset
from dlcore.errors import suggest
from dlcore.train._stream import Stream


class Inputs(NamedTuple):
    """Data, ready for the compiled programs.

    `arrays` holds all splits behind one another, and `splits` their (start, size): so that one program evaluates any.
    """

    source: Any
    stream: Stream | None
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


def as_inputs(data: Any, batch_size: int) -> Inputs:
    """Returns `data` ready for training.

    Args:
      data: a `Dataset`, a pair (x, y) of arrays, a source (a pytree called with (key, n)), or an iterator of batches,
        or what gives one (a loader).
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
    if isinstance(data, Stream):  # of a run that goes on
        return Inputs(None, data, None, {}, None, data.batch, None)
    if not isinstance(data, Dataset | tuple | list | str | Mapping):
        if callable(data):
            is_tree = not jax.tree_util.all_leaves([data])
            source = data if is_tree else jax.tree_util.Partial(data)  # a plain function is a tree without leaves
            batch = shapes_of(jax.eval_shape(source, jax.random.key(0), np.int32(0)))
            return Inputs(source, None, None, {}, None, batch, getattr(data, "steps_per_epoch", None))
        if isinstance(data, Iterator) or hasattr(data, "__iter__") and not hasattr(data, "shape"):
            return as_inputs(Stream(data), batch_size)
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


def rows_of(inputs: Inputs, batch_size: int) -> int:
    """Returns the rows of a batch, of which each process reads its share where the data are a stream."""
    if inputs.stream is None:
        return batch_size
    return jax.process_count() * jax.tree.leaves(inputs.batch)[0].shape[0]
