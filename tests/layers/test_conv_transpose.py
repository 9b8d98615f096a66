"""The arithmetic is tested in tests/ops; here are the params, and torch and Flax once."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.initializers import constant
from dlcore.layers import conv_transpose

KEY = jax.random.key(0)


def _normal(*shape: int) -> Any:
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


@pytest.mark.parametrize(
    ("spatial", "options", "theirs"),
    [
        ((5,), {"strides": 2, "padding": "VALID"}, {"stride": 2}),
        ((4, 5), {"strides": 2, "padding": ((1, 0), (1, 0))}, {"stride": 2, "padding": 1, "output_padding": 1}),
        ((4, 5), {"padding": 2, "dilation": 2, "use_bias": False}, {"padding": 2, "dilation": 2, "bias": False}),
        ((3, 2, 3), {"strides": (1, 2, 3), "padding": "VALID"}, {"stride": (1, 2, 3)}),
    ],
)
def test_conv_transpose_agrees_with_torch(spatial: tuple[int, ...], options: dict[str, Any], theirs: dict[str, Any]):
    torch = pytest.importorskip("torch")
    x = _normal(2, *spatial, 4)
    model = conv_transpose(6, 3, bias_init=constant(0.5), **options)
    params, state = model.init(KEY, x)
    oracle: Any = getattr(torch.nn, f"ConvTranspose{len(spatial)}d")(4, 6, 3, **theirs)
    with torch.no_grad():
        oracle.weight.copy_(torch.tensor(np.moveaxis(params["kernel"], (-2, -1), (0, 1)).copy()))
        if "bias" in params:
            oracle.bias.copy_(torch.tensor(np.array(params["bias"])))
        expected = oracle(torch.tensor(np.moveaxis(x, -1, 1).copy())).numpy()
    np.testing.assert_allclose(model.apply(params, state, x)[0], np.moveaxis(expected, 1, -1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_conv_transpose_is_that_of_flax_with_the_kernel_flipped(padding: str):
    from flax import linen

    x = _normal(2, 5, 4, 3)
    model = conv_transpose(4, (3, 4), strides=2, padding=padding)
    params, state = model.init(KEY, x)
    flipped = {**params, "kernel": jnp.flip(params["kernel"], (0, 1))}
    expected: Any = linen.ConvTranspose(4, (3, 4), strides=(2, 2), padding=padding).apply({"params": flipped}, x)
    np.testing.assert_allclose(model.apply(params, state, x)[0], expected, rtol=1e-4, atol=1e-5)


def test_the_kernel_maps_channels_of_the_input_to_features():
    params, _ = conv_transpose(6, (3, 2), groups=2).init(KEY, jnp.ones((1, 4, 4, 8)))
    assert {name: leaf.shape for name, leaf in params.items()} == {"kernel": (3, 2, 4, 6), "bias": (6,)}


def test_what_does_not_fit_is_refused():
    with pytest.raises(TypeError, match="conv_transpose computes in its input's floating type, found uint8"):
        conv_transpose(3, 3).init(KEY, jnp.ones((1, 8, 8, 3), jnp.uint8))
    with pytest.raises(ValueError, match="expected features a multiple of groups"):
        conv_transpose(3, 3, groups=2)
    with pytest.raises(ValueError, match="with 2 spatial axes, found"):
        conv_transpose(3, (3, 3)).init(KEY, jnp.ones((1, 8, 3)))
    with pytest.raises(ValueError, match="expected a positive whole number"):
        conv_transpose(0, 3)
