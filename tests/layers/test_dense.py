from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.initializers import constant, ones
from dlcore.layers import dense

KEY = jax.random.key(0)
X = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 4)), jnp.float32)


@pytest.mark.parametrize("use_bias", [True, False])
def test_dense_agrees_with_torch(use_bias: bool):
    torch = pytest.importorskip("torch")
    model = dense(3, use_bias=use_bias, bias_init=constant(0.5))
    params, state = model.init(KEY, X)
    oracle = torch.nn.Linear(4, 3, bias=use_bias)
    oracle.load_state_dict({{"kernel": "weight"}.get(k, k): torch.tensor(np.array(v.T)) for k, v in params.items()})
    # Sums of four products in another order.
    y, _ = model.apply(params, state, X)
    np.testing.assert_allclose(y, oracle(torch.tensor(np.array(X))).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_dense_agrees_with_flax():
    from flax import linen

    params, state = dense(3).init(KEY, X)
    expected: Any = linen.Dense(3).apply({"params": params}, X)
    np.testing.assert_allclose(dense(3).apply(params, state, X)[0], expected, rtol=1e-6)


def test_initializers_are_the_ones_given():
    params, _ = dense(3, kernel_init=constant(2.0), bias_init=ones).init(KEY, X)
    np.testing.assert_array_equal(params["kernel"], np.full((4, 3), 2.0))
    np.testing.assert_array_equal(params["bias"], np.ones(3))


def test_kernel_and_bias_are_drawn_from_different_keys():
    draw = lambda key, shape, dtype: jax.random.uniform(key, shape, dtype)
    params, _ = dense(3, kernel_init=draw, bias_init=draw).init(KEY, X[..., :1])
    assert not np.array_equal(params["kernel"].ravel(), params["bias"])


def test_a_single_example_and_an_empty_batch_are_fine():
    params, state = dense(3).init(KEY, X[0, 0])
    assert dense(3).apply(params, state, X[0, 0])[0].shape == (3,)
    assert dense(3).apply(params, state, X[:0])[0].shape == (0, 5, 3)


def test_params_are_float32_for_half_precision_inputs():
    params, state = dense(3).init(KEY, X.astype(jnp.bfloat16))
    assert {leaf.dtype.name for leaf in params.values()} == {"float32"}
    assert dense(3).apply(params, state, X.astype(jnp.bfloat16))[0].dtype == jnp.bfloat16


def test_integers_are_refused():
    with pytest.raises(TypeError, match=r"dense computes in its input's floating type, found int32: x.astype"):
        dense(3).init(KEY, jnp.ones((2, 4), int))
    with pytest.raises(TypeError, match="found bool"):
        dense(3).apply({}, {}, jnp.ones((2, 4), bool))


def test_a_scalar_is_refused():
    for call in (dense(3).init, lambda key, x: dense(3).apply({}, {}, x)):
        with pytest.raises(ValueError, match=r"dense works along the last axis, and found an input of shape \(\)"):
            call(KEY, jnp.float32(1))


def test_another_number_of_inputs_is_refused():
    params, state = dense(3).init(KEY, X)
    with pytest.raises(
        ValueError, match=r"expected params bias \(3,\), kernel \(7, 3\), found bias \(3,\), kernel \(4, 3\)"
    ):
        dense(3).apply(params, state, jnp.ones((2, 7)))


def test_params_without_the_bias_are_refused():
    with pytest.raises(ValueError, match="expected params"):
        dense(3).apply(dense(3, use_bias=False).init(KEY, X)[0], {}, X)


@pytest.mark.parametrize("features", [0, -1])
def test_a_number_of_features_that_is_not_positive_is_refused(features: int):
    with pytest.raises(ValueError, match=f"features: expected a positive whole number, found {features}"):
        dense(features)
