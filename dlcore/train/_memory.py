"""How many lanes fit side by side: the compiler is asked, and nothing crashes."""

import os
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

SHARE = 0.9  # of the memory that is free; the rest is for what the compiler does not count


def lanes_that_fit(compile_for: Callable[[int], Any], count: int, limit: float) -> int:
    """Returns the most lanes, all of them or a power of two, whose program needs no more memory than there is.

    Args:
      compile_for: compiles the program for so many lanes side by side. The one that is chosen was the last to be
        compiled, so that running it compiles nothing.
      count: all lanes.
      limit: bytes that may be used besides what is there already.

    Raises:
      MemoryError: where one lane is too much.
    """
    width = count
    while True:
        needed = _bytes(compile_for, width)
        if needed <= limit:
            return width
        if width == 1:
            said = "more than there is" if needed == np.inf else f"{needed / 2**20:,.0f} MiB"
            raise MemoryError(
                f"one lane needs {said}, and {limit / 2**20:,.0f} MiB are free; give a smaller batch_size"
            )
        # What a program needs grows with its lanes: a first guess, at most the half.
        guess = width * limit / needed if needed < np.inf else width / 2
        width = 1 << max(0, int(np.floor(np.log2(max(1.0, min(guess, width / 2))))))


def free_bytes(device: Any) -> float:
    """Returns how much memory of a device is free; without a device, of the default one."""
    device = device or jax.local_devices()[0]
    stats = device.memory_stats() or {}
    if "bytes_limit" in stats:
        return SHARE * (stats["bytes_limit"] - stats.get("bytes_in_use", 0))
    if hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        return SHARE * os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return np.inf


def _bytes(compile_for: Callable[[int], Any], width: int) -> float:
    try:
        found = compile_for(width).memory_analysis()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return np.inf
    # The arguments are there already, and outputs that take their place cost nothing.
    return found.temp_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
