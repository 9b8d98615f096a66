"""Warps, tones and colours agree with SciPy, Pillow and matplotlib where they do the same thing."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.colors import hsv_to_rgb, rgb_to_hsv
from PIL import Image, ImageEnhance, ImageOps
from scipy import ndimage

from dlcore import augment as a
from dlcore.augment import _image, _rand_augment, _warp

KEY = jax.random.key(3)
RNG = np.random.default_rng(1)
BYTES = np.concatenate(
    [
        RNG.integers(0, 256, (3, 14, 19, 3), dtype=np.uint8),
        RNG.integers(90, 140, (2, 14, 19, 3), dtype=np.uint8),  # of little contrast
        np.full((1, 14, 19, 3), 77, np.uint8),  # of none
        (RNG.random((2, 14, 19, 3)) < 0.02).astype(np.uint8) * 9,  # nearly all of one level
    ]
)
IMAGES = jnp.asarray(BYTES / 255, jnp.float32)


def by_pillow(function):
    return np.stack([np.asarray(function(Image.fromarray(image))) for image in BYTES])


def as_bytes(images):
    return np.round(np.asarray(images, np.float64) * 255).astype(int)


@pytest.mark.parametrize("fill", [0.0, 0.7])
def test_a_warp_is_scipys_affine_transform(fill):
    matrices = RNG.normal(size=(len(IMAGES), 2, 3)) * [0.4, 0.4, 3] + np.eye(2, 3)
    found = a.warp(IMAGES, jnp.asarray(matrices, jnp.float32), fill)
    center = (np.array(IMAGES.shape[1:3]) - 1) / 2
    for image, matrix, ours in zip(np.asarray(IMAGES, np.float64), matrices, found, strict=True):
        offset = center + matrix[:, 2] - matrix[:, :2] @ center
        for channel in range(3):
            theirs = ndimage.affine_transform(
                image[..., channel], matrix[:, :2], offset, order=1, mode="grid-constant", cval=fill
            )
            np.testing.assert_allclose(ours[..., channel], theirs, atol=2e-5)


@pytest.mark.parametrize("angle", [90, 180, -90, 270, 720])
def test_a_rotation_by_quarters_is_exact_and_counterclockwise(angle):
    square = IMAGES[:, :, :14]
    turn = jnp.full(len(square), float(angle))
    nothing, one = jnp.zeros_like(turn), jnp.ones_like(turn)
    found = _warp.warped(square, _warp.inverse_map(turn, nothing, nothing, one, nothing), 0.0)
    theirs = [np.asarray(Image.fromarray(image[:, :14]).rotate(angle)) for image in BYTES]
    np.testing.assert_array_equal(as_bytes(found), theirs)
    np.testing.assert_array_equal(found, np.rot90(np.asarray(square), angle // 90, axes=(1, 2)))


def test_a_move_by_whole_pixels_is_exact():
    down, right = jnp.full(len(IMAGES), 3.0), jnp.full(len(IMAGES), -2.0)
    matrix = _warp.inverse_map(0 * down, down, right, 0 * down + 1, 0 * down)
    moved = ndimage.shift(np.asarray(IMAGES), (0, 3, -2, 0), order=0, cval=0.25)
    np.testing.assert_array_equal(a.warp(IMAGES, matrix, 0.25), moved)


@pytest.mark.slow
def test_scale_turn_shear_and_move_compose_in_this_order():
    angle, down, right, scale, shear = 25.0, 1.5, -2.5, 1.3, 0.2
    turn = np.deg2rad(angle)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])  # (row, column), y points down
    forward = np.eye(3)
    forward[:2, :2] = rotation @ (scale * np.eye(2)) @ np.array([[1, 0], [shear, 1]])
    forward[:2, 2] = down, right
    found = _warp.inverse_map(*(jnp.full(1, v) for v in (angle, down, right, scale, shear)))[0]
    np.testing.assert_allclose(found, np.linalg.inv(forward)[:2], rtol=1e-5, atol=1e-6)


def test_the_slope_by_the_matrix_is_that_of_finite_differences():
    smooth = jnp.asarray(ndimage.gaussian_filter(np.asarray(IMAGES[:1, ..., :1]), (0, 3, 3, 0)))
    total = lambda matrix: jnp.sum(a.warp(smooth, matrix[None], 0.0) ** 2)
    matrix = jnp.array([[1.01, 0.02, 0.31], [0.01, 0.98, 0.23]])
    slope = jax.grad(total)(matrix)[0, 2]
    change = (total(matrix.at[0, 2].add(1e-2)) - total(matrix.at[0, 2].add(-1e-2))) / 2e-2
    np.testing.assert_allclose(slope, change, rtol=0.02)


@pytest.mark.slow
def test_rotate_and_affine_stay_within_their_strengths():
    ramp = jnp.broadcast_to(jnp.arange(21.0)[:, None, None], (200, 21, 21, 1))
    places = {"x": ramp}
    moved = a.affine(translate=0.1)(KEY, places)["x"][:, 10, 10, 0] - 10  # by up to 2.1 rows
    assert 1.9 < float(abs(moved).max()) <= 2.1001 and float(moved.min()) < -1.5 and float(moved.max()) > 1.5
    slope = a.rotate(30)(KEY, places)["x"][:, 10, 11, 0] - 10  # the sine of the angle
    degrees = np.rad2deg(np.arcsin(np.asarray(slope)))
    assert 28 < degrees.max() <= 30.001 and -30.001 <= degrees.min() < -28 and abs(degrees.mean()) < 4
    steep = a.affine(scale=(0.5, 2.0))(KEY, places)["x"][:, 11, 10, 0] - 10  # one over the scale
    assert 0.499 <= steep.min() < 0.55 and 1.8 < steep.max() <= 2.001
    lean = a.affine(shear=45)(KEY, {"x": ramp.transpose(0, 2, 1, 3)})["x"][:, 11, 10, 0] - 10  # tangent
    assert 0.95 < float(abs(lean).max()) <= 1.001


@pytest.mark.parametrize("threshold", [0, 64, 128, 255])
def test_solarize_is_pillows(threshold):
    found = a.solarize(threshold / 255)(KEY, {"x": IMAGES})["x"]
    np.testing.assert_array_equal(as_bytes(found), by_pillow(lambda image: ImageOps.solarize(image, threshold)))


@pytest.mark.parametrize("bits", [1, 2, 4, 7, 8])
def test_posterize_is_pillows(bits):
    found = a.posterize(bits)(KEY, {"x": IMAGES})["x"]
    np.testing.assert_array_equal(as_bytes(found), by_pillow(lambda image: ImageOps.posterize(image, bits)))


def test_equalize_is_pillows():
    found = a.equalize()(KEY, {"x": IMAGES})["x"]
    np.testing.assert_array_equal(as_bytes(found), by_pillow(ImageOps.equalize))


def test_equalize_is_pillows_on_larger_images():
    wide = (np.clip(RNG.normal(0.4, 0.1, (2, 64, 64, 1)), 0, 1) * 255).astype(np.uint8)
    found = a.equalize()(KEY, {"x": jnp.asarray(wide / 255, jnp.float32)})["x"]
    theirs = [np.asarray(ImageOps.equalize(Image.fromarray(image[..., 0]))) for image in wide]
    np.testing.assert_array_equal(as_bytes(found)[..., 0], theirs)


def test_autocontrast_is_pillows_but_for_its_rounding_down():
    found = np.asarray(a.autocontrast()(KEY, {"x": IMAGES})["x"], np.float64) * 255
    theirs = by_pillow(ImageOps.autocontrast)
    assert (found - theirs > -1e-3).all() and (found - theirs < 1.001).all()


ENHANCED = [
    (_image.brightened, ImageEnhance.Brightness),
    (_image.contrasted, ImageEnhance.Contrast),
    (_image.saturated, ImageEnhance.Color),
    (_image.sharpened, ImageEnhance.Sharpness),
]


@pytest.mark.few(2)
@pytest.mark.parametrize(("ours", "theirs"), ENHANCED)
@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.8])
def test_enhancements_are_pillows_but_for_rounding(ours, theirs, factor):
    found = as_bytes(ours(IMAGES, jnp.full(len(IMAGES), factor)))
    # Pillow rounds brightness and the smoothed image to bytes before it mixes.
    assert abs(found - by_pillow(lambda image: theirs(image).enhance(factor)).astype(int)).max() <= 2


@pytest.mark.parametrize("turn", [0.25, -0.4, 1 / 3])
def test_turning_hue_is_matplotlibs(turn):
    hsv = rgb_to_hsv(np.asarray(IMAGES, np.float64))
    hsv[..., 0] = (hsv[..., 0] + turn) % 1
    found = _image.turned(IMAGES, jnp.full(len(IMAGES), turn))
    np.testing.assert_allclose(found, hsv_to_rgb(hsv), atol=1e-5)


def test_color_draws_factors_from_around_one():
    x = jnp.full((500, 1, 1, 1), 0.25)
    factors = np.asarray(a.color(brightness=0.4)(KEY, {"x": x})["x"]).ravel() / 0.25
    assert 0.6 <= factors.min() < 0.62 and 1.38 < factors.max() <= 1.4001 and abs(factors.mean() - 1) < 0.03
    bright = a.color(brightness=3.0)(KEY, {"x": x})["x"]  # factors from 0 to 4
    assert bright.min() < 0.02 and 0.99 < bright.max() < 1


def test_color_leaves_gray_images_gray_and_traced_saturation_leaves_them():
    x = jnp.broadcast_to(jnp.linspace(0, 1, 8)[:, None, None, None], (8, 4, 4, 3))
    found = a.color(0.3, 0.3, 0.5, 0.5)(KEY, {"x": x})["x"]
    np.testing.assert_allclose(found[..., 0], found[..., 2], atol=1e-6)
    one = jax.jit(lambda s: a.color(saturation=s)(KEY, {"x": x[..., :1]})["x"])(0.5)
    np.testing.assert_array_equal(one, x[..., :1])


# The operation of RandAugment, a level, and what Pillow makes of it.
OPERATIONS = {
    "brightness": (-0.5, lambda image: ImageEnhance.Brightness(image).enhance(0.55), 2),
    "color": (1.0, lambda image: ImageEnhance.Color(image).enhance(1.9), 2),
    "contrast": (0.5, lambda image: ImageEnhance.Contrast(image).enhance(1.45), 2),
    "sharpness": (-1.0, lambda image: ImageEnhance.Sharpness(image).enhance(0.1), 2),
    "posterize": (-0.5, lambda image: ImageOps.posterize(image, 6), 0),
    "solarize": (0.5, lambda image: ImageOps.solarize(image, 128), 0),
    "autocontrast": (1.0, ImageOps.autocontrast, 1),
    "equalize": (1.0, ImageOps.equalize, 0),
    "identity": (1.0, lambda image: image, 0),
}


@pytest.fixture(scope="module")
def operate():
    function = jax.jit(_rand_augment.apply_operation)
    numbered = lambda name: jnp.full(len(IMAGES), _rand_augment.OPERATIONS.index(name))
    return lambda name, level, x=IMAGES: function(x, numbered(name), jnp.full(len(IMAGES), float(level)), 0.0)


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_tone_of_rand_augment_is_pillows(operate, name):
    level, theirs, tolerance = OPERATIONS[name]
    assert abs(as_bytes(operate(name, level)) - by_pillow(theirs)).max() <= tolerance


# What the operation does to (row, column) from the centre, on the way from the result to the source.
WARPS = {
    "rotate": lambda m: [
        [np.cos(np.pi / 6 * m), np.sin(np.pi / 6 * m), 0],
        [-np.sin(np.pi / 6 * m), np.cos(np.pi / 6 * m), 0],
    ],
    "shear_x": lambda m: [[1, 0, 0], [-0.3 * m, 1, 0]],
    "shear_y": lambda m: [[1, -0.3 * m, 0], [0, 1, 0]],
    "translate_x": lambda m: [[1, 0, 0], [0, 1, -0.45 * 19 * m]],
    "translate_y": lambda m: [[1, 0, -0.45 * 14 * m], [0, 1, 0]],
}


@pytest.mark.parametrize("name", WARPS)
@pytest.mark.parametrize("level", [-0.6, 1.0])
def test_each_warp_of_rand_augment_is_the_map_of_its_name(operate, name, level):
    matrix = jnp.asarray(WARPS[name](level), jnp.float32)
    np.testing.assert_allclose(operate(name, level), a.warp(IMAGES, matrix, 0.0), atol=2e-5)


@pytest.mark.parametrize("name", sorted(set(_rand_augment.OPERATIONS) - {"autocontrast", "equalize"}))
def test_at_magnitude_nothing_an_operation_changes_nothing(operate, name):
    np.testing.assert_array_equal(operate(name, 0.0), IMAGES)


@pytest.mark.slow
def test_rand_augment_without_operations_changes_nothing_and_with_more_changes_more():
    x = jnp.broadcast_to(IMAGES[:1], (64, *IMAGES.shape[1:]))
    assert (a.rand_augment(0)(KEY, {"x": x})["x"] == x).all()
    changed = [float((a.rand_augment(n, 15)(KEY, {"x": x})["x"] == x).all((1, 2, 3)).mean()) for n in (1, 4)]
    assert changed[0] < 0.3 and changed[1] < changed[0]
