"""Noise keeps the mean, drops what it says, and is silent without a key."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore import layers

KEY = jax.random.key(0)


def test_spatial_dropout_drops_whole_channels_and_keeps_the_mean():
    x = jnp.ones((200, 3, 3, 50))
    y = np.asarray(layers.spatial_dropout(0.3).apply({}, {}, x, key=KEY, train=True)[0])
    channels = y.reshape(200, 9, 50)
    assert (channels == channels[:, :1]).all()
    np.testing.assert_allclose(np.unique(y), [0, 1 / 0.7], rtol=1e-6)
    assert abs(y.mean() - 1) < 4 * np.sqrt(0.3 / 0.7 / 10_000)  # four standard errors of 10,000 channels


def test_drop_path_drops_whole_examples_and_keeps_the_mean():
    y = np.asarray(layers.drop_path(0.2).apply({}, {}, jnp.ones((10_000, 2, 2)), key=KEY, train=True)[0])
    assert (y == y[:, :1, :1]).all() and abs(y.mean() - 1) < 4 * np.sqrt(0.2 / 0.8 / 10_000)


def test_gaussian_noise_has_the_spread_that_was_asked():
    y = layers.gaussian_noise(0.5).apply({}, {}, jnp.full(100_000, 3.0), key=KEY, train=True)[0]
    assert abs(y.mean() - 3) < 4 * 0.5 / np.sqrt(1e5) and abs(y.std() - 0.5) < 4 * 0.5 / np.sqrt(2e5)


@pytest.mark.parametrize("make", [layers.spatial_dropout, layers.drop_path, layers.gaussian_noise])
def test_a_strength_may_be_traced_and_none_changes_nothing(make):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3, 5)), jnp.float32)
    run = lambda strength: make(strength).apply({}, {}, x, key=KEY, train=True)[0]
    np.testing.assert_array_equal(run(0.0), x)
    np.testing.assert_allclose(jax.jit(run)(0.25), run(0.25), rtol=1e-6)


@pytest.mark.parametrize("make", [layers.spatial_dropout, layers.drop_path, layers.gaussian_noise])
def test_a_key_without_training_draws_and_training_without_a_key_is_refused(make):
    x = jnp.ones((64, 3, 5))
    assert not (make(0.5).apply({}, {}, x, key=KEY)[0] == x).all()
    assert (make(0.5).apply({}, {}, x)[0] == x).all()
    with pytest.raises(ValueError, match="needs a key in training"):
        make(0.5).apply({}, {}, x, train=True)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan")])
def test_rates_out_of_range_are_refused(rate):
    for make in (layers.spatial_dropout, layers.drop_path):
        with pytest.raises(ValueError, match="rate: expected the probability of dropping"):
            make(rate)
    if not rate >= 0:
        with pytest.raises(ValueError, match="stddev: expected a number of 0 or more"):
            layers.gaussian_noise(rate)
