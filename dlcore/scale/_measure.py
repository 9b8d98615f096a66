"""A program, compiled and measured: what is known of it without running it, as plain JSON."""

import re
import time
from collections.abc import Sequence
from typing import Any

import jax

from dlcore.scale._hlo import parse_hlo
from dlcore.scale._traffic import bytes_moved, count_collectives, largest_buffers

_UNITS = {"": 1, "B": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50}
_SIZE = r"\(?([\d.]+)\s?([KMGTP]?)i?B?\)?"
_NEEDED = (rf"total memory required[^(]*{_SIZE}", rf"Used {_SIZE} of", rf"(?:allocate|allocating) {_SIZE}")
_THERE = (rf"available HBM {_SIZE}", rf"Used [\d.]+[KMGTP]? of {_SIZE}")


def measure(lowered: Any, names: Sequence[str] = ()) -> dict[str, Any]:
    """Compiles a lowered program, and returns what the compiler says of it.

    Args:
      lowered: of a jitted function.
      names: of its flat arguments, for the list of the largest arrays.

    Returns:
      `compile_seconds` and `peak_bytes`, of a device; and either `out_of_memory` (bytes that there are, or None), or
      `bytes_moved`, `collectives` and `buffers`. A size that the compiler does not tell is None.

    Raises:
      jax.errors.JaxRuntimeError: where it does not compile for another reason than memory.

    Example:
      >>> found = measure(jax.jit(lambda x: x @ x).lower(jax.ShapeDtypeStruct((256, 256), "float32")), ["x"])
      >>> found["peak_bytes"] >= 2 * 4 * 256**2, found["buffers"][0]["bytes"]
      (True, 262144)
    """
    began = time.perf_counter()
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        needed, there = read_out_of_memory(str(error))
        return {"compile_seconds": time.perf_counter() - began, "peak_bytes": needed, "out_of_memory": there}
    seconds = time.perf_counter() - began
    module = parse_hlo(compiled.as_text())
    return {
        "compile_seconds": seconds,
        "peak_bytes": _peak(compiled.memory_analysis()),
        "bytes_moved": bytes_moved(module),
        "collectives": count_collectives(module),
        "buffers": largest_buffers(module, names),
    }


def read_out_of_memory(message: str) -> tuple[int | None, int | None]:
    """Returns the bytes that a program needs and those that there are, as a compiler's refusal says them.

    Example:
      >>> read_out_of_memory("the total memory required for HLO temporaries (2.00G) exceeds available HBM (1.50G).")
      (2147483648, 1610612736)
    """
    return _first(_NEEDED, message), _first(_THERE, message)


def _first(patterns: Sequence[str], message: str) -> int | None:
    found = next((match for pattern in patterns if (match := re.search(pattern, message))), None)
    return round(float(found[1]) * _UNITS[found[2]]) if found else None


def _peak(memory: Any) -> int | None:
    if memory is None:
        return None
    held = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    # The temporaries lie in one block, which is held throughout; on CPU the peak leaves the arguments out.
    return max(getattr(memory, "peak_memory_in_bytes", 0), held + memory.temp_size_in_bytes)
