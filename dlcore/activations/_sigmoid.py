"""Curves that saturate on both sides."""

from typing import Any

import jax
import jax.numpy as jnp

from dlcore.checks import expect_floating


def sigmoid(x: jax.Array) -> jax.Array:
    """Logistic sigmoid, `1 / (1 + exp(-x))`; its derivative, `sigmoid(x) * (1 - sigmoid(x))`, is at most 1/4.

    Example:
      >>> sigmoid(jnp.array([0.0]))
      Array([0.5], dtype=float32)
    """
    return jax.nn.sigmoid(expect_floating(x, "sigmoid", axes=0))


def log_sigmoid(x: jax.Array) -> jax.Array:
    """Logarithm of the sigmoid, `-log(1 + exp(-x))`, finite where the sigmoid itself underflows to 0.

    Example:
      >>> log_sigmoid(jnp.array([-1000.0, 0.0])).round(4)
      Array([-1.000e+03, -6.931e-01], dtype=float32)
    """
    return jax.nn.log_sigmoid(expect_floating(x, "log_sigmoid", axes=0))


def tanh(x: jax.Array) -> jax.Array:
    """Hyperbolic tangent, `2 * sigmoid(2x) - 1`; its derivative, `1 - tanh(x)^2`, is at most 1.

    Example:
      >>> tanh(jnp.array([0.0]))
      Array([0.], dtype=float32)
    """
    return jnp.tanh(expect_floating(x, "tanh", axes=0))


def softsign(x: jax.Array) -> jax.Array:
    """Softsign, `x / (1 + |x|)`: saturates like `1 / |x|`, more slowly than tanh; its derivative is `1 / (1 + |x|)^2`.

    Source: Turian, Bergstra and Bengio, 2009; Glorot and Bengio, 2010.

    Example:
      >>> softsign(jnp.array([-1.0, 0.0, 3.0]))
      Array([-0.5 ,  0.  ,  0.75], dtype=float32)
    """
    return _softsign(expect_floating(x, "softsign", axes=0))


@jax.custom_jvp
def _softsign(x: jax.Array) -> jax.Array:
    return x / (1 + jnp.abs(x))


@_softsign.defjvp
def _softsign_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    # The quotient rule would subtract two nearly equal terms, and square a large number: 1e-4 for 1e-8 in float16.
    rate = 1 / (1 + jnp.abs(primals[0]))
    return _softsign(*primals), tangents[0] * rate * rate
