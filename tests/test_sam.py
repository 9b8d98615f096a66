"""Sharpness-aware minimisation against the two lines of its paper."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import dlcore as dl
from dlcore import optim

A = np.random.default_rng(0).normal(size=(6, 4))
LOSS = lambda w: jnp.sum(jnp.square(A @ w["a"] - 1)) + jnp.sum(jnp.cosh(w["b"]))
START: Any = {"a": jnp.ones(4), "b": jnp.array([0.3, -0.2])}


def test_a_step_is_that_of_the_gradient_at_the_worst_point_nearby():
    w: Any = START
    optimizer = optim.sam(optim.momentum(0.01, 0.9), radius=0.1)
    state, by_hand, velocity = optimizer.init(w), jax.tree.map(np.asarray, w), jax.tree.map(np.zeros_like, w)
    for _ in range(50):
        change, state = optimizer.update(jax.grad(LOSS)(w), state, w, grad_fn=jax.grad(LOSS))
        w = optax.apply_updates(w, change)
        g = jax.grad(LOSS)(by_hand)
        norm = np.sqrt(sum(np.square(leaf).sum() for leaf in jax.tree.leaves(g)))
        g = jax.grad(LOSS)(jax.tree.map(lambda p, q, norm=norm: p + 0.1 * q / norm, by_hand, g))
        velocity = jax.tree.map(lambda v, q: 0.9 * v + q, velocity, g)
        by_hand = jax.tree.map(lambda p, v: p - 0.01 * v, by_hand, velocity)
    jax.tree.map(lambda p, q: np.testing.assert_allclose(p, q, rtol=1e-4, atol=1e-5), w, by_hand)


def test_a_gradient_of_zero_stays_where_it_is():
    w = {"a": jnp.zeros(2)}
    gradient = jax.grad(lambda w: jnp.sum(jnp.square(w["a"])))
    change, _ = (optimizer := optim.sam(optim.sgd(0.1))).update(gradient(w), optimizer.init(w), w, grad_fn=gradient)
    np.testing.assert_array_equal(jax.tree.leaves(change)[0], 0)


@pytest.mark.slow
def test_fit_gives_it_the_second_gradient():
    model, iris = dl.models.mlp((8,), classes=3), dl.data.iris()
    plain = dl.fit(model, iris, optimizer=optim.momentum(0.05), epochs=3, batch_size=32)
    sharp = dl.fit(model, iris, optimizer=optim.sam(optim.momentum(0.05), 0.1), epochs=3, batch_size=32)
    none = dl.fit(model, iris, optimizer=optim.sam(optim.momentum(0.05), 1e-30), epochs=3, batch_size=32)
    np.testing.assert_array_equal(none.metrics["loss"], plain.metrics["loss"])
    assert np.isfinite(sharp.metrics["loss"]).all() and (sharp.metrics["loss"][1:] != plain.metrics["loss"][1:]).all()
    with pytest.raises(TypeError, match="sam: `update` needs grad_fn"):
        dl.fit(model, iris, optimizer=optim.accumulate(optim.sam(optim.sgd(0.05)), 2), steps=4, batch_size=32)


def test_what_is_missing_is_named():
    optimizer = optim.sam(optim.sgd(0.1))
    with pytest.raises(TypeError, match="sam: `update` needs grad_fn"):
        optimizer.update(START, optimizer.init(START), START)
    with pytest.raises(ValueError, match="radius: expected a positive number, found 0"):
        optim.sam(optim.sgd(0.1), 0)
