from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.initializers import constant
from dlcore.layers import dense, maxout

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(2, 5, 4))


@pytest.mark.parametrize("use_bias", [True, False])
def test_maxout_agrees_with_torch_in_value_and_gradients(use_bias: bool):
    torch = pytest.importorskip("torch")
    model = maxout(3, 2, use_bias=use_bias, bias_init=constant(0.5))
    with jax.enable_x64(True):
        params, state = model.init(KEY, jnp.asarray(X))
        loss = lambda params, x: (model.apply(params, state, x)[0] ** 2).sum()
        value, gradients = jax.value_and_grad(loss, (0, 1))(params, X)
    leaves: Any = jax.tree.map(lambda leaf: torch.tensor(np.array(leaf), requires_grad=True), (params, X))
    linear = leaves[1] @ leaves[0]["kernel"] + (leaves[0]["bias"] if use_bias else 0)
    expected = (linear.reshape(2, 5, 3, 2).amax(-1) ** 2).sum()
    expected.backward()
    np.testing.assert_allclose(value, expected.item(), rtol=1e-13)
    for ours, leaf in zip(jax.tree.leaves(gradients), jax.tree.leaves(leaves), strict=True):
        np.testing.assert_allclose(ours, leaf.grad.numpy(), rtol=1e-11, atol=1e-13)


def test_a_single_piece_is_a_dense_layer():
    x = jnp.asarray(X, jnp.float32)
    for ours, theirs in zip(maxout(3, 1).init(KEY, x), dense(3).init(KEY, x), strict=True):
        jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    params, state = dense(3).init(KEY, x)
    np.testing.assert_array_equal(maxout(3, 1).apply(params, state, x)[0], dense(3).apply(params, state, x)[0])


def test_each_kernel_column_has_the_fan_in_of_a_dense_layer():
    params, _ = maxout(100, 3).init(KEY, jnp.zeros((1, 400)))
    np.testing.assert_allclose(params["kernel"].std(), 1 / 20, rtol=0.02)  # 120 000 values


def test_sizes_that_are_not_positive_and_params_that_do_not_fit_are_refused():
    for sizes in ((0, 2), (3, 0), (3, 1.5)):
        with pytest.raises(ValueError, match="expected a positive whole number"):
            maxout(*sizes)  # pyright: ignore[reportArgumentType]
    x = jnp.ones((2, 4))
    with pytest.raises(ValueError, match=r"expected params bias \(6,\), kernel \(4, 6\)"):
        maxout(3, 2).apply(maxout(3, 3).init(KEY, x)[0], {}, x)
