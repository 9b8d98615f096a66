from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.layers import dense, drop_path, dropout, residual, serial, spatial_dropout

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


# --- of channels, and of examples -----------------------------------------------------------------------------------

IMAGES = jnp.asarray(1 + np.random.default_rng(0).uniform(size=(400, 3, 4, 25)), jnp.float32)
# The axes that live and die together.
KINDS = {"spatial_dropout": (spatial_dropout, (1, 2)), "drop_path": (drop_path, (1, 2, 3))}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_whole_channels_and_examples_are_dropped_in_their_share_and_the_rest_scaled(name: str, rate: float):
    factory, axes = KINDS[name]
    y = np.asarray(jax.jit(lambda x: factory(rate).apply({}, {}, x, key=KEY, train=True)[0])(IMAGES))
    kept = y != 0
    np.testing.assert_array_equal(kept.any(axes), kept.all(axes))
    np.testing.assert_allclose(y[kept], np.asarray(IMAGES)[kept] / (1 - rate), rtol=1e-6)
    lots = kept.any(axes)
    assert abs(1 - lots.mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / lots.size)  # four standard errors


@pytest.mark.parametrize("name", KINDS)
def test_channels_and_examples_follow_the_rules_of_dropout(name: str):
    factory, _ = KINDS[name]
    layer, x = factory(0.5), IMAGES[:4, :2, :2, :4]
    trained = layer.apply({}, {}, x, key=KEY, train=True)[0]
    assert layer.apply({}, {}, x)[0] is x
    np.testing.assert_array_equal(layer.apply({}, {}, x, key=KEY)[0], trained)
    np.testing.assert_array_equal(factory(0.0).apply({}, {}, x, key=KEY, train=True)[0], x)
    traced = jax.jit(lambda rate: factory(rate).apply({}, {}, x, key=KEY, train=True)[0])(0.5)
    np.testing.assert_array_equal(traced, trained)
    half = layer.apply({}, {}, x.astype(jnp.bfloat16), key=KEY, train=True)[0]
    assert half.dtype == jnp.bfloat16
    np.testing.assert_array_equal(half != 0, trained != 0)
    with pytest.raises(ValueError, match=f"{name} needs a key in training"):
        layer.apply({}, {}, x, train=True)
    with pytest.raises(TypeError, match=f"{name} computes in its input's floating type, found int32"):
        layer.apply({}, {}, jnp.ones((2, 2, 2), jnp.int32))
    for rate in (-0.1, 1.0, 1.5):
        with pytest.raises(ValueError, match=r"rate: expected the probability of dropping, in \[0, 1\), found"):
            factory(rate)


def test_a_dropped_branch_leaves_the_shortcut():
    model, x = residual(serial(dense(4), drop_path(0.5))), jnp.ones((8, 4))
    params, state = model.init(KEY, x)
    y, branch = model.apply(params, state, x, key=KEY, train=True)[0], model.apply(params, state, x)[0] - x
    passes = (np.asarray(y) != 1).any(-1)
    assert 0 < passes.sum() < 8
    np.testing.assert_allclose(y, np.asarray(x) + np.where(passes, 2.0, 0.0)[:, None] * np.asarray(branch), rtol=1e-5)


def test_spatial_dropout_needs_spatial_axes_and_drop_path_examples():
    with pytest.raises(ValueError, match=r"spatial_dropout works on \(B, \*spatial, channels\), found x \(3, 4\)"):
        spatial_dropout(0.5).apply({}, {}, jnp.ones((3, 4)))
    with pytest.raises(ValueError, match="drop_path works along"):
        drop_path(0.5).apply({}, {}, jnp.float32(1))
