"""The identity and the step: no activation at all, and the perceptron's."""

import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp

from dlcore.checks import expect_floating


def identity(x: jax.Array) -> jax.Array:
    """Returns `x`: the activation of a linear layer, and of the output for regression.

    Example:
      >>> identity(jnp.array([-1.0, 2.0]))
      Array([-1.,  2.], dtype=float32)
    """
    return x


def step(x: jax.Array, surrogate: Literal["zero", "straight_through"] = "zero") -> jax.Array:
    """Heaviside step, 1 for `x > 0` and 0 for `x <= 0`: the perceptron's activation.

    The true derivative is zero everywhere but at 0, so that nothing beneath a step learns by gradient descent. Whoever
    wants to train through it declares a surrogate, which changes the derivative and never the value.

    Args:
      x: (...), floating; a NaN stays one.
      surrogate: the derivative: "zero", or "straight_through", where the step counts as the identity (derivative 1).

    Returns:
      (...), zeros and ones of the type of `x`.

    Raises:
      TypeError: for an input that is not floating.
      ValueError: for a surrogate of another name.

    Source: McCulloch and Pitts, 1943; Rosenblatt, 1958. Straight through: Bengio, Leonard and Courville, 2013, after
    Hinton, 2012.

    Example:
      >>> step(jnp.array([-1.0, 0.0, 2.0]))
      Array([0., 0., 1.], dtype=float32)
      >>> [float(jax.grad(step)(2.0, surrogate)) for surrogate in ("zero", "straight_through")]
      [0.0, 1.0]
    """
    if surrogate not in ("zero", "straight_through"):
        raise ValueError(f"surrogate: expected 'zero' or 'straight_through', found {surrogate!r}")
    return _step(expect_floating(x, "step", axes=0), surrogate)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _step(x: jax.Array, surrogate: str) -> jax.Array:
    return jnp.where(x > 0, 1, jnp.where(x <= 0, 0, x))


@_step.defjvp
def _step_jvp(surrogate: str, primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    return _step(*primals, surrogate), tangents[0] if surrogate == "straight_through" else jnp.zeros_like(tangents[0])
