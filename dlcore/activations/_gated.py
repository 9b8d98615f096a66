"""Gated linear units as a split of one projection: half of the features are gated by the other half.

The first half are the values, the second the gates, as in `jax.nn.glu` and in PyTorch. `layers.gated_dense` is the same
as two projections.
"""

import jax
import jax.numpy as jnp

from dlcore.activations._rectified import relu
from dlcore.activations._sigmoid import sigmoid
from dlcore.activations._smooth import gelu, silu
from dlcore.checks import expect_floating


def glu(x: jax.Array) -> jax.Array:
    """Gated linear unit, `a * sigmoid(b)`.

    Args:
      x: (..., 2 * features), `a` and `b` one after the other.

    Returns:
      (..., features).

    Raises:
      TypeError: for an input that is not floating.
      ValueError: for a last axis of odd length.

    Source: Dauphin, Fan, Auli and Grangier, 2017.

    Example:
      >>> glu(jnp.array([3.0, 5.0, 0.0, 100.0]))
      Array([1.5, 5. ], dtype=float32)
    """
    values, gates = _halves(x, "glu")
    return values * sigmoid(gates)


def reglu(x: jax.Array) -> jax.Array:
    """ReLU-gated linear unit, `a * relu(b)`, on halves as in `glu`.

    Source: Shazeer, 2020.

    Example:
      >>> reglu(jnp.array([3.0, 5.0, 2.0, -1.0]))
      Array([6., 0.], dtype=float32)
    """
    values, gates = _halves(x, "reglu")
    return values * relu(gates)


def geglu(x: jax.Array, approximate: bool = False) -> jax.Array:
    """GELU-gated linear unit, `a * gelu(b)`, on halves as in `glu`; exact by default.

    Source: Shazeer, 2020.

    Example:
      >>> geglu(jnp.array([3.0, 1.0])).round(4)
      Array([2.524], dtype=float32)
    """
    values, gates = _halves(x, "geglu")
    return values * gelu(gates, approximate)


def swiglu(x: jax.Array) -> jax.Array:
    """SiLU-gated linear unit, `a * silu(b)`, on halves as in `glu`: the one of LLaMA and PaLM.

    Source: Shazeer, 2020.

    Example:
      >>> swiglu(jnp.array([3.0, 1.0])).round(4)
      Array([2.1932], dtype=float32)
    """
    values, gates = _halves(x, "swiglu")
    return values * silu(gates)


def _halves(x: jax.Array, name: str) -> tuple[jax.Array, jax.Array]:
    x = expect_floating(x, name)
    if x.shape[-1] % 2:
        raise ValueError(f"{name}: expected x (..., 2 * features), values and gates, found {x.shape}: an odd last axis")
    values, gates = jnp.split(x, 2, axis=-1)
    return values, gates
