from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.initializers import delta_orthogonal, identity, orthogonal
from dlcore.layers import conv, dense

KEY = jax.random.key(0)


@pytest.mark.few(2)
@pytest.mark.parametrize("shape", [(6, 6), (9, 4), (4, 9), (3, 3, 2, 5), (1, 1), (0, 3)])
def test_bits_are_those_of_jax(shape: tuple[int, ...]):
    for scale in (1.0, 1.7):
        theirs = jax.nn.initializers.orthogonal(scale)(KEY, shape, jnp.float32)
        np.testing.assert_array_equal(orthogonal(scale)(KEY, shape), theirs, strict=True)


@pytest.mark.few(2)
@pytest.mark.parametrize("shape", [(3, 4, 4), (1, 4, 6), (3, 5, 2, 3), (3, 3, 3, 2, 2)])
def test_delta_orthogonal_bits_are_those_of_jax(shape: tuple[int, ...]):
    theirs = jax.nn.initializers.delta_orthogonal(1.7)(KEY, shape, jnp.float32)
    np.testing.assert_array_equal(delta_orthogonal(1.7)(KEY, shape), theirs, strict=True)


@pytest.mark.few(2)
@pytest.mark.parametrize("shape", [(40, 40), (40, 15), (15, 40), (3, 3, 4, 20)])
def test_the_fewer_of_rows_and_columns_are_orthonormal(shape: tuple[int, ...]):
    with jax.enable_x64(True):
        q = np.asarray(orthogonal()(KEY, shape, jnp.float64)).reshape(-1, shape[-1])
    small = q if q.shape[0] < q.shape[1] else q.T
    np.testing.assert_allclose(small @ small.T, np.eye(len(small)), atol=1e-14)


def test_the_matrices_are_uniformly_distributed():
    # Entries of a uniform one of size n have mean 0 and variance 1/n, the trace has mean 0 and variance 1. Without
    # the signs of the diagonal of R, LAPACK's first column would have a negative first entry always.
    q = np.asarray(jax.jit(jax.vmap(lambda key: orthogonal()(key, (4, 4))))(jax.random.split(KEY, 4000)), np.float64)
    assert abs(q.mean(0)).max() < 4 * 0.5 / np.sqrt(4000)
    np.testing.assert_allclose(q.var(0), 0.25, rtol=0.1)  # four standard errors
    traces = q.trace(axis1=1, axis2=2)
    assert abs(traces.mean()) < 4 / np.sqrt(4000)
    np.testing.assert_allclose(traces.var(), 1, rtol=0.1)


@pytest.mark.parametrize(("init", "shape"), [(orthogonal(1.7), (5, 7)), (delta_orthogonal(1.7), (3, 5, 7))])
def test_bits_are_the_same_eager_compiled_mapped_and_vmapped(init: Any, shape: tuple[int, ...]):
    keys = jax.random.split(KEY, 3)
    draw = lambda key: init(key, shape)
    eager = np.stack([draw(key) for key in keys])
    in_every_way = jax.jit(lambda keys: (draw(keys[0]), jax.vmap(draw)(keys), jax.lax.map(draw, keys)))
    for found, expected in zip(in_every_way(keys), (eager[0], eager, eager), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_the_rounded_float32(dtype: str):
    found = orthogonal()(KEY, (5, 7), dtype)
    np.testing.assert_array_equal(found, orthogonal()(KEY, (5, 7)).astype(dtype), strict=True)


def test_a_delta_orthogonal_convolution_keeps_lengths():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 6, 3)), jnp.float32)
    model = conv(5, 3, kernel_init=delta_orthogonal(), use_bias=False)
    y, _ = model.apply(*model.init(KEY, x), x)
    np.testing.assert_allclose(jnp.linalg.norm(y, axis=-1), jnp.linalg.norm(x, axis=-1), rtol=1e-5)


def test_identity_layers_return_their_input():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 6, 3)), jnp.float32)
    for model in (dense(3, kernel_init=identity()), conv(3, (3, 5), kernel_init=identity())):
        np.testing.assert_array_equal(model.apply(*model.init(KEY, x), x)[0], x)


@pytest.mark.few(2)
@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (5, 3, 4), (3, 5, 2, 2), (3, 1, 5, 4, 2)])
def test_identity_agrees_with_torch(shape: tuple[int, ...]):
    torch = pytest.importorskip("torch")
    oracle = torch.zeros(shape[::-1])  # (features, inputs, *window); identity is the same for a transposed window
    (torch.nn.init.eye_ if len(shape) == 2 else torch.nn.init.dirac_)(oracle)
    np.testing.assert_array_equal(identity()(KEY, shape), oracle.numpy().T)
    np.testing.assert_array_equal(identity(-0.5)(KEY, shape), -0.5 * oracle.numpy().T)


@pytest.mark.parametrize("init", [orthogonal(), delta_orthogonal(), identity()], ids=repr)
def test_a_vector_is_refused(init: Any):
    with pytest.raises(ValueError, match=r"needs a kernel .*found (shape )?\(3,\): use"):
        init(KEY, (3,))


@pytest.mark.parametrize("init", [delta_orthogonal(), identity()], ids=repr)
def test_a_window_without_a_centre_is_refused(init: Any):
    with pytest.raises(ValueError, match=r"a window with a centre, of odd sizes, found \(3, 2\) in shape"):
        init(KEY, (3, 2, 4, 4))


def test_delta_orthogonal_refuses_more_inputs_than_features_and_a_matrix():
    with pytest.raises(ValueError, match=r"at least as many features as inputs, found shape \(3, 5, 4\)"):
        delta_orthogonal()(KEY, (3, 5, 4))
    with pytest.raises(ValueError, match=r"\(\*window, inputs, features\), found \(4, 4\): use `orthogonal`"):
        delta_orthogonal()(KEY, (4, 4))
