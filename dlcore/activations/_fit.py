"""What is broadcast to the input must not change its shape."""

from typing import Any

import jax


def expect_fit(name: str, given: jax.Array, x: Any) -> jax.Array:
    """Returns `given`, whose shape must broadcast to that of `x`.

    Raises:
      ValueError: names the argument and both shapes.
    """
    there = x.shape[x.ndim - given.ndim :]
    if given.ndim > x.ndim or any(n not in (1, m) for n, m in zip(given.shape, there, strict=True)):
        raise ValueError(f"{name}: expected a shape that broadcasts to that of x {x.shape}, found {given.shape}")
    return given
