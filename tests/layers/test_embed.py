from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.initializers import normal
from dlcore.layers import embed

KEY = jax.random.key(0)
IDS = jnp.array([[0, 4, 2], [2, 2, 1]])
PARAMS: Any = embed(5, 3).init(KEY, IDS)[0]


def test_embed_agrees_with_torch_in_values_and_gradients():
    torch = pytest.importorskip("torch")
    oracle = torch.nn.Embedding.from_pretrained(torch.tensor(np.array(PARAMS["embedding"])), freeze=False)
    y = oracle(torch.tensor(np.array(IDS)))
    (y**2).sum().backward()
    np.testing.assert_array_equal(embed(5, 3).apply(PARAMS, {}, IDS)[0], y.detach().numpy())
    gradient = jax.grad(lambda params: (embed(5, 3).apply(params, {}, IDS)[0] ** 2).sum())(PARAMS)["embedding"]
    np.testing.assert_allclose(gradient, oracle.weight.grad.numpy(), rtol=1e-6)


def test_the_deviation_at_the_start_is_the_one_given():
    for layer, deviation in ((embed(1000, 16), 0.02), (embed(1000, 16, embedding_init=normal(1.0)), 1.0)):
        # 16,000 values: the deviation is known to 1 / sqrt(32,000); four of that.
        np.testing.assert_allclose(layer.init(KEY, IDS)[0]["embedding"].std(), deviation, rtol=0.023)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "uint32"])
def test_every_integer_type_looks_up_the_same(dtype: str):
    params, _ = embed(200, 3).init(KEY, IDS)
    np.testing.assert_array_equal(embed(200, 3).apply(params, {}, IDS.astype(dtype))[0], params["embedding"][IDS])


@pytest.mark.parametrize("ids", [[-1, 0], [0, 5], [7]])
def test_concrete_ids_outside_the_vocabulary_are_refused(ids: list[int]):
    with pytest.raises(ValueError, match=rf"embed\(5\): expected ids in \[0, 5\), found {min(ids)} to {max(ids)}"):
        embed(5, 3).apply(PARAMS, {}, jnp.array(ids))


def test_concrete_ids_are_checked_while_the_params_are_traced():
    gradient = jax.jit(jax.grad(lambda params: embed(5, 3).apply(params, {}, IDS)[0].sum()))
    assert np.isfinite(gradient(PARAMS)["embedding"]).all()
    outside = jnp.array([0, 9])
    with pytest.raises(ValueError, match="found 0 to 9"):
        jax.jit(lambda params: embed(5, 3).apply(params, {}, outside)[0]).lower(PARAMS)


@pytest.mark.parametrize("dtype", ["int8", "int32"])
def test_traced_ids_outside_the_vocabulary_give_nan_and_never_another_row(dtype: str):
    params, _ = embed(100, 3).init(KEY, IDS)
    ids = jnp.array([-100, -1, 99, 100, 127], dtype)
    y = jax.jit(embed(100, 3).apply)(params, {}, ids)[0]
    np.testing.assert_array_equal(y[2], params["embedding"][99])
    assert np.isnan(np.delete(y, 2, axis=0)).all()


def test_an_empty_sequence_is_fine():
    assert embed(5, 3).apply(PARAMS, {}, jnp.zeros((2, 0), int))[0].shape == (2, 0, 3)


@pytest.mark.parametrize("dtype", ["float32", "bool"])
def test_what_is_no_integer_is_refused(dtype: str):
    with pytest.raises(TypeError, match=f"embed looks up integers, found {dtype}"):
        embed(5, 3).init(KEY, jnp.zeros(3, dtype))
    with pytest.raises(TypeError, match=f"embed looks up integers, found {dtype}"):
        embed(5, 3).apply(PARAMS, {}, jnp.zeros(3, dtype))


def test_the_params_of_another_vocabulary_are_refused():
    with pytest.raises(ValueError, match=r"expected params embedding \(6, 3\), found embedding \(5, 3\)"):
        embed(6, 3).apply(PARAMS, {}, IDS)


@pytest.mark.parametrize("sizes", [(0, 3), (5, 0), (-1, 3)])
def test_sizes_that_are_not_positive_are_refused(sizes: tuple[int, int]):
    with pytest.raises(ValueError, match="expected a positive whole number"):
        embed(*sizes)
