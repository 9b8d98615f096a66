"""Bounded pieces of straight lines, cheap stand-ins for smooth curves. At a kink the derivative is the flat side's."""

import jax
import jax.numpy as jnp

from dlcore.checks import expect_floating


def relu6(x: jax.Array) -> jax.Array:
    """ReLU that saturates at 6, `min(max(x, 0), 6)`: bounded, for arithmetic of few bits.

    Source: Krizhevsky, 2010; Howard et al., 2017 (MobileNet).

    Example:
      >>> relu6(jnp.array([-1.0, 2.0, 8.0]))
      Array([0., 2., 6.], dtype=float32)
    """
    return _ramp(expect_floating(x, "relu6", axes=0), 0, 6)


def hard_tanh(x: jax.Array) -> jax.Array:
    """Straight stand-in for tanh, `min(max(x, -1), 1)`.

    Source: Collobert, 2004.

    Example:
      >>> hard_tanh(jnp.array([-3.0, 0.5, 3.0]))
      Array([-1. ,  0.5,  1. ], dtype=float32)
    """
    return _ramp(expect_floating(x, "hard_tanh", axes=0), -1, 1)


def hard_sigmoid(x: jax.Array) -> jax.Array:
    """Straight stand-in for the sigmoid, `min(max(x + 3, 0), 6) / 6`.

    The slope is 1/6, as in JAX, PyTorch and Keras 3; the older one, of Theano and Keras 1 and 2, is 1/5.

    Source: Courbariaux, Bengio and David, 2015; with this slope Howard et al., 2019 (MobileNetV3).

    Example:
      >>> hard_sigmoid(jnp.array([-3.0, 0.0, 3.0]))
      Array([0. , 0.5, 1. ], dtype=float32)
    """
    return _hard_sigmoid(expect_floating(x, "hard_sigmoid", axes=0))


def hard_swish(x: jax.Array) -> jax.Array:
    """Straight stand-in for SiLU, `x * hard_sigmoid(x)`.

    Source: Howard et al., 2019 (MobileNetV3).

    Example:
      >>> hard_swish(jnp.array([-3.0, 0.0, 1.5, 3.0]))
      Array([-0.   ,  0.   ,  1.125,  3.   ], dtype=float32)
    """
    x = expect_floating(x, "hard_swish", axes=0)
    return _hard_swish(x)


@jax.custom_jvp
def _hard_swish(x: jax.Array) -> jax.Array:
    return x * _hard_sigmoid(x)


@_hard_swish.defjvp
def _hard_swish_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    # The product rule would choose the branch twice, which takes 1.7 times as long on CPU.
    (x,), (x_dot,) = primals, tangents
    return _hard_swish(x), jnp.where(x <= -3, 0, jnp.where(x >= 3, 1, (2 * x + 3) / 6)) * x_dot


def _hard_sigmoid(x: jax.Array) -> jax.Array:
    return jnp.where(x <= -3, 0, jnp.where(x >= 3, 1, (x + 3) / 6))


def _ramp(x: jax.Array, low: float, high: float) -> jax.Array:
    return jnp.where(x <= low, low, jnp.where(x >= high, high, x))  # not `clip`, which halves the gradient at a kink
