"""Smooth relatives of ReLU."""

from typing import Any

import jax
import jax.numpy as jnp

from dlcore.checks import expect_floating


def gelu(x: Any, approximate: bool = False) -> jax.Array:
    """Gaussian error linear unit, `x * Phi(x)` with the Gaussian CDF `Phi`.

    The default is exact, as published and as in PyTorch; `approximate=True` is the tanh form, JAX's and GPT-2's.

    Source: Hendrycks and Gimpel, 2016.

    Example:
      >>> gelu(jnp.array([0.0, 1.0])).round(4)
      Array([0.    , 0.8413], dtype=float32)
    """
    return jax.nn.gelu(expect_floating(x, "gelu", 0), approximate=approximate)


def silu(x: Any) -> jax.Array:
    """Sigmoid linear unit, also Swish: `x * sigmoid(x)`.

    Source: Elfwing, Uchibe and Doya, 2017; Ramachandran, Zoph and Le, 2017.

    Example:
      >>> silu(jnp.array([0.0, 1.0])).round(4)
      Array([0.    , 0.7311], dtype=float32)
    """
    return jax.nn.silu(expect_floating(x, "silu", 0))


def swish(x: Any, beta: Any = 1.0) -> jax.Array:
    """Swish, `x * sigmoid(beta * x)`: SiLU at beta 1, towards ReLU for a large one, `x / 2` at 0.

    Source: Ramachandran, Zoph and Le, 2017.

    Example:
      >>> swish(jnp.array([1.0]), 0.0)
      Array([0.5], dtype=float32)
    """
    x = expect_floating(x, "swish", 0)
    return x * jax.nn.sigmoid(jnp.asarray(beta, x.dtype) * x)


def mish(x: Any) -> jax.Array:
    """Mish, `x * tanh(softplus(x))`.

    Source: Misra, 2019.

    Example:
      >>> mish(jnp.array([0.0, 1.0])).round(4)
      Array([0.    , 0.8651], dtype=float32)
    """
    return jax.nn.mish(expect_floating(x, "mish", 0))


def softplus(x: Any) -> jax.Array:
    """Smooth ReLU, `log(1 + exp(x))`, without overflow; its derivative is the sigmoid.

    Source: Dugas, Bengio, Belisle, Nadeau and Garcia, 2000.

    Example:
      >>> softplus(jnp.array([0.0, 100.0])).round(4)
      Array([  0.6931, 100.    ], dtype=float32)
    """
    return jax.nn.softplus(expect_floating(x, "softplus", 0))
