"""Which examples each of several JAX processes reads."""

from __future__ import annotations

import jax
import numpy as np

__all__ = ["share"]


def share(n: int, process: int | None = None, processes: int | None = None) -> slice:
    """Returns which of `n` examples a process reads: one run of them, as many as every other process reads.

    The remainder of `n` by the number of processes is read by none, or the processes would not all have the same
    number of batches, and some would wait for the others for ever. With Grain, `grain.sharding.ShardByJaxProcess(
    drop_remainder=True)` says the same to a sampler; a `grain.MapDataset` takes the slice itself.

    Args:
        n: how many examples there are.
        process: number of the process, from 0; that of this one, `jax.process_index()`, unless given.
        processes: how many there are; `jax.process_count()` unless given.

    Returns:
        A slice, for an array, a list, or anything that is cut like them.

    Raises:
        TypeError: for anything but whole numbers.
        ValueError: for a process that is not there, and for fewer examples than processes.

    Source: `grain.sharding.even_split`.

    Example:
        >>> files = ["a", "b", "c", "d", "e", "f", "g"]
        >>> files[share(len(files), process=1, processes=3)]
        ['c', 'd']
        >>> files[share(len(files))]  # one process reads all
        ['a', 'b', 'c', 'd', 'e', 'f', 'g']
    """
    process = jax.process_index() if process is None else process
    processes = jax.process_count() if processes is None else processes
    for name, value in (("n", n), ("process", process), ("processes", processes)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise TypeError(f"share {name}: expected a whole number, found {value!r}")
    if processes < 1:
        raise ValueError(f"share processes: expected 1 or more, found {processes}")
    if not 0 <= process < processes:
        raise ValueError(f"share process: expected 0 to {processes - 1} for {processes} processes, found {process}")
    if n < processes:
        raise ValueError(f"share n: expected an example or more for each of {processes} processes, found {n}")
    size = int(n) // int(processes)
    return slice(int(process) * size, (int(process) + 1) * size)
