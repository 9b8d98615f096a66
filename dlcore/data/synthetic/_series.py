"""A chaotic series whose next value is known by rule and not predictable for long."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from dlcore.data.synthetic._arguments import as_key, whole

_PRIME = np.uint32(2**31 - 19)  # 2 is a primitive root of it, which makes every orbit (p - 1) / 2 steps long


def tent_map(key: Any, n: int, length: int = 100) -> dict[str, Array]:
    r"""Chaotic series $s_{t+1} = 2 \min(s_t, 1 - s_t)$ of the tent map, and each shifted by one step.

    In binary floating point this very map dies: doubling moves the bits of $s$ one place on and 0 moves in behind, so
    in float32 every series is exactly 0 after some two dozen steps (in float64 after some 55). Here $s_t = k_t / p$
    with $k_t$ a whole number and $p = 2^{31} - 19$ a prime, and $k_{t+1} = 2 \min(k_t, p - k_t)$ is computed in whole
    numbers, without any rounding; because 2 is a primitive root of $p$, no series repeats itself before
    $(p - 1) / 2$, about a thousand million, steps. Only the values that are returned are rounded to float32.

    Args:
        key: an int or a JAX key; it draws where the series begin, uniformly.
        n: how many series; static.
        length: steps of each; static.

    Returns:
        `{"x": (n, length, 1) float32, "y": (n, length, 1) float32}` in (0, 1), `y` one step ahead of `x`.

    Raises:
        TypeError: a size is not an int.
        ValueError: a size is below 1.

    Source: Alligood, Sauer and Yorke, Chaos (1996), section 1; for the collapse, Li, Chen and Mou, On the Dynamical
    Degradation of Digital Piecewise Linear Chaotic Maps (2005).

    Example:
        >>> batch = tent_map(0, 2, length=1000)
        >>> bool(jnp.allclose(batch["y"], 2 * jnp.minimum(batch["x"], 1 - batch["x"]), atol=1e-6))
        True
    """
    n, length = whole("tent_map n", n), whole("tent_map length", length)
    start = jax.random.randint(as_key("tent_map", key), (n,), 1, int(_PRIME)).astype(jnp.uint32)

    def step(k: Array, _: None) -> tuple[Array, Array]:
        return np.uint32(2) * jnp.minimum(k, _PRIME - k), k  # at most p, which is below 2^31: nothing overflows

    _, whole_numbers = lax.scan(step, start, None, length=length + 1)  # (length + 1, n)
    series = _fraction(whole_numbers.T)[..., None]  # (n, length + 1, 1)
    return {"x": series[:, :-1], "y": series[:, 1:]}


def _fraction(k: Array) -> Array:
    # The cast rounds to 24 bits, so that a value within 2^-25 of 1 would come out as 1.
    return jnp.minimum(k.astype(jnp.float32) / np.float32(_PRIME), np.float32(1 - 2**-24))
