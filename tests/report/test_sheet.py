"""A contact sheet holds every image where it belongs, pixel by pixel."""

from __future__ import annotations

import io

import matplotlib.image
import numpy as np
import pytest

from dlcore.report._sheet import contact_sheet

IMAGES = np.random.default_rng(0).integers(0, 256, (11, 5, 6, 3), dtype=np.uint8)


@pytest.mark.parametrize("columns", [1, 4, 11, 30])
def test_every_image_has_its_place(columns):
    sheet = contact_sheet(IMAGES, columns=columns)
    columns = min(columns, 11)
    assert sheet.dtype == np.uint8 and sheet.shape == (-(-11 // columns) * 6 + 1, columns * 7 + 1, 3)
    for number, image in enumerate(IMAGES):
        top, left = number // columns * 6 + 1, number % columns * 7 + 1
        np.testing.assert_array_equal(sheet[top : top + 5, left : left + 6], image)
    assert (sheet[::6] == 128).all() and (sheet[:, ::7] == 128).all()


def test_floats_from_zero_to_one_are_drawn_as_they_are_and_gray_ones_too():
    gray = np.array([[[0.0, 0.5], [1.0, 0.25]]], np.float32)
    for images in (gray, gray[..., None]):
        assert contact_sheet(images)[1:3, 1:3, 2].tolist() == [[0, 128], [255, 64]]


def test_floats_beyond_are_stretched_together():
    sheet = contact_sheet(np.array([[[-1.0]], [[0.0]], [[1.0]]]))
    assert sheet[1, 1::2, 0].tolist() == [0, 128, 255]
    assert contact_sheet(np.full((1, 2, 2), 3.0))[1, 1, 0] == 128


def test_matplotlib_writes_and_reads_it():
    file = io.BytesIO()
    matplotlib.image.imsave(file, contact_sheet(IMAGES), format="png")
    file.seek(0)
    read = np.round(matplotlib.image.imread(file)[..., :3] * 255)
    np.testing.assert_array_equal(read, contact_sheet(IMAGES))


@pytest.mark.parametrize(
    ("images", "columns", "error", "words"),
    [
        (np.zeros((3, 4)), 8, ValueError, r"expected \(N, H, W\), .*found \(3, 4\)"),
        (np.zeros((3, 4, 4, 2)), 8, ValueError, r"found \(3, 4, 4, 2\)"),
        (np.zeros((0, 4, 4)), 8, ValueError, "found none"),
        (np.full((1, 2, 2), np.nan), 8, ValueError, "expected finite values, found 4"),
        (np.zeros((1, 2, 2), np.int64), 8, TypeError, "expected uint8 or floats, found int64"),
        (np.zeros((1, 2, 2)), 0, ValueError, "columns: expected an integer of 1 or more, found 0"),
    ],
)
def test_a_wrong_call_is_refused(images, columns, error, words):
    with pytest.raises(error, match=words):
        contact_sheet(images, columns=columns)
