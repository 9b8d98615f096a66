"""Windows over token ids that stay on disk: only the pages that a batch needs are read."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator

import jax
import numpy as np

from dlcore.data._share import share
from dlcore.data._token_file import mapped_tokens
from dlcore.data._windows import Cut, checked_ints
from dlcore.errors import DataError
from dlcore.files import shown

_INT32_MAX = np.iinfo(np.int32).max


@dataclasses.dataclass(frozen=True)
class MappedWindows:
    """Host batches of token windows from a memory-mapped file: the very batches that `Windows` gives of these tokens.

    Iterating gives the batches 0, 1, 2, ... without end, which `fit` takes as it takes any iterator; `batch(n)` gives
    any of them. The file may be far larger than memory. Ids are looked at when they are read, not before.

    Args:
        path: a `.npy` file of one axis, or a `.bin` file of numbers alone, as `write_tokens` writes.
        length: T, how many tokens are predicted in a window.
        batch_size: windows a step.
        key: the seed of the order, a non-negative int; that of `jax.random.key(key)`.
        vocabulary: how many ids there are; a larger one in the file is an error. By default all of int32.
        dtype: the type of the numbers of a `.bin` file (little-endian), as in `write_tokens`.
        size: how many tokens are used, all from `start` on unless given.
        start: the first of those tokens; no other is read, so one file can hold train and validation.

    Raises:
        DataError: the file is missing, cut short, or not of one axis of integers; on a read, an id that is out of
            the vocabulary, or a file that has become another.
        TypeError: a number is not an int.
        ValueError: a number is out of range, or there are too few tokens for a window or for a batch of windows.

    Source: as `Windows`.

    Example:
        >>> import tempfile
        >>> from dlcore.data import write_tokens
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_tokens(f"{folder}/text.bin", np.arange(100))
        ...     batch = MappedWindows(f"{folder}/text.bin", length=4, batch_size=2).batch(7)
        >>> bool((batch["y"] == batch["x"] + 1).all())
        True
    """

    path: str | os.PathLike[str]
    length: int
    batch_size: int
    _: dataclasses.KW_ONLY
    key: int = 0
    vocabulary: int = _INT32_MAX
    dtype: str = "uint16"
    size: int | None = None
    start: int = 0
    _tokens: np.ndarray = dataclasses.field(init=False, repr=False, compare=False)
    _cut: Cut = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        size = {} if self.size is None else {"size": (self.size, 1)}
        given = {"length": (self.length, 1), "batch_size": (self.batch_size, 1), "start": (self.start, 0)}
        checked_ints("MappedWindows", {**given, "key": (self.key, 0), "vocabulary": (self.vocabulary, 1), **size})
        tokens = mapped_tokens(self.path, self.dtype)
        count = len(tokens) - self.start if self.size is None else self.size
        if self.start + count > len(tokens):
            raise ValueError(
                f"MappedWindows: expected at least start + size = {self.start + count} tokens, found {len(tokens)} in "
                f"{shown(self.path)}"
            )
        cut = Cut(self.length, self.batch_size, max(count, 0)).check("MappedWindows")
        if cut.windows > _INT32_MAX:
            raise ValueError(
                f"MappedWindows length: expected fewer than 2^31 windows, found {cut.windows}; raise length"
            )
        object.__setattr__(self, "_tokens", tokens)
        object.__setattr__(self, "_cut", cut)

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches an epoch.

        Example:
            >>> import tempfile
            >>> from dlcore.data import write_tokens
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     write_tokens(f"{folder}/text.npy", np.arange(100))
            ...     MappedWindows(f"{folder}/text.npy", length=4, batch_size=8).steps_per_epoch
            3
        """
        return self._cut.steps_per_epoch

    def __iter__(self) -> MappedBatches:
        """Gives the batches from step 0 on, without end; of several processes, each its `share` of every batch."""
        return MappedBatches(self)

    def batch(self, n: int, rows: slice = slice(None)) -> dict[str, np.ndarray]:
        """Returns the batch of step `n`, or some rows of it: `x` and `y`, both (batch_size, length) int32.

        Example:
            >>> import tempfile
            >>> from dlcore.data import write_tokens
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     write_tokens(f"{folder}/text.npy", np.arange(100))
            ...     MappedWindows(f"{folder}/text.npy", length=4, batch_size=8).batch(0)["y"].shape
            (8, 4)
        """
        checked_ints("MappedWindows batch", {"n": (n, 0)})
        offset, windows = _compiled_place(self._cut, jax.random.key(self.key), np.uint32(n))
        # In int64: a file may hold more tokens than int32 counts.
        firsts = np.asarray(windows)[rows].astype(np.int64) * self.length + int(offset) + self.start
        read = np.stack([self._tokens[first : first + self.length + 1] for first in firsts]).astype(np.int64)
        wrong = (read < 0) | (read >= self.vocabulary)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise DataError(
                f"{shown(self.path)}: expected ids from 0 to {self.vocabulary - 1}, found {read[row, column]} at "
                f"token {firsts[row] + column}"
            )
        ids = read.astype(np.int32)  # (batch_size, length + 1)
        return {"x": ids[:, :-1], "y": ids[:, 1:]}


class MappedBatches(Iterator[dict[str, np.ndarray]]):
    """The batches of a `MappedWindows`; it can say where it stands, and go there at once."""

    def __init__(self, windows: MappedWindows):
        self._windows, self._rows, self._step = windows, share(windows.batch_size), 0

    def __next__(self) -> dict[str, np.ndarray]:
        self._step += 1
        return self._windows.batch(self._step - 1, self._rows)

    def get_state(self) -> dict[str, int]:
        """Returns the step of the next batch."""
        return {"step": self._step}

    def set_state(self, state: dict[str, int]) -> None:
        """Goes to where `get_state` was asked."""
        self._step = state["step"]


_compiled_place = jax.jit(lambda cut, key, n: cut.place(key, n), static_argnums=0)
