from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.layers import prelu

KEY = jax.random.key(0)
X = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 4)), jnp.float32)


def test_prelu_agrees_with_torch():
    torch = pytest.importorskip("torch")
    oracle, channels_first = torch.nn.PReLU(4, 0.1), torch.tensor(np.array(jnp.moveaxis(X, -1, 1)))
    y, _ = prelu(0.1).apply(*prelu(0.1).init(KEY, X), X)
    np.testing.assert_array_equal(y, oracle(channels_first).detach().numpy().transpose(0, 2, 1))


def test_prelu_agrees_with_flax():
    from flax import linen

    params, state = prelu().init(KEY, X)
    expected = linen.PReLU(negative_slope_init=0.25).apply({"params": {"negative_slope": jnp.float32(0.25)}}, X)
    np.testing.assert_array_equal(prelu().apply(params, state, X)[0], expected)


def test_slopes_start_where_asked_one_a_channel():
    np.testing.assert_array_equal(prelu().init(KEY, X)[0]["slope"], np.full(4, 0.25, np.float32), strict=True)
    np.testing.assert_array_equal(prelu(0.5).init(KEY, X)[0]["slope"], np.full(4, 0.5, np.float32), strict=True)


def test_slopes_may_start_from_a_traced_value():
    np.testing.assert_array_equal(jax.jit(lambda v: prelu(v).init(KEY, X)[0]["slope"])(0.5), np.full(4, 0.5))


def test_wrong_inputs_are_refused():
    with pytest.raises(TypeError, match="prelu computes in its input's floating type, found int32"):
        prelu().init(KEY, jnp.ones((2, 4), int))
    with pytest.raises(ValueError, match="prelu works along the last axis"):
        prelu().init(KEY, jnp.float32(1))
    with pytest.raises(ValueError, match=r"expected params slope \(3,\), found slope \(4,\)"):
        prelu().apply(prelu().init(KEY, X)[0], {}, jnp.ones((2, 3)))
