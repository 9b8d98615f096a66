"""The arithmetic is tested in tests/ops; here are the params, and torch once for each number of axes."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.initializers import constant
from dlcore.layers import conv

KEY = jax.random.key(0)


def _normal(*shape: int) -> Any:
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


@pytest.mark.parametrize(
    ("spatial", "options", "theirs"),
    [
        ((9,), {}, {"padding": 1}),
        ((9, 8), {"strides": 2, "padding": "VALID", "use_bias": False}, {"stride": 2, "bias": False}),
        ((9, 8), {"padding": 2, "dilation": 2}, {"padding": 2, "dilation": 2}),
        ((9, 8), {"groups": 2}, {"padding": 1, "groups": 2}),
        ((5, 4, 6), {}, {"padding": 1}),
    ],
)
def test_conv_agrees_with_torch(spatial: tuple[int, ...], options: dict[str, Any], theirs: dict[str, Any]):
    torch = pytest.importorskip("torch")
    x = _normal(2, *spatial, 4)
    model = conv(6, 3, bias_init=constant(0.5), **options)
    params, state = model.init(KEY, x)
    oracle: Any = getattr(torch.nn, f"Conv{len(spatial)}d")(4, 6, 3, **theirs)
    with torch.no_grad():
        oracle.weight.copy_(torch.tensor(np.moveaxis(params["kernel"], (-1, -2), (0, 1)).copy()))
        if "bias" in params:
            oracle.bias.copy_(torch.tensor(np.array(params["bias"])))
        expected = oracle(torch.tensor(np.moveaxis(x, -1, 1).copy())).numpy()
    # Sums of up to 108 products in another order.
    np.testing.assert_allclose(model.apply(params, state, x)[0], np.moveaxis(expected, 1, -1), rtol=1e-4, atol=1e-5)


def test_conv_agrees_with_flax():
    from flax import linen

    x = _normal(2, 8, 8, 3)
    params, state = conv(4, (3, 5), strides=(2, 1)).init(KEY, x)
    expected: Any = linen.Conv(4, (3, 5), strides=(2, 1)).apply({"params": params}, x)
    np.testing.assert_allclose(
        conv(4, (3, 5), strides=(2, 1)).apply(params, state, x)[0], expected, rtol=1e-4, atol=1e-5
    )


def test_one_number_stands_for_all_axes_of_the_window():
    shapes = [
        conv(6, 3).init(KEY, jnp.ones((1, *spatial, 2)))[0]["kernel"].shape for spatial in [(4,), (4, 4), (4, 4, 4)]
    ]
    assert shapes == [(3, 2, 6), (3, 3, 2, 6), (3, 3, 3, 2, 6)]


def test_a_depthwise_kernel_has_one_input_channel():
    params, _ = conv(8, 3, groups=4, use_bias=False).init(KEY, jnp.ones((1, 5, 5, 4)))
    assert params["kernel"].shape == (3, 3, 1, 8) and list(params) == ["kernel"]


@pytest.mark.parametrize("shape", [(3,), (2, 3), (1, 2, 2, 2, 2, 3)])
def test_another_rank_is_refused(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"expected x \(B, \*spatial, channels\) with 1 to 3 spatial axes, found"):
        conv(3, 3).init(KEY, jnp.ones(shape))


def test_a_window_of_another_rank_is_refused():
    with pytest.raises(ValueError, match="with 2 spatial axes, found"):
        conv(3, (3, 3)).init(KEY, jnp.ones((1, 8, 3)))


def test_a_window_larger_than_the_input_is_refused():
    params, state = conv(3, 5, padding="VALID").init(KEY, jnp.ones((1, 8, 8, 3)))
    with pytest.raises(ValueError, match="larger than x"):
        conv(3, 5, padding="VALID").apply(params, state, jnp.ones((1, 4, 8, 3)))
    with pytest.raises(ValueError, match="larger than x"):
        conv(3, 5, padding="VALID").plan(jnp.ones((1, 4, 8, 3)))


def test_integers_are_refused():
    with pytest.raises(TypeError, match="conv computes in its input's floating type, found uint8"):
        conv(3, 3).init(KEY, jnp.ones((1, 8, 8, 3), jnp.uint8))


def test_another_number_of_channels_is_refused():
    params, state = conv(3, 3).init(KEY, jnp.ones((1, 8, 8, 3)))
    with pytest.raises(ValueError, match="expected params .* another number of channels than at init"):
        conv(3, 3).apply(params, state, jnp.ones((1, 8, 8, 1)))


def test_groups_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="x has 3 channels, which 2 groups do not divide"):
        conv(4, 3, groups=2).init(KEY, jnp.ones((1, 8, 8, 3)))
    with pytest.raises(ValueError, match="features, groups: expected features a multiple of groups"):
        conv(3, 3, groups=2)
    for features, groups in [(0, 1), (4, 0)]:
        with pytest.raises(ValueError, match="expected a positive whole number"):
            conv(features, 3, groups=groups)
