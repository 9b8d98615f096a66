"""Depthwise and separable convolution: their params, and both against torch."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.layers import depthwise_conv, separable_conv

KEY = jax.random.key(0)
X: Any = jnp.asarray(np.random.default_rng(0).normal(size=(2, 7, 6, 4)), jnp.float32)


def _to_torch(torch: Any, kernel: Any) -> Any:
    return torch.tensor(np.moveaxis(np.array(kernel), (-1, -2), (0, 1)).copy())


@pytest.mark.parametrize("multiplier", [1, 3])
def test_depthwise_conv_agrees_with_torch(multiplier: int):
    torch = pytest.importorskip("torch")
    model = depthwise_conv(3, multiplier=multiplier, strides=2, padding=1)
    params, state = model.init(KEY, X)
    assert params["kernel"].shape == (3, 3, 1, 4 * multiplier)
    expected = torch.nn.functional.conv2d(
        torch.tensor(np.moveaxis(X, -1, 1).copy()), _to_torch(torch, params["kernel"]), stride=2, padding=1, groups=4
    )
    np.testing.assert_allclose(
        model.apply(params, state, X)[0], np.moveaxis(expected.numpy(), 1, -1), rtol=1e-5, atol=1e-5
    )


def test_separable_conv_agrees_with_torch():
    torch = pytest.importorskip("torch")
    model = separable_conv(5, (3, 1), multiplier=2, padding="VALID")
    params, state = model.init(KEY, X)
    assert sorted(params["depthwise"]) == ["kernel"] and sorted(params["pointwise"]) == ["bias", "kernel"]
    inner = torch.nn.functional.conv2d(
        torch.tensor(np.moveaxis(X, -1, 1).copy()), _to_torch(torch, params["depthwise"]["kernel"]), groups=4
    )
    expected = torch.nn.functional.conv2d(inner, _to_torch(torch, params["pointwise"]["kernel"]))
    np.testing.assert_allclose(
        model.apply(params, state, X)[0], np.moveaxis(expected.numpy(), 1, -1), rtol=1e-5, atol=1e-5
    )


def test_what_does_not_fit_is_refused():
    with pytest.raises(TypeError, match="depthwise_conv computes in its input's floating type"):
        depthwise_conv(3).init(KEY, jnp.ones((1, 4, 4, 2), jnp.int32))
    with pytest.raises(ValueError, match="multiplier: expected a positive whole number"):
        depthwise_conv(3, multiplier=0)
    with pytest.raises(ValueError, match="kernel is larger than x"):
        separable_conv(3, 5, padding="VALID").init(KEY, jnp.ones((1, 4, 4, 2)))
