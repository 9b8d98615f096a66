"""Piecewise linear stand-ins, cheap where there is no exponential."""

from typing import Any

import jax

from dlcore.checks import expect_floating


def relu6(x: Any) -> jax.Array:
    """ReLU with a ceiling, `min(max(x, 0), 6)`.

    Source: Krizhevsky, 2010.

    Example:
      >>> import jax.numpy as jnp
      >>> relu6(jnp.array([-1.0, 7.0]))
      Array([0., 6.], dtype=float32)
    """
    return jax.nn.relu6(expect_floating(x, "relu6", 0))


def hard_sigmoid(x: Any) -> jax.Array:
    """Piecewise linear sigmoid, `relu6(x + 3) / 6`, as in JAX and PyTorch. (Old Keras had `0.2 x + 0.5`.)

    Source: Howard et al., MobileNetV3, 2019.

    Example:
      >>> import jax.numpy as jnp
      >>> hard_sigmoid(jnp.array([-3.0, 0.0, 3.0]))
      Array([0. , 0.5, 1. ], dtype=float32)
    """
    return jax.nn.hard_sigmoid(expect_floating(x, "hard_sigmoid", 0))


def hard_swish(x: Any) -> jax.Array:
    """Piecewise Swish, `x * relu6(x + 3) / 6`.

    Source: Howard et al., MobileNetV3, 2019.

    Example:
      >>> import jax.numpy as jnp
      >>> hard_swish(jnp.array([-4.0, 0.0, 3.0]))
      Array([-0.,  0.,  3.], dtype=float32)
    """
    return jax.nn.hard_swish(expect_floating(x, "hard_swish", 0))


def hard_tanh(x: Any) -> jax.Array:
    """Piecewise linear tanh, `min(max(x, -1), 1)`.

    Source: Collobert, 2004.

    Example:
      >>> import jax.numpy as jnp
      >>> hard_tanh(jnp.array([-4.0, 0.5]))
      Array([-1. ,  0.5], dtype=float32)
    """
    return jax.nn.hard_tanh(expect_floating(x, "hard_tanh", 0))
