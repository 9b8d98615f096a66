"""Activation functions: pure functions of arrays, by the field's names.

Each is an ordinary function, so it composes with `jax.grad` and `jax.vmap`; `dlcore.layers` has the same names as
layers. Where JAX's own is right it is JAX's computation, under one fixed default where libraries differ.
"""

import jax
import jax.numpy as jnp

__all__ = [
    "elu",
    "gelu",
    "identity",
    "leaky_relu",
    "log_softmax",
    "relu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
]


def identity(x: jax.Array) -> jax.Array:
    """Returns `x`: the activation of a linear layer."""
    return x


def relu(x: jax.Array) -> jax.Array:
    """Rectified linear unit, `max(x, 0)`; the derivative at 0 is 0.

    Source: Nair and Hinton, 2010.

    Example:
      >>> relu(jnp.array([-1.0, 2.0]))
      Array([0., 2.], dtype=float32)
    """
    return jax.nn.relu(x)


def leaky_relu(x: jax.Array, negative_slope: float = 0.01) -> jax.Array:
    """Leaky ReLU, `x` for `x >= 0` and `negative_slope * x` below.

    Source: Maas, Hannun and Ng, 2013.

    Example:
      >>> leaky_relu(jnp.array([-1.0, 2.0]), 0.1)
      Array([-0.1,  2. ], dtype=float32)
    """
    return jax.nn.leaky_relu(x, negative_slope)


def elu(x: jax.Array, alpha: float = 1.0) -> jax.Array:
    """Exponential linear unit, `x` for `x > 0` and `alpha * (exp(x) - 1)` below.

    Source: Clevert, Unterthiner and Hochreiter, 2015.

    Example:
      >>> elu(jnp.array([0.0, 2.0]))
      Array([0., 2.], dtype=float32)
    """
    return jax.nn.elu(x, alpha)


def gelu(x: jax.Array, approximate: bool = False) -> jax.Array:
    """Gaussian error linear unit, `x * Phi(x)` with the Gaussian CDF `Phi`.

    The default is exact, as published and as in PyTorch; `approximate=True` is the tanh form, JAX's and GPT-2's.

    Source: Hendrycks and Gimpel, 2016.

    Example:
      >>> gelu(jnp.array([0.0, 1.0])).round(4)
      Array([0.    , 0.8413], dtype=float32)
    """
    return jax.nn.gelu(x, approximate=approximate)


def silu(x: jax.Array) -> jax.Array:
    """Sigmoid linear unit, also Swish: `x * sigmoid(x)`.

    Source: Elfwing, Uchibe and Doya, 2017; Ramachandran, Zoph and Le, 2017.

    Example:
      >>> silu(jnp.array([0.0, 1.0])).round(4)
      Array([0.    , 0.7311], dtype=float32)
    """
    return jax.nn.silu(x)


def sigmoid(x: jax.Array) -> jax.Array:
    """Logistic sigmoid, `1 / (1 + exp(-x))`; its derivative is at most 1/4.

    Example:
      >>> sigmoid(jnp.array([0.0]))
      Array([0.5], dtype=float32)
    """
    return jax.nn.sigmoid(x)


def tanh(x: jax.Array) -> jax.Array:
    """Hyperbolic tangent, `2 * sigmoid(2x) - 1`.

    Example:
      >>> tanh(jnp.array([0.0]))
      Array([0.], dtype=float32)
    """
    return jnp.tanh(x)


def softplus(x: jax.Array) -> jax.Array:
    """Smooth ReLU, `log(1 + exp(x))`, without overflow.

    Example:
      >>> softplus(jnp.array([0.0, 100.0])).round(4)
      Array([  0.6931, 100.    ], dtype=float32)
    """
    return jax.nn.softplus(x)


def softmax(x: jax.Array) -> jax.Array:
    """Softmax over the last axis, `exp(x_i) / sum_j exp(x_j)`, without overflow.

    Example:
      >>> softmax(jnp.array([0.0, 0.0]))
      Array([0.5, 0.5], dtype=float32)
    """
    return jax.nn.softmax(x, axis=-1)


def log_softmax(x: jax.Array) -> jax.Array:
    """Logarithm of the softmax over the last axis, without overflow.

    Example:
      >>> log_softmax(jnp.array([0.0, 0.0])).round(4)
      Array([-0.6931, -0.6931], dtype=float32)
    """
    return jax.nn.log_softmax(x, axis=-1)
