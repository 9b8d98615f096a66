"""Sources: pytrees called with `(key, n)` that return the batch of training step `n`, inside compiled code too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import Array, lax

from dlcore.data._permutation import permutation_index

__all__ = ["Batches", "Source", "Stacked", "permutation_index"]


class Source(Protocol):
    """A pytree that gives the batch of step `n` as a function of `(key, n)` alone.

    The key is the one of the run, the same at every step; `n` may be traced. So a run that is resumed, replayed or
    run as one lane of many sees the very same batches.

    Example:
        >>> def noise(key, n):
        ...     return {"x": jax.random.normal(jax.random.fold_in(key, n), (8, 2))}
        >>> source: Source = noise
    """

    def __call__(self, key: Any, n: Any) -> Any:
        """Returns the batch of step `n`."""
        ...


@struct.dataclass
class Batches:
    """Batches drawn without replacement from arrays in memory: a fresh permutation an epoch, remainder dropped.

    Step `n` belongs to epoch `n // steps_per_epoch` and takes the next `batch_size` positions of that epoch's
    permutation of the rows `start` to `start + size - 1`. Rows outside are never drawn, so one array can hold
    train, validation and test rows behind one another.

    Args:
        arrays: arrays of shape (N, ...) by name, for instance `{"x": ..., "y": ...}`.
        batch_size: rows a step.
        size: how many rows are drawn from.
        start: the first of those rows.

    Raises:
        TypeError: `batch_size`, `size` or `start` is not an int.
        ValueError: one of them is out of range, or `batch_size > size`; on a call, arrays too short.

    Source: Bottou, Curiously Fast Convergence of Some Stochastic Gradient Descent Algorithms (2009), for drawing
    without replacement; `permutation_index` for how.

    Example:
        >>> source = Batches({"x": jnp.arange(10.0)}, batch_size=5, size=10)
        >>> epoch = [source(jax.random.key(0), n)["x"] for n in range(source.steps_per_epoch)]
        >>> sorted(jnp.concatenate(epoch).tolist())
        [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]
    """

    arrays: Mapping[str, Any]
    batch_size: int = struct.field(pytree_node=False)
    size: int = struct.field(pytree_node=False)
    start: int = struct.field(pytree_node=False, default=0)

    # Only what is static is checked here: JAX rebuilds the object with placeholders for its arrays.
    def __post_init__(self) -> None:
        for name, least in (("batch_size", 1), ("size", 1), ("start", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
                raise TypeError(f"Batches {name}: expected an int, found {type(value).__name__}")
            if value < least:
                raise ValueError(f"Batches {name}: expected at least {least}, found {value}")
        if self.batch_size > self.size:
            raise ValueError(
                f"Batches batch_size: expected at most the {self.size} rows there are (size={self.size}), "
                f"found batch_size={self.batch_size}; lower batch_size"
            )

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches an epoch, `size // batch_size`.

        Example:
            >>> Batches({"x": jnp.zeros((1437, 64))}, batch_size=64, size=1437).steps_per_epoch
            22
        """
        return self.size // self.batch_size

    def __call__(self, key: Any, n: Any) -> dict[str, Array]:
        """Returns the batch of step `n`: arrays of shape (batch_size, ...) by name."""
        for name, array in self.arrays.items():
            if len(array) < self.start + self.size:
                raise ValueError(
                    f"Batches arrays[{name!r}]: expected at least start + size = {self.start + self.size} rows, "
                    f"found shape {tuple(array.shape)}"
                )
        step = jnp.asarray(n).astype(jnp.uint32)
        steps = np.uint32(self.steps_per_epoch)
        first = step % steps * np.uint32(self.batch_size)
        positions = first + jnp.arange(self.batch_size, dtype=jnp.uint32)  # (batch_size,)
        rows = permutation_index(key, step // steps, positions, self.size) + np.int32(self.start)
        return {
            name: jnp.asarray(array).at[rows].get(mode="promise_in_bounds", unique_indices=True)
            for name, array in self.arrays.items()
        }


@struct.dataclass
class Stacked:
    """Batches that the host has laid one behind another: step `n` gets `arrays[n - start]`, the key is not read.

    Args:
        arrays: a pytree of arrays of shape (steps, batch, ...).
        start: the step of the first of them; traced, so that the next stack compiles nothing new.

    Raises:
        IndexError: `n` and `start` are plain ints and `n` is not in the stack. A traced `n` is not checked: it gets
            the nearest batch that is there.

    Example:
        >>> source = Stacked({"x": jnp.array([[1, 2], [3, 4]])}, start=10)
        >>> source(None, 11)["x"].tolist()
        [3, 4]
    """

    arrays: Any
    start: Any = 0

    def __call__(self, key: Any, n: Any) -> Any:
        """Returns the batch of step `n`."""
        steps = len(jax.tree.leaves(self.arrays)[0])
        if isinstance(n, int) and isinstance(self.start, int) and not self.start <= n < self.start + steps:
            raise IndexError(f"Stacked: expected a step from {self.start} to {self.start + steps - 1}, found {n}")
        return jax.tree.map(
            lambda stack: lax.dynamic_index_in_dim(jnp.asarray(stack), n - self.start, keepdims=False), self.arrays
        )
