"""Logic gates as perceptrons, and three ways past the one that no perceptron can be: XOR.

Each takes x1 and x2, arrays of 0 and 1, and gives an array of 0 and 1.
"""

from typing import Any

import jax
import jax.numpy as jnp

from dlcore.activations import growing_cosine
from dlcore.classic._perceptron import perceptron


def and_gate(x1: Any, x2: Any) -> jax.Array:
    """AND: `x1 + x2 - 1.5 > 0`.

    Example:
      >>> and_gate(jnp.array([0, 0, 1, 1]), jnp.array([0, 1, 0, 1])).tolist()
      [0, 0, 0, 1]
    """
    return perceptron(_pair(x1, x2), jnp.array([1.0, 1.0]), -1.5)


def or_gate(x1: Any, x2: Any) -> jax.Array:
    """OR: `x1 + x2 - 0.5 > 0`.

    Example:
      >>> or_gate(jnp.array([0, 0, 1, 1]), jnp.array([0, 1, 0, 1])).tolist()
      [0, 1, 1, 1]
    """
    return perceptron(_pair(x1, x2), jnp.array([1.0, 1.0]), -0.5)


def nand_gate(x1: Any, x2: Any) -> jax.Array:
    """NAND: `-x1 - x2 + 1.5 > 0`.

    Example:
      >>> nand_gate(jnp.array([0, 0, 1, 1]), jnp.array([0, 1, 0, 1])).tolist()
      [1, 1, 1, 0]
    """
    return perceptron(_pair(x1, x2), jnp.array([-1.0, -1.0]), 1.5)


def xor_by_layers(x1: Any, x2: Any) -> jax.Array:
    """XOR by two layers: `AND(OR(x1, x2), NAND(x1, x2))`. No single perceptron can.

    Source: Minsky and Papert, Perceptrons, 1969.

    Example:
      >>> xor_by_layers(jnp.array([0, 0, 1, 1]), jnp.array([0, 1, 0, 1])).tolist()
      [0, 1, 1, 0]
    """
    return and_gate(or_gate(x1, x2), nand_gate(x1, x2))


def xor_by_crossing(x1: Any, x2: Any) -> jax.Array:
    """XOR by one perceptron with the crossed feature as a third input: `x1 + x2 - 2 x1 x2 - 0.5 > 0`.

    Example:
      >>> xor_by_crossing(jnp.array([0, 0, 1, 1]), jnp.array([0, 1, 0, 1])).tolist()
      [0, 1, 1, 0]
    """
    pair = _pair(x1, x2)
    return perceptron(crossed(pair), jnp.array([1.0, 1.0, -2.0]), -0.5)


def xor_by_oscillation(x1: Any, x2: Any) -> jax.Array:
    """XOR by a single unit whose activation rises and falls again: `growing_cosine(x1 + x2) > 0`.

    Source: Gidon et al., Dendritic Action Potentials and Computation in Human Layer 2/3 Cortical Neurons, 2020.

    Example:
      >>> xor_by_oscillation(jnp.array([0, 0, 1, 1]), jnp.array([0, 1, 0, 1])).tolist()
      [0, 1, 1, 0]
    """
    return (growing_cosine(_pair(x1, x2) @ jnp.array([1.0, 1.0])) > 0).astype(jnp.int32)


def crossed(x: Any) -> jax.Array:
    """Appends the products of all pairs of features: linear models of these are quadratic.

    Args:
      x: (..., features).

    Returns:
      (..., features + features * (features - 1) / 2).

    Example:
      >>> crossed(jnp.array([2.0, 3.0, 5.0])).tolist()
      [2.0, 3.0, 5.0, 6.0, 10.0, 15.0]
    """
    x = jnp.asarray(x)
    first, second = jnp.triu_indices(x.shape[-1], 1)
    return jnp.concatenate([x, x[..., first] * x[..., second]], axis=-1)


def _pair(x1: Any, x2: Any) -> jax.Array:
    return jnp.stack([jnp.asarray(x1, float), jnp.asarray(x2, float)], axis=-1)
