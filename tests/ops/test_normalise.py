from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcore.ops import l2_normalise, moments, standardise

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(3, 4, 5))
MASK = np.arange(4)[:, None] < np.array([[[4]], [[2]], [[0]]])  # (3, 4, 1)

_unit = jax.jit(l2_normalise)
_masked = jax.jit(lambda x, mask: moments(x, (1, 2), mask=mask))


@pytest.mark.few(2)
@pytest.mark.parametrize("axis", [-1, 0, (0, 2)])
def test_l2_normalise_agrees_with_torch_in_value_and_gradient(axis: Any):
    torch = pytest.importorskip("torch")
    tensor, weights = torch.tensor(X, requires_grad=True), RANDOM.normal(size=X.shape)
    expected = tensor / torch.linalg.vector_norm(tensor, dim=axis, keepdim=True)
    (expected * torch.tensor(weights)).sum().backward()
    with jax.enable_x64(True):
        y, pull = jax.vjp(jax.jit(lambda x: l2_normalise(x, axis)), X)
        (gradient,) = pull(weights)
    np.testing.assert_allclose(y, expected.detach(), rtol=1e-13)
    np.testing.assert_allclose(gradient, tensor.grad, rtol=1e-10, atol=1e-13)


@pytest.mark.slow
@given(st.lists(st.floats(-1, 1, width=32), min_size=4, max_size=4), st.integers(-120, 126))
def test_l2_normalise_gives_length_one_whatever_the_length(values: list[float], power: int):
    vector = np.array(values, np.float32)
    if np.abs(vector).max() < 2**-5:
        vector[0] = 1.0
    y = np.asarray(_unit(np.ldexp(vector, power)), np.float64)
    np.testing.assert_allclose(np.linalg.norm(y), 1, rtol=1e-6)
    np.testing.assert_allclose(y, vector / np.linalg.norm(vector.astype(np.float64)), rtol=1e-5, atol=1e-7)


def test_zero_stays_zero_with_a_gradient_of_zero():
    x = jnp.array([[0.0, 0.0], [3.0, 4.0]])
    np.testing.assert_allclose(_unit(x), [[0.0, 0.0], [0.6, 0.8]], rtol=1e-6)
    gradient = jax.jit(jax.grad(lambda x: l2_normalise(x)[:, 0].sum()))(x)
    np.testing.assert_allclose(gradient, [[0.0, 0.0], [0.128, -0.096]], rtol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_l2_normalise_of_half_precision_does_not_overflow(dtype: Any):
    y = _unit(jnp.array([3e4, 4e4], dtype))
    assert y.dtype == dtype
    np.testing.assert_allclose(np.asarray(y, np.float64), [0.6, 0.8], rtol=float(jnp.finfo(dtype).eps))


def test_l2_normalise_takes_vectors_of_one_element_and_of_none():
    np.testing.assert_array_equal(l2_normalise(jnp.array([[-5.0], [0.0]])), [[-1.0], [0.0]])
    assert l2_normalise(jnp.zeros((2, 0))).shape == (2, 0)


def test_l2_normalise_refuses_integers():
    with pytest.raises(TypeError, match="l2_normalise: expected an array of a floating type, found int32"):
        l2_normalise(jnp.ones(3, jnp.int32))


def test_masked_moments_are_those_of_what_is_left():
    mean, var = _masked(X.astype(np.float32), MASK)
    left = [X[i, :n].ravel() for i, n in enumerate((4, 2, 0))]
    np.testing.assert_allclose(mean, [part.mean() if part.size else 0 for part in left], rtol=1e-5)
    np.testing.assert_allclose(var, [part.var() if part.size else 0 for part in left], rtol=1e-5)


def test_what_is_masked_may_be_nan():
    x = np.where(MASK, X, np.nan).astype(np.float32)
    gradient = jax.jit(jax.grad(lambda x: sum(part.sum() for part in moments(x, (1, 2), mask=MASK))))(x)
    assert np.isfinite(_masked(x, MASK)).all() and np.isfinite(gradient).all()
    np.testing.assert_array_equal(np.asarray(gradient)[~np.broadcast_to(MASK, X.shape)], 0)


@pytest.mark.few(2)
@pytest.mark.parametrize(("axis", "keepdims"), [(0, False), (-1, True), ((0, 2), True), ([1, 2], False)])
def test_moments_agree_with_numpy_with_and_without_a_mask(axis: Any, keepdims: bool):
    to = tuple(axis) if isinstance(axis, list) else axis
    expected = X.mean(to, keepdims=keepdims), X.var(to, keepdims=keepdims)
    run = jax.jit(lambda x, mask: [moments(x, axis, keepdims=keepdims, mask=m) for m in (None, mask)])
    for found in run(X.astype(np.float32), np.ones(5, bool)):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), found, expected)


def test_standardise_keeps_the_type_of_its_input():
    x = jnp.array([1.0, 3.0], jnp.bfloat16)
    y = standardise(x, jnp.float32(2), jnp.float32(1), epsilon=0.0, scale=jnp.float32(0.5), offset=1)
    assert y.dtype == jnp.bfloat16 and y.tolist() == [0.5, 1.5]
