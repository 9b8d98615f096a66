from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.layers import layer_norm, rms_norm

KEY = jax.random.key(0)
RANDOM = np.random.default_rng(0)
X = jnp.asarray(3 + 2 * RANDOM.normal(size=(6, 5, 4, 3)), jnp.float32)
AFFINE = {"scale": jnp.array([0.5, 1.0, 2.0]), "offset": jnp.array([-1.0, 0.0, 1.0])}


def test_layer_norm_agrees_with_torch():
    torch = pytest.importorskip("torch")
    oracle = torch.nn.LayerNorm(3, eps=1e-6)
    oracle.load_state_dict(
        {"weight": torch.tensor(np.array(AFFINE["scale"])), "bias": torch.tensor(np.array(AFFINE["offset"]))}
    )
    expected = oracle(torch.tensor(np.array(X))).detach().numpy()
    np.testing.assert_allclose(layer_norm().apply(AFFINE, {}, X)[0], expected, rtol=1e-4, atol=1e-5)


def test_layer_norm_agrees_with_flax():
    from flax import linen

    # Its fast variance, E[x^2] - E[x]^2, would cancel.
    expected: Any = linen.LayerNorm(use_fast_variance=False).apply(
        {"params": {"scale": AFFINE["scale"], "bias": AFFINE["offset"]}}, X
    )
    np.testing.assert_allclose(layer_norm().apply(AFFINE, {}, X)[0], expected, rtol=1e-4, atol=1e-5)


def test_layer_norm_of_one_example_does_not_depend_on_the_others():
    alone, together = (layer_norm().apply(AFFINE, {}, x)[0] for x in (X[:1], X))
    np.testing.assert_array_equal(alone, together[:1])


@pytest.mark.parametrize("norm", [layer_norm, rms_norm])
def test_scale_has_the_sizes_of_the_normalised_axes_in_order(norm: Any):
    shapes = {axis: norm(axis=axis).plan(X).params["scale"].shape for axis in (-1, 3, 1, (-1, 1), (2, -2 - 1))}
    assert shapes == {-1: (3,), 3: (3,), 1: (5,), (-1, 1): (5, 3), (2, -3): (5, 4)}


def test_rms_norm_agrees_with_flax():
    from flax import linen

    expected: Any = linen.RMSNorm().apply({"params": {"scale": AFFINE["scale"]}}, X)
    found = rms_norm().apply({"scale": AFFINE["scale"]}, {}, X)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(rms_norm(use_scale=False).apply({}, {}, X)[0] * AFFINE["scale"], found, rtol=1e-6)


def test_rms_norm_is_layer_norm_where_the_mean_is_zero():
    x = X - X.mean(-1, keepdims=True)
    rms, whole = (
        norm(**keywords).apply({}, {}, x)[0]
        for norm, keywords in (
            (rms_norm, {"use_scale": False}),
            (layer_norm, {"use_scale": False, "use_offset": False}),
        )
    )
    np.testing.assert_allclose(rms, whole, rtol=1e-4, atol=1e-5)


def test_rms_norm_does_not_overflow_in_float16():
    x = jnp.full((1, 3), 6e4, jnp.float16)
    np.testing.assert_array_equal(rms_norm(use_scale=False).apply({}, {}, x)[0], np.ones((1, 3)))


@pytest.mark.parametrize("norm", [layer_norm, rms_norm])
@pytest.mark.parametrize("axis", [4, -5, (1, -3), ()])
def test_an_axis_that_is_not_there_is_refused(norm: Any, axis: Any):
    with pytest.raises(ValueError, match=r"axis: expected one or more different axes of x \(6, 5, 4, 3\), found"):
        norm(axis=axis).init(KEY, X)


@pytest.mark.parametrize("shape", [(2, 1), (2, 0)])
def test_layer_norm_refuses_one_value(shape: tuple[int, ...]):
    with pytest.raises(
        ValueError, match="layer norm needs two or more values .* Use more features, other axes, or rms"
    ):
        layer_norm().init(KEY, jnp.ones(shape))
    assert rms_norm().plan(jnp.ones(shape)).output.shape == shape


def test_an_empty_batch_is_fine():
    for norm in (layer_norm(), rms_norm()):
        assert jax.eval_shape(norm.apply, *norm.init(KEY, X), X[:0])[0].shape == (0, 5, 4, 3)
