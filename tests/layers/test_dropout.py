from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.layers import dropout, serial

KEY = jax.random.key(0)
X = jnp.linspace(1.0, 2.0, 10_000)


def drop(rate: Any, x: Any = X, key: Any = KEY, train: bool = True) -> jax.Array:
    return dropout(rate).apply({}, {}, x, key=key, train=train)[0]


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_scales_the_rest(rate: float):
    y = np.asarray(drop(rate))
    share = 4 * np.sqrt(rate * (1 - rate) / X.size)  # four standard errors
    assert abs((y == 0).mean() - rate) < share
    np.testing.assert_allclose(y[y != 0], np.asarray(X)[y != 0] / (1 - rate), rtol=1e-6)


def test_dropout_keeps_the_mean():
    y = jax.vmap(lambda key: drop(0.5, key=key))(jax.random.split(KEY, 50))
    # One value has deviation x <= 2: 500,000 of them have a mean within 4 * 2 / sqrt(500,000) of the truth.
    np.testing.assert_allclose(y.mean(), X.mean(), atol=0.0114)


def test_evaluation_is_the_identity():
    assert drop(0.5, key=None, train=False) is X


def test_a_key_in_evaluation_is_monte_carlo_dropout():
    np.testing.assert_array_equal(drop(0.5, train=False), drop(0.5, train=True))


def test_a_rate_of_zero_keeps_everything():
    np.testing.assert_array_equal(drop(0.0), X)


def test_a_traced_rate_gives_the_bits_of_a_python_one():
    apply = lambda rate: drop(rate)
    for rate in (0.1, 0.3, 0.5):
        plain = jax.jit(lambda: apply(rate))()  # noqa: B023
        np.testing.assert_array_equal(jax.jit(apply)(rate), plain)
        np.testing.assert_array_equal(apply(rate), plain)


def test_a_model_with_another_traced_rate_is_not_compiled_again():
    traces = []

    @jax.jit
    def run(rate: Any) -> Any:
        traces.append(rate)
        return serial(dropout(rate)).apply({}, {}, X, key=KEY, train=True)[0]

    assert np.count_nonzero(run(0.1)) > np.count_nonzero(run(0.9))
    assert len(traces) == 1


def test_a_scalar_is_fine():
    assert drop(0.5, jnp.float32(1)).shape == ()


def test_gradients_flow_through_what_is_kept_alone():
    gradient = jax.grad(lambda x: drop(0.5, x).sum())(X)
    np.testing.assert_array_equal(gradient, np.where(drop(0.5) == 0, 0.0, 2.0))


def test_dropout_keeps_half_precision():
    y = drop(0.5, jnp.ones(8, jnp.bfloat16))
    assert y.dtype == jnp.bfloat16 and set(np.asarray(y, np.float32)) == {0.0, 2.0}


def test_training_without_a_key_is_refused():
    with pytest.raises(
        ValueError, match=r"dropout needs a key in training: apply\(params, state, x, key=key, train=True\)"
    ):
        drop(0.5, key=None)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan"), jnp.float32(2.0)])
def test_a_rate_outside_its_range_is_refused(rate: Any):
    with pytest.raises(ValueError, match=r"rate: expected the probability of dropping, in \[0, 1\), found"):
        dropout(rate)


def test_integers_are_refused():
    with pytest.raises(TypeError, match="dropout computes in its input's floating type"):
        drop(0.5, jnp.ones(3, int))
