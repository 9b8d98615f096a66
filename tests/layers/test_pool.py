"""The arithmetic is tested in tests/ops; here is that the layers hand everything on, and the layers of shapes."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.layers import (
    adaptive_avg_pool,
    adaptive_max_pool,
    avg_pool,
    flatten,
    global_avg_pool,
    global_max_pool,
    max_pool,
    pixel_shuffle,
    pixel_unshuffle,
    resize,
    upsample,
)

X: Any = jnp.asarray(np.random.default_rng(0).normal(size=(2, 9, 8, 3)), jnp.float32)


@pytest.mark.parametrize(("layer", "name"), [(max_pool, "max_pool2d"), (avg_pool, "avg_pool2d")])
@pytest.mark.parametrize(("window", "strides"), [(2, None), ((3, 2), (2, 1)), (3, 1)])
def test_pooling_agrees_with_torch(layer, name, window, strides):
    torch = pytest.importorskip("torch")
    expected = getattr(torch.nn.functional, name)(torch.tensor(np.moveaxis(X, -1, 1).copy()), window, strides)
    found, state = layer(window, strides=strides).apply({}, {}, X)
    np.testing.assert_allclose(found, np.moveaxis(expected.numpy(), 1, -1), rtol=1e-5, atol=1e-6)
    assert state == {}


@pytest.mark.parametrize("layer", [max_pool, avg_pool])
def test_padding_does_not_count(layer):
    ones = jnp.full((1, 5, 5, 1), -2.0)
    np.testing.assert_array_equal(
        layer(3, strides=2, padding="SAME").apply({}, {}, ones)[0], np.full((1, 3, 3, 1), -2.0)
    )


def test_global_avg_pool_is_the_mean_over_the_spatial_axes():
    np.testing.assert_allclose(global_avg_pool().apply({}, {}, X)[0], np.mean(X, (1, 2)), rtol=1e-5, atol=1e-6)


def test_padding_counts_where_that_is_asked_for():
    corner = avg_pool(3, strides=2, padding="SAME", count_include_pad=True).apply({}, {}, jnp.ones((1, 5, 5, 1)))[0]
    np.testing.assert_allclose(corner[0, 0, 0, 0], 4 / 9, rtol=1e-6)


def test_layers_of_shapes_hand_everything_on():
    for made, shape in [
        (global_max_pool(), (2, 3)),
        (adaptive_avg_pool((4, 2)), (2, 4, 2, 3)),
        (adaptive_max_pool(3), (2, 3, 3, 3)),
        (upsample((1, 2), method="bilinear"), (2, 9, 16, 3)),
        (pixel_unshuffle((3, 2)), (2, 3, 4, 18)),
        (pixel_shuffle((3, 1)), (2, 27, 8, 1)),
    ]:
        assert made.plan(X).output.shape == made.apply({}, {}, X)[0].shape == shape
    with pytest.raises(ValueError, match="method: expected 'nearest', 'bilinear' or 'bicubic', found 'linear'"):
        upsample(2, method="linear")


def test_flatten_keeps_the_batch():
    assert flatten().apply({}, {}, X)[0].shape == (2, 9 * 8 * 3)
    assert flatten().apply({}, {}, X[:, 0, 0, 0])[0].shape == (2, 1)
    with pytest.raises(ValueError, match=r"flatten: expected x \(B, ...\) with a batch axis, found a scalar"):
        flatten().apply({}, {}, jnp.float32(1))


def test_flatten_of_an_empty_batch_keeps_its_width():
    assert flatten().apply({}, {}, X[:0])[0].shape == (0, 9 * 8 * 3)


@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic"])
def test_resize_agrees_with_jax_image(method: str):
    found, _ = resize((4, 5), method=method).apply({}, {}, X)
    np.testing.assert_allclose(found, jax.image.resize(X, (2, 4, 5, 3), method), rtol=1e-5, atol=1e-6)


def test_resize_by_twice_agrees_with_torch():
    torch = pytest.importorskip("torch")
    theirs = torch.nn.functional.interpolate(
        torch.tensor(np.moveaxis(X, -1, 1).copy()), scale_factor=2, mode="bilinear"
    )
    found, _ = resize((18, 16)).apply({}, {}, X)
    np.testing.assert_allclose(found, np.moveaxis(theirs.numpy(), 1, -1), rtol=1e-5, atol=1e-5)


def test_resize_refuses_what_it_cannot_resize():
    with pytest.raises(TypeError, match="resize computes in its input's floating type, found uint8"):
        resize((4, 4)).apply({}, {}, jnp.ones((1, 2, 2, 1), jnp.uint8))
    with pytest.raises(ValueError, match="with 1 spatial axes, found"):
        resize((4,)).apply({}, {}, X)
    with pytest.raises(ValueError, match="method: expected 'nearest', 'bilinear' or 'bicubic', found 'lanczos3'"):
        resize((4, 4), method="lanczos3")


@pytest.mark.parametrize(
    "layer", [max_pool(2), avg_pool(2), global_avg_pool(), global_max_pool(), adaptive_avg_pool(2)]
)
def test_pooling_refuses_integers(layer):
    with pytest.raises(TypeError, match="floating"):
        layer.apply({}, {}, jnp.ones((1, 4, 4, 1), int))
