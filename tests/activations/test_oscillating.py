"""One unit and XOR: a perceptron cannot, a unit with an oscillating activation can, and learns to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.activations import growing_cosine, identity
from dlcore.layers import dense, serial

CORNERS = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR = jnp.array([0.0, 1.0, 1.0, 0.0])


def _solved_after_training(activation: Callable[..., Any]) -> np.ndarray:
    """Returns for 64 starts whether one unit has learnt XOR, by gradient descent on the cross-entropy."""
    unit = serial(dense(1), activation)

    def logits(params: Any) -> jax.Array:
        return unit.apply(params, {}, CORNERS)[0][:, 0]

    def loss(params: Any) -> jax.Array:
        return (jax.nn.softplus(logits(params)) - XOR * logits(params)).mean()

    def train(key: Any) -> jax.Array:
        descend = lambda params, _: (jax.tree.map(lambda p, g: p - 0.1 * g, params, jax.grad(loss)(params)), None)
        params, _ = jax.lax.scan(descend, unit.init(key, CORNERS)[0], length=2000)
        return ((logits(params) > 0) == (XOR > 0)).all()

    return np.asarray(jax.jit(jax.vmap(train))(jax.random.split(jax.random.key(0), 64)))


def test_one_unit_with_a_growing_cosine_solves_xor():
    unit = serial(dense(1), growing_cosine)
    params = {"0": {"kernel": jnp.full((2, 1), jnp.pi / 2), "bias": jnp.full(1, -jnp.pi / 4)}}
    y = unit.apply(params, {}, CORNERS)[0][:, 0]
    # -pi/4, pi/4 and 3 pi/4 have cosines of sqrt(1/2) in size.
    np.testing.assert_allclose(y, np.array([-1, 1, 1, -3]) * np.pi / 4 * np.sqrt(0.5), rtol=1e-5)


def test_one_unit_with_a_growing_cosine_learns_xor_and_a_linear_one_does_not():
    assert _solved_after_training(growing_cosine).mean() > 0.5
    assert not _solved_after_training(identity).any()
