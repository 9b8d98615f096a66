"""Batches from a host iterator: checked, stacked, and with a cursor that a checkpoint can keep."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from dlcore.checks import shapes_of
from dlcore.data import Stacked
from dlcore.errors import CheckpointError, one_line

STACK = 32  # host batches that are sent to the device at a time
STATE = "stream/state"  # its name in a checkpoint
_BYTES, _JSON = b"bytes:", b"json:"
_END = object()


class Taken(NamedTuple):
    """Some batches that were read.

    Attributes:
      source: a `Stacked` on the host, or what it was made on the devices; None where there is nothing left.
      count: how many batches it holds.
      state: where the iterator stood after the last of them, as bytes; None where it cannot say.
    """

    source: Any
    count: int
    state: np.ndarray | None


class Stream:
    """Batches from a host iterator, stacked so that one transfer and one chunk take many.

    Where the iterator has `get_state` and `set_state`, as those of Grain have, a run that is resumed sets the state
    that belongs to the last batch it has trained on; any other iterator is read again from its start.

    Args:
      data: an iterator of batches, or what gives a new one each time it is asked (a loader).

    Raises:
      TypeError: for a batch that is neither a pair nor a dict.
      ValueError: where there is no batch.
    """

    def __init__(self, data: Iterable[Any]):
        self.data = data
        self._open(iter(data))
        self.state = read_state(self._iterator)  # of the batches that the run has consumed
        first = self._ask()
        if first is _END:
            raise ValueError("data: the iterator is empty; a batch is a pair (x, y) or a dict of arrays")
        self.batch = shapes_of(as_batch(first))
        self._kept.append(first)

    def __repr__(self) -> str:
        return repr(self.data)

    def seek(self, step: int, state: np.ndarray | None) -> None:
        """Goes to where a run was after `step` batches: at once, or by passing over them when the next one is read.

        Args:
          step: batches that the run has consumed.
          state: where the iterator stood then, if it is known.

        Raises:
          ValueError: where the iterator has been read further and cannot go back; where it refuses the state.
        """
        self.state = state if hasattr(self._iterator, "set_state") else None
        if self.state is not None:
            write_state(self._iterator, self.state)
            self._kept.clear()
            self._position = self._wanted = step
            return
        if step < self._position:
            iterator = iter(self.data)
            if iterator is self._iterator:
                found = f"{self._position} batches have been read already, and the run goes on after {step}"
                raise ValueError(f"data: {found}; an iterator can be read once: give it anew, or what makes one")
            self._open(iterator)
        self._wanted = step

    def read(self, start: int, most: int, goes_on: Callable[[], bool] = lambda: True) -> Taken:
        """Reads the next batches.

        Args:
          start: the step of the first.
          most: how many at most; one stack holds no more than `STACK`.
          goes_on: asked before each batch; once it says no, nothing more is read.

        Raises:
          ValueError: for a batch of another shape, and where there are fewer batches than the run has seen.
        """
        seen = self._wanted
        while self._position < seen and goes_on():
            if self._next() is _END:
                raise ValueError(
                    f"data: the run has seen {seen} batches already, and the iterator has only {self._position}"
                )
        taken: list[Any] = []
        while len(taken) < min(most, STACK) and goes_on():
            batch = self._next()
            if batch is _END:
                break
            if shapes_of(batch) != self.batch:
                number = start + len(taken)
                raise ValueError(f"data: batch {number} has {shapes_of(batch)}, and the first had {self.batch}")
            taken.append(batch)
        if not taken:
            return Taken(None, 0, None)
        padded = taken + [taken[-1]] * (STACK - len(taken))  # a short stack compiles nothing new
        stack = jax.tree.map(lambda *leaves: np.stack(leaves), *padded)
        return Taken(Stacked(stack, np.int32(start)), len(taken), read_state(self._iterator))

    def _open(self, iterator: Iterator[Any]) -> None:
        self._iterator, self._position, self._wanted = iterator, 0, 0
        self._kept: list[Any] = []  # the first batch, which was read for its shapes

    def _next(self) -> Any:
        """Returns the next whole batch; a short one is dropped, as the remainder of an epoch is."""
        while True:
            found = self._kept.pop() if self._kept else self._ask()
            if found is _END:
                return _END
            batch = as_batch(found)
            if not is_short(shapes_of(batch), self.batch):
                self._position += 1
                return batch

    def _ask(self) -> Any:
        try:
            return next(self._iterator, _END)
        except Exception as error:
            error.add_note(f"raised by the iterator of `data`, when it was asked for batch {self._position}")
            raise


def read_state(iterator: Any) -> np.ndarray | None:
    """Returns where an iterator stands as bytes, uint8; None where it cannot say, or not in a form that is kept.

    Args:
      iterator: whose `get_state` gives bytes, or what JSON can say.
    """
    if not hasattr(iterator, "get_state") or not hasattr(iterator, "set_state"):
        return None
    state = iterator.get_state()
    if isinstance(state, bytes):
        return np.frombuffer(_BYTES + state, np.uint8)
    try:
        text = json.dumps(state)
    except (TypeError, ValueError):
        return None
    # What JSON would change (a tuple, a number as a key) is not what `set_state` expects.
    return np.frombuffer(_JSON + text.encode(), np.uint8) if json.loads(text) == state else None


def write_state(iterator: Any, kept: np.ndarray) -> None:
    """Sets an iterator to what `read_state` gave.

    Raises:
      CheckpointError: for bytes that are of no such form.
      Exception: whatever the iterator raises.
    """
    data = np.asarray(kept, np.uint8).tobytes()
    if data.startswith(_BYTES):
        state: Any = data.removeprefix(_BYTES)
    elif data.startswith(_JSON):
        state = json.loads(data.removeprefix(_JSON))
    else:
        raise CheckpointError(f"{STATE} is damaged: expected bytes or JSON, found {one_line(repr(data[:20]))}")
    try:
        iterator.set_state(state)
    except Exception as error:
        error.add_note("raised by `set_state` of `data`, with the state that the checkpoint holds")
        raise


def is_short(found: Any, first: Any) -> bool:
    """Whether a batch (its shapes) is like the first one, with fewer examples."""
    if jax.tree.structure(found) != jax.tree.structure(first):
        return False
    pairs = list(zip(jax.tree.leaves(found), jax.tree.leaves(first), strict=True))
    return all(a.shape[1:] == b.shape[1:] and a.dtype == b.dtype and a.shape < b.shape for a, b in pairs)


def as_batch(batch: Any) -> dict[str, Any]:
    """Returns a pair (x, y) or a dict as a dict of NumPy arrays.

    Raises:
      TypeError: for anything else.
    """
    if isinstance(batch, Mapping):
        return {name: np.asarray(array) for name, array in batch.items()}
    if isinstance(batch, tuple | list) and len(batch) == 2:
        return {"x": np.asarray(batch[0]), "y": np.asarray(batch[1])}
    raise TypeError(f"data: expected batches that are pairs (x, y) or dicts of arrays, found {type(batch).__name__}")
