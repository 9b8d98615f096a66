from __future__ import annotations

import jax
import numpy as np
import pytest

from dlcore.initializers import sparse

KEY = jax.random.key(0)


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.75, 0.99])
def test_every_unit_has_as_many_zeros_as_torchs(sparsity: float):
    torch = pytest.importorskip("torch")
    found = (np.asarray(sparse(sparsity)(KEY, (40, 7))) == 0).sum(0)
    expected = (torch.nn.init.sparse_(torch.empty(40, 7), sparsity) == 0).sum(0)
    np.testing.assert_array_equal(found, expected.numpy())


def test_the_others_are_gaussian_and_their_places_uniform():
    kernels = np.asarray(jax.jit(jax.vmap(lambda key: sparse(0.75, 0.5)(key, (8, 5))))(jax.random.split(KEY, 2000)))
    kept = kernels[kernels != 0]  # 20 000 values
    assert abs(kept.mean()) < 4 * 0.5 / np.sqrt(kept.size)
    np.testing.assert_allclose(kept.std(), 0.5, rtol=4 / np.sqrt(2 * kept.size))
    np.testing.assert_allclose((kernels != 0).mean(0), 0.25, atol=4 * np.sqrt(0.25 * 0.75 / 2000))


@pytest.mark.slow
def test_bits_are_the_same_eager_compiled_and_vmapped():
    keys = jax.random.split(KEY, 3)
    draw = lambda key: sparse(0.5, 0.3)(key, (5, 7))
    eager = np.stack([draw(key) for key in keys])
    for found, expected in zip(
        jax.jit(lambda k: (draw(k[0]), jax.vmap(draw)(k)))(keys), (eager[0], eager), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, 3, float("nan")])
def test_a_share_outside_its_range_is_refused(sparsity: float):
    with pytest.raises(ValueError, match=r"sparsity: expected the share of zeros, a number in \[0, 1\), found"):
        sparse(sparsity)


def test_what_is_no_matrix_is_refused():
    for shape in ((3,), (3, 3, 2, 2)):
        with pytest.raises(ValueError, match="sparse needs a matrix"):
            sparse(0.5)(KEY, shape)
