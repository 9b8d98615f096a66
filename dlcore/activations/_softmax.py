"""The softmax and its logarithm, in float32 or wider inside, with masks."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.activations._fit import expect_fit
from dlcore.checks import expect_floating


def softmax(x: jax.Array, axis: int | tuple[int, ...] | None = -1, where: Any = None) -> jax.Array:
    """Softmax, `exp(x_i) / sum_j exp(x_j)`, without overflow.

    Args:
      x: (..., classes), floating.
      axis: the axis, or axes, that sum to 1; None means all.
      where: booleans that broadcast to the shape of `x`, False for what is left out: it gets 0, and so does all of a
        row that is left out whole. What is in `x` there, NaN and infinities too, has no influence on the gradients.

    Returns:
      Of the shape and type of `x`. In half precision it is computed in float32, where a sum over many classes neither
      overflows nor stalls.

    Raises:
      TypeError: for an input that is not floating, or a mask that is not boolean.
      ValueError: for a mask that does not fit the shape of `x`.

    Source: Bridle, 1990.

    Example:
      >>> softmax(jnp.array([0.0, 0.0]))
      Array([0.5, 0.5], dtype=float32)
      >>> softmax(jnp.zeros((2, 2)), where=jnp.array([[True, False], [False, False]])).tolist()
      [[1.0, 0.0], [0.0, 0.0]]
    """
    x = expect_floating(x, "softmax")
    if where is None:
        return jax.nn.softmax(_wide(x), axis=axis).astype(x.dtype)
    _, exponentials, total = _masked(_wide(x), axis, _mask(where, x))
    return (exponentials / total).astype(x.dtype)


def log_softmax(x: jax.Array, axis: int | tuple[int, ...] | None = -1, where: Any = None) -> jax.Array:
    """Logarithm of the softmax, `x_i - log(sum_j exp(x_j))`, without overflow.

    Args:
      x: (..., classes), floating.
      axis: the axis, or axes, over which the softmax sums to 1; None means all.
      where: booleans that broadcast to the shape of `x`, False for what is left out: it gets -inf, the logarithm of 0,
        as in JAX. A row that is left out whole has no distribution: it gets zeros, which leave sums over rows finite.
        What is in `x` there has no influence on the gradients.

    Returns:
      Of the shape and type of `x`; in half precision it is computed in float32.

    Raises:
      TypeError: for an input that is not floating, or a mask that is not boolean.
      ValueError: for a mask that does not fit the shape of `x`.

    Example:
      >>> log_softmax(jnp.array([0.0, 0.0])).round(4)
      Array([-0.6931, -0.6931], dtype=float32)
      >>> log_softmax(jnp.zeros((2, 2)), where=jnp.array([[True, False], [False, False]])).tolist()
      [[0.0, -inf], [0.0, 0.0]]
    """
    x = expect_floating(x, "log_softmax")
    if where is None:
        return jax.nn.log_softmax(_wide(x), axis=axis).astype(x.dtype)
    where = _mask(where, x)
    shifted, _, total = _masked(_wide(x), axis, where)
    values = jnp.where(where, shifted - jnp.log(total), -jnp.inf)
    return jnp.where(where.any(axis, keepdims=True), values, 0).astype(x.dtype)


def _wide(x: jax.Array) -> jax.Array:
    return x.astype(np.promote_types(x.dtype, np.float32))


def _mask(where: Any, x: jax.Array) -> jax.Array:
    where = jnp.asarray(where)
    if where.dtype != bool:
        raise TypeError(f"where: expected booleans, False for what is left out, found {where.dtype}: where != 0")
    return jnp.broadcast_to(expect_fit("where", where, x), x.shape)


def _masked(x: jax.Array, axis: Any, where: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns the values less their maximum, their exponentials, 0 where masked, and the sums of these, or 1."""
    x = jnp.where(where, x, 0)
    top = jnp.max(x, axis, keepdims=True, where=where, initial=-jnp.inf)
    top = jax.lax.stop_gradient(jnp.where(top == -jnp.inf, 0, top))  # a row without an entry has no maximum
    shifted = jnp.where(where, x - top, 0)
    exponentials = jnp.where(where, jnp.exp(shifted), 0)
    total = exponentials.sum(axis, keepdims=True)
    return shifted, exponentials, jnp.where(total == 0, 1, total)
