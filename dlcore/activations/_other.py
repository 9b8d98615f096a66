"""The identity, the step, and one that oscillates."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from dlcore.checks import expect_floating


def identity(x: Any) -> Any:
    """Returns `x`: the activation of a linear layer."""
    return x


def step(x: Any, surrogate: str = "zero") -> jax.Array:
    """Heaviside step, 1 where `x > 0`, else 0: the perceptron's activation.

    Its derivative is 0 wherever there is one, so nothing learns through it.

    Args:
      x: floating array.
      surrogate: the derivative that is declared: "zero", or "straight_through" (1, as if it were the identity).

    Raises:
      ValueError: for another surrogate.

    Source: Rosenblatt, 1958; straight-through: Bengio, Leonard and Courville, 2013.

    Example:
      >>> step(jnp.array([-1.0, 0.0, 2.0]))
      Array([0., 0., 1.], dtype=float32)
      >>> jax.grad(step)(2.0).item(), jax.grad(lambda x: step(x, "straight_through"))(2.0).item()
      (0.0, 1.0)
    """
    if surrogate not in ("zero", "straight_through"):
        raise ValueError(f"surrogate: expected 'zero' or 'straight_through', found {surrogate!r}")
    return _step(expect_floating(x, "step", 0), surrogate)


def oscillating(x: Any) -> jax.Array:
    """Growing cosine unit, `x * cos(x)`: it rises, falls below zero and rises again.

    One unit of it can tell what no monotone unit can: with weights (1, 1) it is 0, above 0 and below 0 for the sums 0,
    1 and 2, so `oscillating(x1 + x2) > 0` is XOR. Dendrites of human neurons were seen to do so.

    Source: Gidon et al., 2020 (the dendrites); Noel, Arunkumar, Trivedi and Dutta, 2021 (the formula).

    Example:
      >>> (oscillating(jnp.array([0.0, 1.0, 2.0])) > 0).tolist()
      [False, True, False]
    """
    x = expect_floating(x, "oscillating", 0)
    return x * jnp.cos(x)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _step(x: jax.Array, surrogate: str) -> jax.Array:
    return (x > 0).astype(x.dtype)


@_step.defjvp
def _step_jvp(surrogate: str, primals: Any, tangents: Any) -> tuple[Any, Any]:
    (tangent,) = tangents
    return _step(*primals, surrogate), tangent if surrogate == "straight_through" else jnp.zeros_like(tangent)
