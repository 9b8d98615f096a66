"""Filters against scipy.ndimage and torch; what they do to ramps, parabolas and plain images."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from dlcore.ops import apply_filter, filters

ndimage = pytest.importorskip("scipy.ndimage")
IMAGES: Any = np.random.default_rng(0).normal(size=(2, 6, 7, 3)).astype(np.float32)
SCIPY_MODES = ["constant", "nearest", "reflect", "mirror", "wrap"]


def _by_channel(function, images):
    """What a function of one plane does to every channel of every image."""
    planes = np.moveaxis(images, -1, 1).reshape(-1, *images.shape[1:-1])
    done = np.stack([function(plane) for plane in planes])
    return np.moveaxis(done.reshape(images.shape[0], images.shape[-1], *done.shape[1:]), 1, -1)


FILTERS = {
    "sobel x": (filters.sobel("x"), lambda plane, mode: ndimage.sobel(plane, 1, mode=mode)),
    "sobel y": (filters.sobel("y"), lambda plane, mode: ndimage.sobel(plane, 0, mode=mode)),
    "prewitt x": (filters.prewitt("x"), lambda plane, mode: ndimage.prewitt(plane, 1, mode=mode)),
    "prewitt y": (filters.prewitt("y"), lambda plane, mode: ndimage.prewitt(plane, 0, mode=mode)),
    "laplacian": (filters.laplacian(), lambda plane, mode: ndimage.laplace(plane, mode=mode)),
    "box": (filters.box(3), lambda plane, mode: ndimage.uniform_filter(plane, 3, mode=mode)),
    "even box": (filters.box(4), lambda plane, mode: ndimage.uniform_filter(plane, 4, mode=mode)),
    "gaussian": (filters.gaussian(9, 0.9), lambda plane, mode: ndimage.gaussian_filter(plane, 0.9, mode=mode)),
}


@pytest.mark.few(5)
@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("mode", SCIPY_MODES)
def test_filters_agree_with_scipy(name, mode):
    filter, theirs = FILTERS[name]
    found = apply_filter(IMAGES, filter, padding=mode)
    expected = _by_channel(functools.partial(theirs, mode=mode), IMAGES)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.few(5)
@pytest.mark.parametrize("mode", SCIPY_MODES)
@pytest.mark.parametrize(
    ("spatial", "window"), [((9,), (4,)), ((6, 7), (2, 5)), ((4, 5, 3), (3, 2, 3)), ((1, 5), (3, 3)), ((2, 3), (7, 7))]
)
def test_any_filter_agrees_with_scipy_correlate(mode, spatial, window):
    rng = np.random.default_rng(1)
    images, filter = rng.normal(size=(2, *spatial, 2)), rng.normal(size=window)
    with jax.enable_x64(True):
        found = apply_filter(jnp.asarray(images), jnp.asarray(filter), padding=mode)
    expected = _by_channel(lambda plane: ndimage.correlate(plane, filter, mode=mode), images)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_valid_keeps_the_places_where_the_window_lies_inside():
    found = apply_filter(IMAGES, filters.sobel("x"), padding="VALID")
    np.testing.assert_allclose(found, apply_filter(IMAGES, filters.sobel("x"))[:, 1:-1, 1:-1], rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="kernel is larger than x"):
        apply_filter(IMAGES, filters.box(8), padding="VALID")


def test_filters_have_the_sums_that_they_should():
    for filter in (filters.box(5), filters.gaussian(7, 2.0), filters.sharpen(), filters.sharpen(8)):
        np.testing.assert_allclose(filter.sum(), 1, rtol=1e-6)
    for filter in (filters.sobel("x"), filters.prewitt("y"), filters.laplacian(), filters.laplacian(8)):
        assert filter.sum() == 0


def test_derivatives_of_ramps_and_parabolas():
    columns = jnp.broadcast_to(jnp.arange(7.0), (7, 7)).reshape(1, 7, 7, 1)
    inner = lambda filter, images: np.unique(apply_filter(images, filter, padding="VALID")).tolist()
    assert inner(filters.sobel("x"), columns) == [8.0] and inner(filters.sobel("y"), columns) == [0.0]
    assert inner(filters.prewitt("x"), columns) == [6.0]
    assert inner(filters.laplacian(), columns**2) == [2.0] and inner(filters.laplacian(8), columns**2) == [6.0]
    assert inner(filters.sharpen(), columns) == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_plain_image_stays_plain_up_to_its_border():
    plain = jnp.full((1, 5, 5, 1), 0.7)
    for filter in (filters.sharpen(), filters.box(3), filters.gaussian(3, 1.0)):
        np.testing.assert_allclose(apply_filter(plain, filter), plain, rtol=1e-6)
    assert jnp.abs(apply_filter(plain, filters.laplacian())).max() < 1e-6
    assert jnp.abs(apply_filter(plain, filters.laplacian(), padding="constant")).max() > 1  # why that is no default


@pytest.mark.slow
def test_gaussian_blurs_of_any_width_are_finite_and_differentiable():
    narrow = jax.jit(filters.gaussian, static_argnums=0)(3, 1e-3)
    np.testing.assert_array_equal(narrow, np.pad([[1.0]], 1))
    slope = jax.jit(jax.grad(lambda sigma: filters.gaussian(5, sigma)[2, 2]))
    h = 1e-2
    by_difference = (filters.gaussian(5, 1 + h)[2, 2] - filters.gaussian(5, 1 - h)[2, 2]) / (2 * h)
    np.testing.assert_allclose(slope(1.0), by_difference, rtol=1e-2)


@pytest.mark.slow
def test_filters_are_differentiable_in_images_and_filter_and_keep_half_precision():
    images, filter = jnp.asarray(IMAGES[:1]), jnp.asarray(np.random.default_rng(2).normal(size=(3, 3)), jnp.float32)
    for padding in ("nearest", "wrap"):
        check_grads(
            lambda images, filter: apply_filter(images, filter, padding=padding),  # noqa: B023
            (images, filter),
            order=1,
            modes=["rev"],
            rtol=1e-2,
            atol=1e-2,
        )
    assert apply_filter(images.astype(jnp.bfloat16), filter).dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: filters.sobel("z"), "direction must be 'x'"),
        (lambda: filters.laplacian(6), "neighbours must be 4 or 8, got 6"),
        (lambda: filters.sharpen(5), "neighbours must be 4 or 8"),
        (lambda: filters.box(0), "size must be at least 1"),
        (lambda: filters.gaussian(4, 1.0), "size must be odd"),
        (lambda: filters.gaussian(3, 0.0), "sigma must be more than 0"),
        (lambda: filters.gaussian(3, float("nan")), "sigma must be more than 0"),
        (lambda: apply_filter(IMAGES, jnp.ones(3)), "filter must have 2 axes"),
        (lambda: apply_filter(IMAGES, filters.box(3), padding="SAME"), "padding must be 'nearest', 'constant'"),
        (lambda: apply_filter(IMAGES[:, :0], filters.box(3)), "no pixels"),
    ],
)
def test_filters_refuse_what_does_not_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_integer_images_are_refused():
    with pytest.raises(TypeError, match="images must have a floating dtype, got uint8"):
        apply_filter(jnp.zeros((1, 4, 4, 1), jnp.uint8), filters.box(3))
