from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.layers import gaussian_noise

KEY = jax.random.key(0)
X = jnp.linspace(1.0, 2.0, 10_000)


def _noisy(stddev: Any, x: Any = X, key: Any = KEY, train: bool = True) -> jax.Array:
    return gaussian_noise(stddev).apply({}, {}, x, key=key, train=train)[0]


def test_noise_has_mean_zero_and_its_deviation_and_is_gaussian():
    noise = (np.asarray(_noisy(0.3)) - np.asarray(X)) / 0.3
    error = 4 / np.sqrt(X.size)  # four standard errors
    assert abs(noise.mean()) < error and abs(noise.std() - 1) < error
    assert abs((np.abs(noise) < 1).mean() - 0.6827) < error


def test_evaluation_is_the_identity_unless_there_is_a_key():
    assert _noisy(0.3, key=None, train=False) is X
    np.testing.assert_array_equal(_noisy(0.3, train=False), _noisy(0.3))
    np.testing.assert_array_equal(_noisy(0.0), X)


def test_a_traced_deviation_will_do_and_has_a_gradient():
    run = jax.jit(lambda stddev: (_noisy(stddev) - X).sum())
    np.testing.assert_allclose(run(0.2), 2 * run(0.1), rtol=1e-3)
    np.testing.assert_allclose(jax.grad(run)(0.2), jax.random.normal(KEY, X.shape).sum(), rtol=1e-4)


def test_gradients_pass_unchanged():
    np.testing.assert_array_equal(jax.grad(lambda x: _noisy(0.3, x).sum())(X), 1)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_noise_of_half_precision_is_the_rounded_float32_one(dtype: Any):
    y = _noisy(0.5, jnp.zeros(100, dtype))
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, (0.5 * jax.random.normal(KEY, (100,))).astype(dtype))


@pytest.mark.parametrize("stddev", [-0.1, float("nan"), float("inf")])
def test_a_deviation_that_is_none_is_refused(stddev: float):
    with pytest.raises(ValueError, match="stddev: expected a standard deviation from 0 up, found"):
        gaussian_noise(stddev)


def test_training_without_a_key_and_integers_are_refused():
    with pytest.raises(ValueError, match="gaussian_noise needs a key in training"):
        _noisy(0.1, key=None)
    with pytest.raises(TypeError, match="gaussian_noise computes in its input's floating type, found int32"):
        _noisy(0.1, jnp.ones(3, jnp.int32))
