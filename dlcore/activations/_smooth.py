"""Smooth kin of the rectifier."""

import math

import jax
import jax.numpy as jnp

from dlcore.checks import expect_floating


def gelu(x: jax.Array, approximate: bool = False) -> jax.Array:
    """Gaussian error linear unit, `x * Phi(x)` with the Gaussian CDF `Phi(x) = (1 + erf(x / sqrt 2)) / 2`.

    Args:
      x: (...), floating.
      approximate: False is exact, as published and as in PyTorch and Keras. True is the form by tanh, JAX's default
        and GPT-2's, `x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2`; they differ by at most 5e-4.

    Source: Hendrycks and Gimpel, 2016.

    Example:
      >>> gelu(jnp.array([0.0, 1.0])).round(4)
      Array([0.    , 0.8413], dtype=float32)
    """
    x = expect_floating(x, "gelu", axes=0)
    if not approximate:
        return jax.nn.gelu(x, approximate=False)
    # Beyond 10 the tanh is 1 in every floating type; but the cube overflows at 41 in float16, and its gradient is then
    # 0 * inf.
    near = jnp.clip(x, -10, 10)
    return x * (0.5 * (1 + jnp.tanh(math.sqrt(2 / math.pi) * (near + 0.044715 * (near**3)))))


def silu(x: jax.Array) -> jax.Array:
    """Sigmoid linear unit, also Swish: `x * sigmoid(x)`.

    Source: Elfwing, Uchibe and Doya, 2017; Ramachandran, Zoph and Le, 2017.

    Example:
      >>> silu(jnp.array([0.0, 1.0])).round(4)
      Array([0.    , 0.7311], dtype=float32)
    """
    return jax.nn.silu(expect_floating(x, "silu", axes=0))


swish = silu


def mish(x: jax.Array) -> jax.Array:
    """Mish, `x * tanh(softplus(x))`.

    Source: Misra, 2019.

    Example:
      >>> mish(jnp.array([0.0, 1.0])).round(4)
      Array([0.    , 0.8651], dtype=float32)
    """
    return jax.nn.mish(expect_floating(x, "mish", axes=0))


def softplus(x: jax.Array) -> jax.Array:
    """Smooth ReLU, `log(1 + exp(x))`, without overflow; its derivative is the sigmoid.

    Source: Dugas, Bengio, Belisle, Nadeau and Garcia, 2000.

    Example:
      >>> softplus(jnp.array([0.0, 100.0])).round(4)
      Array([  0.6931, 100.    ], dtype=float32)
    """
    return jax.nn.softplus(expect_floating(x, "softplus", axes=0))
