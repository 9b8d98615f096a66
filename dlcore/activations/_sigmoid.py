"""Curves from one bound to another."""

from typing import Any

import jax
import jax.numpy as jnp

from dlcore.checks import expect_floating


def sigmoid(x: Any) -> jax.Array:
    """Logistic sigmoid, `1 / (1 + exp(-x))`; its derivative `sigmoid * (1 - sigmoid)` is at most 1/4.

    Example:
      >>> sigmoid(jnp.array([0.0]))
      Array([0.5], dtype=float32)
    """
    return jax.nn.sigmoid(expect_floating(x, "sigmoid", 0))


def log_sigmoid(x: Any) -> jax.Array:
    """Logarithm of the sigmoid, `-softplus(-x)`, without overflow.

    Example:
      >>> log_sigmoid(jnp.array([0.0, -100.0])).round(4)
      Array([  -0.6931, -100.    ], dtype=float32)
    """
    return jax.nn.log_sigmoid(expect_floating(x, "log_sigmoid", 0))


def tanh(x: Any) -> jax.Array:
    """Hyperbolic tangent, `2 * sigmoid(2x) - 1`; its derivative `1 - tanh^2` is at most 1.

    Example:
      >>> tanh(jnp.array([0.0]))
      Array([0.], dtype=float32)
    """
    return jnp.tanh(expect_floating(x, "tanh", 0))


def softsign(x: Any) -> jax.Array:
    """Softsign, `x / (1 + |x|)`: as tanh, but slow to saturate.

    Source: Turian, Bergstra and Bengio, 2009.

    Example:
      >>> softsign(jnp.array([-1.0, 3.0]))
      Array([-0.5 ,  0.75], dtype=float32)
    """
    return jax.nn.soft_sign(expect_floating(x, "softsign", 0))
