"""Trainable subsampling: against the 1998 formula."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.initializers import constant, normal
from dlcore.layers import avg_pool, subsample

KEY = jax.random.key(0)
X = jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 4, 3)), jnp.float32)


def test_it_begins_as_an_average():
    params, state = subsample(2).init(KEY, X)
    np.testing.assert_array_equal(subsample(2).apply(params, state, X)[0], avg_pool(2).apply({}, {}, X)[0])


def test_it_is_a_coefficient_times_the_sum_plus_a_bias():
    params, state = subsample((3, 2), bias_init=constant(0.5)).init(KEY, X)
    coefficient = np.array([0.1, -0.2, 0.3], np.float32)  # of the sum, as in 1998
    params = {**params, "scale": 6 * jnp.asarray(coefficient)}
    sums = np.array(X).reshape(2, 2, 3, 2, 2, 3).sum((2, 4))
    found = subsample((3, 2), bias_init=constant(0.5)).apply(params, state, X)[0]
    np.testing.assert_allclose(found, coefficient * sums + 0.5, rtol=1e-5, atol=1e-6)


def test_scale_and_bias_are_drawn_from_keys_of_their_own():
    params, _ = subsample(2, scale_init=normal(), bias_init=normal()).init(KEY, X)
    assert (params["scale"] != params["bias"]).all()


def test_what_does_not_fit_is_refused():
    with pytest.raises(TypeError, match="subsample computes in its input's floating type"):
        subsample(2).init(KEY, jnp.ones((1, 4, 4, 2), jnp.int32))
    with pytest.raises(ValueError, match="window is larger than x"):
        subsample(5).plan(X)
