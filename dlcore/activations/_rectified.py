"""ReLU and its kin: the identity above zero."""

from typing import Any

import jax
import jax.numpy as jnp

from dlcore.checks import expect_floating


def relu(x: Any) -> jax.Array:
    """Rectified linear unit, `max(x, 0)`; the derivative at 0 is 0.

    Source: Nair and Hinton, 2010.

    Example:
      >>> relu(jnp.array([-1.0, 2.0]))
      Array([0., 2.], dtype=float32)
    """
    return jax.nn.relu(expect_floating(x, "relu", 0))


def leaky_relu(x: Any, negative_slope: float = 0.01) -> jax.Array:
    """Leaky ReLU, `x` for `x >= 0` and `negative_slope * x` below.

    Source: Maas, Hannun and Ng, 2013.

    Example:
      >>> leaky_relu(jnp.array([-1.0, 2.0]), 0.1)
      Array([-0.1,  2. ], dtype=float32)
    """
    return jax.nn.leaky_relu(expect_floating(x, "leaky_relu", 0), negative_slope)


def prelu(x: Any, slope: Any) -> jax.Array:
    """Parametric ReLU, `x` for `x >= 0` and `slope * x` below, with a slope that is learned.

    Args:
      x: (..., channels).
      slope: a number, or one a channel.

    Source: He, Zhang, Ren and Sun, 2015.

    Example:
      >>> prelu(jnp.array([-1.0, -1.0]), jnp.array([0.25, 0.5]))
      Array([-0.25, -0.5 ], dtype=float32)
    """
    x = expect_floating(x, "prelu", 0)
    return jnp.where(x >= 0, x, jnp.asarray(slope, x.dtype) * x)


def elu(x: Any, alpha: float = 1.0) -> jax.Array:
    """Exponential linear unit, `x` for `x > 0` and `alpha * (exp(x) - 1)` below.

    Source: Clevert, Unterthiner and Hochreiter, 2015.

    Example:
      >>> elu(jnp.array([0.0, 2.0]))
      Array([0., 2.], dtype=float32)
    """
    return jax.nn.elu(expect_floating(x, "elu", 0), alpha)


def selu(x: Any) -> jax.Array:
    """Scaled ELU, `1.0507 * elu(x, 1.6733)`: with LeCun's initializer a deep dense net keeps mean 0 and variance 1.

    Source: Klambauer, Unterthiner, Mayr and Hochreiter, 2017.

    Example:
      >>> selu(jnp.array([0.0, 1.0])).round(4)
      Array([0.    , 1.0507], dtype=float32)
    """
    return jax.nn.selu(expect_floating(x, "selu", 0))


def celu(x: Any, alpha: float = 1.0) -> jax.Array:
    """Continuously differentiable ELU, `x` for `x > 0` and `alpha * (exp(x / alpha) - 1)` below.

    Source: Barron, 2017.

    Example:
      >>> celu(jnp.array([0.0, 2.0]), 0.5)
      Array([0., 2.], dtype=float32)
    """
    return jax.nn.celu(expect_floating(x, "celu", 0), alpha)
