"""Softmax and its logarithm, safe for numbers of any size and for masks that leave nothing."""

from typing import Any

import jax
import jax.numpy as jnp

from dlcore.checks import expect_floating


def softmax(x: Any, axis: int | tuple[int, ...] = -1, where: Any = None) -> jax.Array:
    """Softmax, `exp(x_i) / sum_j exp(x_j)`, without overflow.

    Args:
      x: floating array with one or more axes.
      axis: along which it adds up to 1.
      where: booleans that broadcast to x: what is false gets 0. Where nothing is left there are zeros, and no NaN in
        the gradient.

    Example:
      >>> softmax(jnp.array([0.0, 0.0])), softmax(jnp.array([0.0, 5.0]), where=jnp.array([True, False]))
      (Array([0.5, 0.5], dtype=float32), Array([1., 0.], dtype=float32))
    """
    x = expect_floating(x, "softmax")
    if where is None:
        return jax.nn.softmax(x, axis=axis)
    x, some, where = _kept(x, axis, where)
    return jnp.where(some & where, jax.nn.softmax(jnp.where(where, x, -jnp.inf), axis=axis), 0)


def log_softmax(x: Any, axis: int | tuple[int, ...] = -1, where: Any = None) -> jax.Array:
    """Logarithm of the softmax, `x_i - log sum_j exp(x_j)`, without overflow.

    Args:
      x: floating array with one or more axes.
      axis: along which its exponentials add up to 1.
      where: booleans that broadcast to x: what is false gets `-inf`, with no gradient.

    Example:
      >>> log_softmax(jnp.array([0.0, 0.0])).round(4)
      Array([-0.6931, -0.6931], dtype=float32)
    """
    x = expect_floating(x, "log_softmax")
    if where is None:
        return jax.nn.log_softmax(x, axis=axis)
    x, some, where = _kept(x, axis, where)
    return jnp.where(some & where, jax.nn.log_softmax(jnp.where(where, x, -jnp.inf), axis=axis), -jnp.inf)


def _kept(x: jax.Array, axis: Any, where: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns x and the mask such that something is left everywhere, and where that is so by itself."""
    where = jnp.broadcast_to(jnp.asarray(where, bool), x.shape)
    some = where.any(axis, keepdims=True)
    # What is masked may be NaN or infinite: it must not reach a gradient, not even times zero.
    return jnp.where(where, x, 0), some, where | ~some
