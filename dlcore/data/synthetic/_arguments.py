"""What every synthetic set asks of its arguments: a key, sizes that are static, amounts that may be traced."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.core import Tracer


def as_key(where: str, key: Any) -> Any:
    """Returns a JAX key: the one given, or the one of a whole number."""
    if isinstance(key, bool) or isinstance(key, (float, str)) or key is None:
        raise TypeError(f"{where} key: expected an int or a JAX key, found {key!r}; pass for instance key=0")
    if isinstance(key, (int, np.integer)):
        return jax.random.key(int(key))
    return key


def whole(where: str, value: Any, *, least: int = 1) -> int:
    """Returns a size, which decides a shape and so cannot be traced."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{where}: expected an int, found {type(value).__name__}; sizes are static, also under jax.jit")
    if value < least:
        raise ValueError(f"{where}: expected at least {least}, found {value}")
    return int(value)


def within(
    where: str, value: Any, low: float, high: float = float("inf"), *, open_low: bool = False, open_high: bool = False
) -> Any:
    """Returns an amount, refused where it is concrete and outside its range; a traced one cannot be looked at."""
    if isinstance(value, Tracer):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number, np.ndarray, jax.Array)):
        raise TypeError(f"{where}: expected a number, found {type(value).__name__}")
    number = float(value)
    above = number > low if open_low else number >= low
    below = number < high if open_high or high == float("inf") else number <= high
    if not (above and below):  # written so that NaN fails too
        bounds = f"{'(' if open_low else '['}{low:g}, {high:g}{')' if open_high or high == float('inf') else ']'}"
        raise ValueError(f"{where}: expected a number in {bounds}, found {number:g}")
    return value
