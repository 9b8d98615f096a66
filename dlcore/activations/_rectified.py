"""Piecewise linear activations: the rectifier, its leaky kin, and the maximum of several pieces."""

from typing import Any

import jax
import jax.numpy as jnp

from dlcore.activations._fit import expect_fit
from dlcore.checks import expect_floating, expect_positive


def relu(x: jax.Array) -> jax.Array:
    """Rectified linear unit, `max(x, 0)`; the derivative at 0 is 0.

    Source: Nair and Hinton, 2010.

    Example:
      >>> relu(jnp.array([-1.0, 2.0]))
      Array([0., 2.], dtype=float32)
    """
    return jax.nn.relu(expect_floating(x, "relu", axes=0))


def leaky_relu(x: jax.Array, negative_slope: Any = 0.01) -> jax.Array:
    """Leaky ReLU, `x` for `x >= 0` and `negative_slope * x` below.

    Args:
      x: (...), floating.
      negative_slope: a number: .01 as in JAX and PyTorch (Keras has .3, or .2).

    Source: Maas, Hannun and Ng, 2013.

    Example:
      >>> leaky_relu(jnp.array([-1.0, 2.0]), 0.1)
      Array([-0.1,  2. ], dtype=float32)
    """
    x = expect_floating(x, "leaky_relu", axes=0)
    return jax.nn.leaky_relu(x, jnp.asarray(negative_slope, x.dtype))


def prelu(x: jax.Array, slope: Any) -> jax.Array:
    """Parametric ReLU, `x` for `x >= 0` and `slope * x` below: a leaky ReLU whose slope is learnt.

    Args:
      x: (..., channels), floating.
      slope: (channels,), or any shape that broadcasts to that of `x`.

    Returns:
      Of the shape and type of `x`.

    Raises:
      TypeError: for an input that is not floating.
      ValueError: for a slope that would change the shape of `x`, or does not fit it.

    Source: He, Zhang, Ren and Sun, 2015.

    Example:
      >>> prelu(jnp.array([[-1.0, -1.0], [2.0, 2.0]]), jnp.array([0.25, 0.5])).tolist()
      [[-0.25, -0.5], [2.0, 2.0]]
    """
    x = expect_floating(x, "prelu", axes=0)
    slope = expect_fit("slope", jnp.asarray(slope, x.dtype), x)
    # The inner `where` keeps the slope's gradient finite: a product that is not taken would be 0 * inf at infinite x.
    return jnp.where(x >= 0, x, slope * jnp.where(x >= 0, 0, x))


def maxout(x: jax.Array, pieces: int) -> jax.Array:
    """Maxout, `y_f = max_p x_fp`: each unit is the largest of `pieces` linear ones, so the net learns its activation.

    ReLU and the absolute value are maxouts of two pieces. At a tie the gradient is shared equally.

    Args:
      x: (..., features * pieces), the pieces of a feature side by side.
      pieces: how many there are.

    Returns:
      (..., features).

    Raises:
      TypeError: for an input that is not floating.
      ValueError: for a last axis that is not a multiple of `pieces`.

    Source: Goodfellow, Warde-Farley, Mirza, Courville and Bengio, 2013.

    Example:
      >>> maxout(jnp.array([1.0, 5.0, -2.0, -3.0]), 2)
      Array([ 5., -2.], dtype=float32)
    """
    expect_positive(pieces=pieces)
    x = expect_floating(x, "maxout")
    if x.shape[-1] % pieces:
        raise ValueError(f"maxout: expected x (..., features * {pieces}), found {x.shape}: {pieces} does not divide it")
    return x.reshape(*x.shape[:-1], x.shape[-1] // pieces, pieces).max(axis=-1)
