"""Upsampling and pixel shuffling against torch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.ops import pixel_shuffle, pixel_unshuffle, upsample


def _normal(*shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


@pytest.mark.parametrize(
    ("spatial", "method", "theirs"),
    [
        ((5,), "nearest", "nearest"),
        ((4, 3), "nearest", "nearest"),
        ((2, 3, 2), "nearest", "nearest"),
        ((5,), "bilinear", "linear"),
        ((4, 3), "bilinear", "bilinear"),
        ((2, 3, 2), "bilinear", "trilinear"),
    ],
)
def test_upsampling_agrees_with_torch_in_value_and_gradient(spatial, method, theirs):
    torch = pytest.importorskip("torch")
    x, factor = _normal(2, *spatial, 3), (2, 3, 1)[: len(spatial)]
    x_t = torch.tensor(np.moveaxis(np.array(x), -1, 1).copy(), requires_grad=True)
    y_t = torch.nn.functional.interpolate(x_t, scale_factor=tuple(map(float, factor)), mode=theirs)
    y_t.backward(torch.cos(y_t.detach()))

    @jax.jit
    def ours(x):
        y, pull_back = jax.vjp(lambda x: upsample(x, factor, method=method), x)
        return y, pull_back(jnp.cos(y))[0]

    for one, other in zip(ours(x), (y_t.detach(), x_t.grad), strict=True):
        np.testing.assert_allclose(one, np.moveaxis(other.numpy(), 1, -1), rtol=1e-5, atol=1e-5)


def test_bicubic_upsampling_is_that_of_jax():
    x = _normal(1, 4, 3, 2)
    np.testing.assert_allclose(
        upsample(x, 2, method="bicubic"), jax.image.resize(x, (1, 8, 6, 2), "bicubic"), rtol=1e-6, atol=1e-6
    )


def test_pixel_shuffle_agrees_with_torch():
    torch = pytest.importorskip("torch")
    x = _normal(2, 3, 4, 18)
    expected = torch.nn.functional.pixel_shuffle(torch.tensor(np.moveaxis(np.array(x), -1, 1).copy()), 3)
    np.testing.assert_array_equal(pixel_shuffle(x, 3), np.moveaxis(expected.numpy(), 1, -1))
    back = torch.nn.functional.pixel_unshuffle(expected, 3)
    np.testing.assert_array_equal(pixel_unshuffle(pixel_shuffle(x, 3), 3), np.moveaxis(back.numpy(), 1, -1))


@pytest.mark.parametrize(("spatial", "factor"), [((6,), 3), ((4, 6), (2, 3)), ((2, 4, 6), (1, 2, 3))])
def test_shuffling_and_unshuffling_undo_each_other(spatial, factor):
    x = _normal(2, *spatial, 2)
    y = pixel_unshuffle(x, factor)
    assert y.size == x.size
    np.testing.assert_array_equal(pixel_shuffle(y, factor), x)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: pixel_shuffle(jnp.zeros((1, 2, 2, 6)), 2), ValueError, "has 6 channels, which blocks of 4"),
        (lambda: pixel_unshuffle(jnp.zeros((1, 3, 2, 1)), 2), ValueError, "does not divide"),
        (lambda: upsample(jnp.zeros((1, 3, 1)), 0), ValueError, "factor must be at least 1"),
        (lambda: upsample(jnp.zeros((1, 3, 1)), 1.5), TypeError, "factor must be an int"),  # type: ignore[arg-type]
        (lambda: upsample(jnp.zeros((1, 3, 1)), 2, method="linear"), ValueError, "method must be 'nearest'"),
        (lambda: upsample(jnp.zeros((1, 3, 1), jnp.uint8), 2), TypeError, "floating dtype, got uint8"),
        (lambda: upsample(jnp.zeros((3, 1)), 2), ValueError, "x must be a channels-last batch"),
    ],
)
def test_they_refuse_what_does_not_fit(call, error, message):
    with pytest.raises(error, match=message):
        call()
