from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.activations import log_softmax, softmax

X: Any = np.random.default_rng(0).normal(size=(4, 5)) * 3
KEPT = np.array([[1, 1, 0, 1, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], bool)


@pytest.mark.parametrize("function", [softmax, log_softmax])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_every_axis_agrees_with_torch(function: Any, axis: int):
    torch = pytest.importorskip("torch")
    with jax.enable_x64(True):
        found = function(X, axis)
    expected = getattr(torch.nn.functional, function.__name__)(torch.tensor(X), axis)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-13)


def test_several_axes_agree_with_scipy():
    from scipy.special import log_softmax as scipys_log_softmax
    from scipy.special import softmax as scipys_softmax

    x = X.reshape(2, 2, 5)
    with jax.enable_x64(True):
        for axis in ((0, 2), None):
            np.testing.assert_allclose(softmax(x, axis), scipys_softmax(x, axis), rtol=1e-13)
            np.testing.assert_allclose(log_softmax(x, axis), scipys_log_softmax(x, axis), rtol=1e-13)


def test_a_mask_leaves_the_softmax_of_the_rest():
    with jax.enable_x64(True):
        y, log_y = np.asarray(softmax(X, where=KEPT)), np.asarray(log_softmax(X, where=KEPT))
    for row, log_row, x, kept in zip(y, log_y, X, KEPT, strict=True):
        if kept.any():
            expected = np.exp(x[kept]) / np.exp(x[kept]).sum()
            np.testing.assert_allclose(row[kept], expected, rtol=1e-13)
            np.testing.assert_allclose(log_row[kept], np.log(expected), rtol=1e-13)
            assert (row[~kept] == 0).all() and (log_row[~kept] == -np.inf).all()
        else:
            assert (row == 0).all() and (log_row == 0).all()


@pytest.mark.slow
def test_a_full_mask_is_no_mask_up_to_rounding():
    x = jnp.asarray(X, jnp.float32)
    for function in (softmax, log_softmax):
        np.testing.assert_allclose(function(x, where=True), function(x), rtol=1e-6)
        np.testing.assert_allclose(function(x, 0, np.ones((4, 1), bool)), function(x, 0), rtol=1e-6)


@pytest.mark.parametrize("filling", [0.0, 1e4, -1e4, np.inf, -np.inf, np.nan])
def test_what_is_masked_has_no_influence(filling: float):
    weights = jnp.asarray(np.random.default_rng(1).normal(size=X.shape), jnp.float32)

    @jax.jit
    def gradients(x: Any) -> Any:
        plain = jax.grad(lambda x: (softmax(x, where=KEPT) * weights).sum())(x)
        logarithm = jax.grad(lambda x: jnp.where(KEPT, log_softmax(x, where=KEPT) * weights, 0).sum())(x)
        return softmax(x, where=KEPT), plain, logarithm

    clean = np.where(KEPT, X, 0).astype("float32")
    for found, expected in zip(gradients(np.where(KEPT, X, filling).astype("float32")), gradients(clean), strict=True):
        np.testing.assert_array_equal(found, expected)
        assert np.isfinite(found).all()
        assert (np.asarray(found)[~KEPT] == 0).all()


def test_masked_gradients_agree_with_torch():
    torch = pytest.importorskip("torch")
    weights, rows = np.random.default_rng(1).normal(size=X.shape), KEPT.any(-1)
    x = torch.tensor(X[rows], requires_grad=True)
    filled = x.masked_fill(~torch.tensor(KEPT[rows]), -torch.inf)
    (torch.softmax(filled, -1) * torch.tensor(weights[rows])).sum().backward()
    with jax.enable_x64(True):
        found = np.asarray(jax.grad(lambda x: (softmax(x, where=KEPT) * weights).sum())(X))
    np.testing.assert_allclose(found[rows], x.grad.numpy(), rtol=1e-12, atol=1e-15)
    assert (found[~rows] == 0).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_sums_many_classes(dtype: str):
    # The sum, 100 000, is more than float16 holds, and bfloat16 would stop at 256.
    x = jnp.zeros(100_000, dtype)
    assert softmax(x).dtype == log_softmax(x).dtype == dtype
    np.testing.assert_allclose(softmax(x)[:2].astype("float32"), 1e-5, rtol=0.01)
    np.testing.assert_allclose(log_softmax(x)[:2].astype("float32"), -np.log(1e5), rtol=0.01)
    np.testing.assert_allclose(softmax(x, where=x == 0)[:2].astype("float32"), 1e-5, rtol=0.01)


def test_a_single_class_has_probability_one_and_no_gradient():
    assert softmax(jnp.array([[1e4], [-1e4]])).tolist() == [[1], [1]]
    assert jax.grad(lambda x: log_softmax(x).sum())(jnp.array([1e4])).tolist() == [0]


@pytest.mark.parametrize("function", [softmax, log_softmax])
def test_masks_that_do_not_fit_are_refused(function: Any):
    x = jnp.ones((4, 5))
    with pytest.raises(TypeError, match=r"where: expected booleans, .*, found int32: where != 0"):
        function(x, where=jnp.ones((4, 5), int))
    for shape in ((4,), (2, 4, 5), (1, 1, 5)):
        with pytest.raises(ValueError, match=r"where: expected a shape that broadcasts to that of x \(4, 5\), found"):
            function(x, where=np.ones(shape, bool))
    with pytest.raises(ValueError, match="works along the last axis"):
        function(jnp.float32(1))
