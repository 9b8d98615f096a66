"""Rectifiers with an exponential tail: negative means without a kink."""

from typing import Any

import jax
import jax.numpy as jnp

from dlcore.checks import expect_floating


def elu(x: jax.Array, alpha: Any = 1.0) -> jax.Array:
    """Exponential linear unit, `x` for `x > 0` and `alpha * (exp(x) - 1)` below.

    Source: Clevert, Unterthiner and Hochreiter, 2015.

    Example:
      >>> elu(jnp.array([0.0, 2.0]))
      Array([0., 2.], dtype=float32)
    """
    x = expect_floating(x, "elu", axes=0)
    return jax.nn.elu(x, jnp.asarray(alpha, x.dtype))


def selu(x: jax.Array) -> jax.Array:
    """Scaled ELU, `1.0507 * elu(x, alpha=1.6733)`: keeps mean 0 and variance 1 from layer to layer.

    It does so only with weights from `initializers.lecun_normal`, inputs standardised, and alpha dropout in place of
    dropout.

    Source: Klambauer, Unterthiner, Mayr and Hochreiter, 2017.

    Example:
      >>> selu(jnp.array([-1.0, 1.0])).round(4)
      Array([-1.1113,  1.0507], dtype=float32)
    """
    return jax.nn.selu(expect_floating(x, "selu", axes=0))


def celu(x: jax.Array, alpha: Any = 1.0) -> jax.Array:
    """Continuously differentiable ELU, `max(x, 0) + alpha * (exp(min(x, 0) / alpha) - 1)`.

    Its slope at 0 is 1 for every `alpha`, where that of ELU jumps from `alpha` to 1.

    Args:
      x: (...), floating.
      alpha: the depth of the tail, positive.

    Raises:
      TypeError: for an input that is not floating.
      ValueError: for an `alpha` that is not positive.

    Source: Barron, 2017.

    Example:
      >>> celu(jnp.array([-1.0, 2.0]), 2.0).round(4)
      Array([-0.7869,  2.    ], dtype=float32)
    """
    if isinstance(alpha, int | float) and not alpha > 0:
        raise ValueError(f"alpha: expected a positive number, the depth of the tail, found {alpha}")
    x = expect_floating(x, "celu", axes=0)
    return jax.nn.celu(x, jnp.asarray(alpha, x.dtype))
