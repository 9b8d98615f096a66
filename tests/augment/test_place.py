"""Flips, shifts, crops and cutout move and cover whole pixels, and all moves are about as frequent."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from dlcore import augment as a

KEY = jax.random.key(5)
IMAGES = jnp.asarray(np.random.default_rng(2).random((400, 7, 10, 2)), jnp.float32)


@pytest.mark.parametrize(("axis", "place"), [("horizontal", 1), ("vertical", 0)])
def test_flip_mirrors_each_image_or_leaves_it(axis, place):
    found = np.asarray(a.flip(0.3, axis=axis)(KEY, {"x": IMAGES})["x"])
    mirrored = np.stack([np.flip(image, place) for image in np.asarray(IMAGES)])
    is_mirrored = (found == mirrored).all((1, 2, 3))
    np.testing.assert_array_equal(found, np.where(is_mirrored[:, None, None, None], mirrored, IMAGES))
    assert abs(is_mirrored.mean() - 0.3) < 0.07
    np.testing.assert_array_equal(a.flip(1.0, axis=axis)(KEY, {"x": IMAGES})["x"], mirrored)


def moves(found, images, largest, mode, fill=0.0):
    """Returns the move (down, right) of each image, found by trying SciPy's at all."""
    steps = range(-largest, largest + 1)
    tried = {
        (down, right): ndimage.shift(images, (0, down, right, 0), order=0, mode=mode, cval=fill)
        for down in steps
        for right in steps
    }
    hits = {move: (found == image).all((1, 2, 3)) for move, image in tried.items()}
    assert (np.sum(list(hits.values()), axis=0) == 1).all()
    return {move: int(hit.sum()) for move, hit in hits.items()}


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("augment", "mode", "fill"),
    [
        (a.shift(2, fill=0.5), "constant", 0.5),
        (a.shift(2.9), "constant", 0.0),
        (a.crop(2), "constant", 0.0),
        (a.crop(2, mode="edge"), "nearest", 0.0),
        (a.crop(2, mode="reflect"), "mirror", 0.0),
    ],
    ids=repr,
)
def test_shift_and_crop_are_scipys_shift_by_every_move_alike(augment, mode, fill):
    found = moves(np.asarray(augment(KEY, {"x": IMAGES})["x"]), np.asarray(IMAGES), 2, mode, fill)
    # 400 over 25 moves: 16 each, with a deviation of 4.
    assert min(found.values()) >= 3 and max(found.values()) <= 32


def test_a_shift_by_more_than_the_image_leaves_the_filling():
    found = a.shift(1e9, fill=0.25)(KEY, {"x": IMAGES})["x"]
    assert (found == 0.25).all()
    some = np.asarray(a.shift(12)(KEY, {"x": IMAGES})["x"])  # wider than the image either way
    moves(some[some.any((1, 2, 3))], np.asarray(IMAGES)[some.any((1, 2, 3))], 9, "constant")


@pytest.mark.parametrize("size", [1, 4, 5, 30])
def test_cutout_covers_one_square_which_the_edge_may_cut(size):
    found = np.asarray(a.cutout(size, fill=2.0)(KEY, {"x": IMAGES})["x"])
    covered = (found == 2).all(-1)
    np.testing.assert_array_equal(found, np.where(covered[..., None], 2, IMAGES))
    rows, columns = covered.any(2), covered.any(1)
    np.testing.assert_array_equal(covered, rows[:, :, None] & columns[:, None, :])  # a rectangle without holes
    for side in (rows, columns):
        length = side.sum(1)
        assert (np.abs(np.diff(np.pad(side, ((0, 0), (1, 1))).astype(int))).sum(1) == 2).all()
        assert length.max() == min(size, side.shape[1]) and length.min() >= min(size // 2, side.shape[1] // 2)
    # The centre may be any pixel, so each is covered now and then.
    assert covered.any(0).all()


def test_noise_has_the_deviation_that_was_asked_for():
    added = np.asarray(a.noise(0.3)(KEY, {"x": IMAGES})["x"] - IMAGES)
    assert abs(added.std() - 0.3) < 0.005 and abs(added.mean()) < 0.005
