"""Activations that change sign more than once, with which one unit has several decision boundaries."""

import jax
import jax.numpy as jnp

from dlcore.checks import expect_floating


def growing_cosine(x: jax.Array) -> jax.Array:
    """Growing cosine unit, `x * cos(x)`: one unit with it solves XOR.

    Its sign changes at 0 and at every odd multiple of pi/2, so that a unit `growing_cosine(w . x + b)` cuts the plane
    along parallel lines, where a perceptron has a single one and cannot separate XOR (Minsky and Papert, 1969). It
    comes from the dendrites of human cortical neurons, whose response is greatest at the threshold and falls for
    stronger input; the other ways past linear separability are a hidden layer, and crosses of features.

    Source: Noel, Muthiah-Nakarajan and Trivedi, 2021; after Gidon et al., 2020.

    Example:
      >>> corners = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
      >>> (growing_cosine(corners @ jnp.full(2, jnp.pi / 2) - jnp.pi / 4) > 0).tolist()
      [False, True, True, False]
    """
    x = expect_floating(x, "growing_cosine", axes=0)
    return x * jnp.cos(x)
