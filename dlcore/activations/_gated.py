"""Gates and maxima over parts of the last axis: a projection makes twice, or k times, as many features as come out.

`dlcore.layers.gated_dense` and `dlcore.layers.maxout` have the projections within.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from dlcore.checks import expect_floating, expect_positive


def glu(x: Any) -> jax.Array:
    """Gated linear unit, `a * sigmoid(b)` of the two halves a, b of the last axis.

    Source: Dauphin, Fan, Auli and Grangier, 2017.

    Example:
      >>> glu(jnp.array([2.0, 4.0, 0.0, 0.0]))
      Array([1., 2.], dtype=float32)
    """
    return _gated(x, jax.nn.sigmoid, "glu")


def reglu(x: Any) -> jax.Array:
    """GLU with ReLU for the gate, `a * relu(b)`.

    Source: Shazeer, GLU Variants Improve Transformer, 2020.

    Example:
      >>> reglu(jnp.array([2.0, 4.0, -1.0, 0.5]))
      Array([0., 2.], dtype=float32)
    """
    return _gated(x, jax.nn.relu, "reglu")


def geglu(x: Any) -> jax.Array:
    """GLU with the exact GELU for the gate, `a * gelu(b)`.

    Source: Shazeer, 2020.

    Example:
      >>> geglu(jnp.array([2.0, 0.0]))
      Array([0.], dtype=float32)
    """
    return _gated(x, lambda b: jax.nn.gelu(b, approximate=False), "geglu")


def swiglu(x: Any) -> jax.Array:
    """GLU with SiLU for the gate, `a * silu(b)`.

    Source: Shazeer, 2020.

    Example:
      >>> swiglu(jnp.array([2.0, 0.0]))
      Array([0.], dtype=float32)
    """
    return _gated(x, jax.nn.silu, "swiglu")


def maxout(x: Any, pieces: int = 2) -> jax.Array:
    """Maxout, the largest of each `pieces` neighbours on the last axis: a convex, piecewise linear unit.

    Args:
      x: (..., features * pieces).
      pieces: how many numbers one comes from.

    Returns:
      (..., features).

    Raises:
      ValueError: where pieces do not divide the last axis.

    Source: Goodfellow, Warde-Farley, Mirza, Courville and Bengio, 2013.

    Example:
      >>> maxout(jnp.array([1.0, 5.0, -2.0, -3.0]))
      Array([ 5., -2.], dtype=float32)
    """
    expect_positive(pieces=pieces)
    x = expect_floating(x, "maxout")
    if x.shape[-1] % pieces:
        raise ValueError(f"maxout: expected a last axis that {pieces} pieces divide, found x {x.shape}")
    return x.reshape(*x.shape[:-1], -1, pieces).max(-1)


def _gated(x: Any, gate: Callable[[jax.Array], jax.Array], name: str) -> jax.Array:
    x = expect_floating(x, name)
    if x.shape[-1] % 2:
        raise ValueError(f"{name}: expected an even last axis, values and gates, found x {x.shape}")
    values, gates = jnp.split(x, 2, axis=-1)
    return values * gate(gates)
