"""Synthetic sets follow their rule, depend on their key alone, and come out the same compiled."""

from __future__ import annotations

import datetime
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import datasets
from sklearn.datasets import load_digits

from dlcore.data import synthetic
from dlcore.data.synthetic import (
    DATE_CHARACTERS,
    DATE_FORMS,
    blobs,
    checkerboard,
    chirps,
    circles,
    dates,
    digit_scenes,
    lagged_copy,
    moons,
    ravine,
    read_dates,
    reversal,
    rosenbrock,
    sorting,
    spirals,
    tent_map,
    tones,
    valley,
    xor,
)
from dlcore.data.synthetic._series import _PRIME, _fraction

BUNCH: Any = load_digits()
WRONG: Any = 2.0
SETS = {
    "blobs": partial(blobs, n=101),
    "checkerboard": partial(checkerboard, n=101),
    "chirps": partial(chirps, n=3, length=64, noise=0.1),
    "circles": partial(circles, n=101),
    "dates": partial(dates, n=101),
    "digit_scenes": partial(digit_scenes, images=BUNCH.images[:50], labels=BUNCH.target[:50], n=3),
    "lagged_copy": partial(lagged_copy, n=4),
    "moons": partial(moons, n=101),
    "ravine": partial(ravine, n=101, noise=0.1),
    "reversal": partial(reversal, n=4),
    "sorting": partial(sorting, n=4),
    "spirals": partial(spirals, n=101),
    "tent_map": partial(tent_map, n=3),
    "tones": partial(tones, n=3, length=64),
    "xor": partial(xor, n=101, noise=0.1),
}


@pytest.mark.few(1)
@pytest.mark.parametrize("name", SETS)
def test_a_set_is_a_function_of_its_key_and_compiles_to_the_same(name):
    make, key = SETS[name], jax.random.key(3)
    eager, again, other, compiled = make(key), make(3), make(4), jax.jit(make)(key)
    assert {"x", "y"} <= set(eager)
    assert not np.array_equal(eager["x"], other["x"])
    for part, array in eager.items():
        assert array.dtype in (jnp.float32, jnp.int32) and len(array) == len(eager["x"])
        np.testing.assert_array_equal(array, again[part])
        # A compiled program may contract a product and a sum; of Hz in thousands that is 1e-3.
        np.testing.assert_allclose(array, compiled[part], rtol=1e-5, atol=1e-4, err_msg=part)


def test_every_set_is_tried_here():
    others = {"DATE_CHARACTERS", "DATE_FORMS", "read_dates", "rosenbrock", "valley"}
    assert set(SETS) == set(synthetic.__all__) - others


@pytest.mark.parametrize(
    ("make", "classes"),
    [(moons, 2), (circles, 2), (spirals, 2), (partial(spirals, classes=5), 5), (blobs, 3), (checkerboard, 2), (xor, 2)],
)
def test_classes_are_balanced(make, classes):
    counts = np.bincount(make(0, 101)["y"], minlength=classes)
    assert counts.sum() == 101 and counts.max() - counts.min() <= 1


def test_one_example_is_a_set_too():
    assert moons(0, 1)["x"].shape == (1, 2) and checkerboard(0, 1)["y"].tolist() == [0]


@pytest.mark.parametrize(("ours", "theirs"), [(moons, datasets.make_moons), (circles, datasets.make_circles)])
def test_without_noise_points_lie_on_the_curves_of_scikit_learn(ours, theirs):
    options = {"factor": 0.4} if ours is circles else {}
    batch = ours(0, 101, noise=0.0, **options)
    x, y = theirs(4000, shuffle=False, noise=None, **options)
    for label in (0, 1):
        ours_x, curve = np.asarray(batch["x"])[np.asarray(batch["y"]) == label], x[y == label]
        distances = np.linalg.norm(ours_x[:, None] - curve[None], axis=-1)
        spacing = np.linalg.norm(curve[1] - curve[0])
        assert distances.min(axis=1).max() <= spacing / 2 + 1e-5  # ours lie on theirs
        assert distances.min(axis=0).max() < 0.5  # and all along it


@pytest.mark.slow
def test_noise_has_the_standard_deviation_that_is_asked_for():
    for make in (moons, xor):
        shaken, still = make(0, 4000, noise=0.3)["x"], make(0, 4000, noise=0.0)["x"]
        np.testing.assert_allclose(np.std(shaken - still), 0.3, rtol=0.05)


def test_arms_of_a_spiral_are_the_first_one_turned():
    batch = spirals(0, 101, classes=5, turns=1.5, noise=0.0)
    x = np.asarray(batch["x"], np.float64)
    radius, angle = np.hypot(*x.T), np.arctan2(x[:, 1], x[:, 0])
    expected = 2 * np.pi * (1.5 * radius + np.asarray(batch["y"]) / 5)
    np.testing.assert_allclose(np.exp(1j * angle), np.exp(1j * expected), atol=1e-4)


def test_xor_is_exclusive_or_and_each_corner_is_as_frequent():
    batch = xor(0, 40)
    corners = np.asarray(batch["x"]).astype(int)
    np.testing.assert_array_equal(batch["y"], corners[:, 0] ^ corners[:, 1])
    assert np.unique(corners, axis=0, return_counts=True)[1].tolist() == [10] * 4
    np.testing.assert_array_equal(xor(0, 40, noise=0.5)["y"], batch["y"])


@pytest.mark.few(1)
@pytest.mark.parametrize("cells", [2, 7])
def test_a_checkerboard_is_the_parity_of_its_squares_and_covers_them_evenly(cells):
    batch = checkerboard(0, 20_000, cells=cells)
    x = np.asarray(batch["x"])
    squares = np.floor(x * cells).astype(int)
    assert x.min() >= 0 and x.max() < 1
    np.testing.assert_array_equal(batch["y"], squares.sum(axis=1) % 2)
    counts = np.bincount(squares[:, 0] * cells + squares[:, 1], minlength=cells * cells)
    np.testing.assert_allclose(counts, 20_000 / cells**2, rtol=0.3)


@pytest.mark.slow
def test_blobs_have_the_spread_that_is_asked_for_around_centres_of_their_own():
    batch = blobs(1, 9000, classes=3, features=4, std=0.5)
    groups = [np.asarray(batch["x"])[np.asarray(batch["y"]) == label] for label in range(3)]
    np.testing.assert_allclose([group.std(axis=0) for group in groups], 0.5, rtol=0.1)
    still = blobs(1, 6, classes=3, features=4, std=0.0)
    assert len(np.unique(still["x"], axis=0)) == 3


@pytest.mark.slow
def test_the_valley_is_a_quadratic_with_its_condition_number():
    hessian = jax.hessian(partial(valley, condition=1e3))(jnp.ones(4))
    eigenvalues = np.linalg.eigvalsh(hessian)
    np.testing.assert_allclose(eigenvalues, [1e-3, 1e-2, 1e-1, 1.0], rtol=1e-5)


def test_rosenbrock_agrees_with_scipy():
    from scipy.optimize import rosen

    x = np.random.default_rng(0).normal(size=(10, 5))
    np.testing.assert_allclose(rosenbrock(jnp.asarray(x)), [rosen(row) for row in x], rtol=1e-4)


@pytest.mark.slow
def test_a_ravine_is_its_surface_at_the_points():
    for surface in (valley, rosenbrock):
        batch = ravine(0, 50, 3, surface=surface, reach=1.5)
        np.testing.assert_array_equal(batch["y"][:, 0], surface(batch["x"]))
        assert 1.2 < np.abs(batch["x"]).max() <= 1.5
    with pytest.raises(ValueError, match="one|heights of shape"):
        ravine(0, 5, surface=lambda x: x)
    with pytest.raises(ValueError, match="d at least 2"):
        valley(jnp.ones((4, 1)))


def test_the_tent_map_is_the_map_and_does_not_collapse():
    batch = tent_map(0, 8, length=5000)
    x, y = (np.asarray(batch[part], np.float64) for part in ("x", "y"))
    np.testing.assert_allclose(y, 2 * np.minimum(x, 1 - x), atol=2**-22)
    np.testing.assert_array_equal(x[:, 1:], y[:, :-1])
    assert 0 < y.min() and y.max() < 1
    # The invariant density is uniform: mean 1/2, variance 1/12, also in the last hundred steps.
    np.testing.assert_allclose([y.mean(), y.var()], [1 / 2, 1 / 12], atol=0.01)
    assert y[:, -100:].std() > 0.25


def test_no_value_of_the_tent_map_is_rounded_to_an_end():
    low, high = _fraction(jnp.array([1, int(_PRIME) - 1], jnp.uint32))
    assert 0 < low and high < 1


def test_the_tent_map_in_floating_point_does_collapse():
    x = np.asarray(tent_map(0, 8, length=1)["x"])
    for _ in range(60):
        x = np.float32(2) * np.minimum(x, np.float32(1) - x)
    assert not x.any()


@pytest.mark.parametrize("lag", [0, 3, 9])
def test_a_lagged_copy_says_what_was_said_before(lag):
    batch = lagged_copy(0, 20, length=10, lag=lag, vocabulary=4)
    x, y = np.asarray(batch["x"]), np.asarray(batch["y"])
    assert set(np.unique(x)) == {1, 2, 3}
    np.testing.assert_array_equal(y[:, lag:], x[:, : 10 - lag])
    assert not y[:, :lag].any()


def test_reversal_and_sorting_are_those_of_numpy():
    turned, ordered = reversal(0, 20, length=7, vocabulary=5), sorting(0, 20, length=7, vocabulary=5)
    np.testing.assert_array_equal(turned["y"], np.flip(turned["x"], axis=1))
    np.testing.assert_array_equal(ordered["y"], np.sort(ordered["x"], axis=1))
    assert set(np.unique(ordered["x"])) == set(range(5))


def test_dates_in_every_form_parse_to_their_iso_date():
    batch = dates(0, 3000)
    assert batch["x"].shape == (3000, 28) and batch["y"].shape == (3000, 10)
    seen = set()
    for written, iso in zip(read_dates(batch["x"]), read_dates(batch["y"]), strict=True):
        expected = datetime.date.fromisoformat(iso)
        forms = [form for form in DATE_FORMS if _parses(written, form)]
        assert len(forms) == 1, written
        assert datetime.datetime.strptime(written, forms[0]).date() == expected
        # strptime does not look whether the weekday fits the date; strftime says it anew.
        assert expected.strftime(forms[0]) == written
        seen.add(forms[0])
    assert seen == set(DATE_FORMS)
    years = [int(iso[:4]) for iso in read_dates(batch["y"])]
    assert 1900 <= min(years) < 1905 and 2095 < max(years) <= 2099


def test_tokens_of_dates_are_characters_and_anything_else_is_refused():
    assert len(set(DATE_CHARACTERS)) == len(DATE_CHARACTERS)
    assert read_dates(np.zeros((2, 3), int)) == ["", ""]
    with pytest.raises(ValueError, match="expected 0 to"):
        read_dates([[len(DATE_CHARACTERS)]])
    with pytest.raises(ValueError, match=r"\(n, length\)"):
        read_dates([1, 2])


def _parses(text, form):
    try:
        datetime.datetime.strptime(text, form)
    except ValueError:
        return False
    return True


@pytest.mark.few(1)
@pytest.mark.parametrize(("size", "count"), [(8, 1), (33, 5)])
def test_boxes_of_a_scene_hold_exactly_the_pixels_of_their_digit(size, count):
    scenes = digit_scenes(0, BUNCH.images, BUNCH.target, n=40, size=size, count=count)
    digits = {image.tobytes(): label for image, label in zip(_cropped(BUNCH.images), BUNCH.target, strict=True)}
    for x, labels, boxes, mask in zip(
        *(np.asarray(scenes[part]) for part in ("x", "y", "boxes", "masks")), strict=True
    ):
        np.testing.assert_array_equal(mask > 0, x[..., 0] > 0)
        for number, (label, box) in enumerate(zip(labels, boxes.astype(int), strict=True), start=1):
            rows, columns = np.nonzero(mask == number)
            assert box.tolist() == [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
            ymin, xmin, ymax, xmax = box
            inside = np.where(mask == number, x[..., 0], 0)[ymin:ymax, xmin:xmax]
            # No digit covers another: each is there with all its pixels, and has the label of that digit.
            assert digits[inside.astype(np.float64).tobytes()] == label


def test_digits_of_a_scene_lie_anywhere_in_their_cell():
    scenes = digit_scenes(0, np.ones((1, 2, 3)), np.zeros(1, int), n=300, size=9, count=4)
    corners = np.unique(np.asarray(scenes["boxes"]).reshape(-1, 4)[:, :2], axis=0)
    # Cells are 4 wide: a digit of 2 by 3 starts in rows 0 to 2 and 4 to 6, in columns 0, 1, 4 and 5, or all one on.
    assert len(corners) == 8 * 6


def _cropped(images):
    for image in images:
        rows, columns = np.nonzero(image)
        yield np.ascontiguousarray(image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1])


def test_the_peak_of_a_tone_is_at_its_frequency():
    batch = tones(0, 20, length=4096, sample_rate=8000, low=100, high=3900)
    spectrum = np.abs(np.fft.rfft(np.asarray(batch["x"])[..., 0] * np.hanning(4096), axis=1))
    peaks = np.fft.rfftfreq(4096, 1 / 8000)[spectrum.argmax(axis=1)]
    np.testing.assert_allclose(peaks, np.asarray(batch["y"])[:, 0], atol=8000 / 4096)
    np.testing.assert_allclose(np.square(batch["x"]).mean(), 0.5, atol=0.01)  # amplitude 1


def test_the_frequency_of_a_chirp_moves_from_the_first_target_to_the_second():
    batch = chirps(0, 20, length=8192, sample_rate=8000, low=500, high=3500)
    wave = np.asarray(batch["x"])[..., 0]
    for part, at in ((slice(0, 1024), 512), (slice(8192 - 1024, 8192), 8192 - 512)):
        power = np.abs(np.fft.rfft(wave[:, part] * np.hanning(1024), axis=1)) ** 2
        centre = (power * np.fft.rfftfreq(1024, 1 / 8000)).sum(axis=1) / power.sum(axis=1)
        start, end = np.asarray(batch["y"]).T
        np.testing.assert_allclose(centre, start + (end - start) * at / 8192, atol=15)


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: moons(0, WRONG), TypeError, "moons n: expected an int"),
        (lambda: moons(0, 0), ValueError, "moons n: expected at least 1, found 0"),
        (lambda: moons(0, 4, noise=-1), ValueError, r"moons noise: expected a number in \[0, inf\), found -1"),
        (lambda: moons(0, 4, noise=float("nan")), ValueError, "moons noise"),
        (lambda: moons(0, 4, noise="much"), TypeError, "moons noise: expected a number, found str"),
        (lambda: moons(0.5, 4), TypeError, "moons key"),
        (lambda: circles(0, 4, factor=1), ValueError, r"circles factor: expected a number in \[0, 1\)"),
        (lambda: spirals(0, 4, classes=1), ValueError, "spirals classes"),
        (lambda: spirals(0, 4, turns=0), ValueError, r"spirals turns: expected a number in \(0, inf\)"),
        (lambda: checkerboard(0, 4, cells=1), ValueError, "checkerboard cells"),
        (lambda: blobs(0, 4, features=True), TypeError, "blobs features"),
        (lambda: valley(jnp.ones(2), condition=0.5), ValueError, "valley condition"),
        (lambda: lagged_copy(0, 4, length=3, lag=3), ValueError, "lagged_copy length: expected at least 4"),
        (lambda: sorting(0, 4, vocabulary=1), ValueError, "sorting vocabulary"),
        (lambda: tones(0, 4, high=8000), ValueError, "sample_rate / 2 = 8000 Hz"),
        (lambda: chirps(0, 4, low=900, high=800), ValueError, "found low=900, high=800"),
        (lambda: digit_scenes(0, BUNCH.images, BUNCH.target, 1, size=15, count=2), ValueError, "16 pixels or more"),
        (lambda: digit_scenes(0, BUNCH.images, BUNCH.target[:5], 1), ValueError, r"expected shape \(1797,\)"),
        (lambda: digit_scenes(0, BUNCH.images, BUNCH.target / 1, 1), TypeError, "labels: expected integers"),
        (lambda: digit_scenes(0, np.zeros((2, 8, 8)), np.zeros(2, int), 1), ValueError, "none in row 0"),
        (lambda: digit_scenes(0, np.zeros((2, 8)), np.zeros(2, int), 1), ValueError, "images: expected"),
    ],
)
def test_a_wrong_call_names_the_argument(call, error, said):
    with pytest.raises(error, match=said):
        call()
