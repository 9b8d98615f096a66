"""A folder of images for each class becomes a data set, and nothing outside the folder is read."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from dlcore.data import image_folder, split
from dlcore.errors import DataError


@pytest.fixture
def flowers(tmp_path):
    """Two classes of ten images; the red of each tells its number."""
    for number in range(20):
        inner = tmp_path / "flowers" / ("tulip", "rose")[number % 2]
        inner.mkdir(parents=True, exist_ok=True)
        name = f"{number:02d}.{('png', 'JPG', 'bmp')[number % 3]}"
        Image.new("RGB", (8, 6), (10 * number, 0, 0)).save(inner / name, quality=100)
    return tmp_path / "flowers"


def test_folders_are_classes_in_sorted_order(flowers):
    data = image_folder(flowers, size=(4, 6))
    assert repr(data) == "Dataset flowers: 16 train / 2 validation / 2 test, x (4, 6, 3) float32, y 2 classes"
    assert data.classes == ("rose", "tulip")
    labels = np.repeat([0, 1], 10)
    numbers = np.concatenate([np.arange(1, 20, 2), np.arange(0, 20, 2)])  # rose has the odd ones
    for part, rows in zip(data.splits.values(), split(labels, labels), strict=True):
        np.testing.assert_array_equal(part["y"], labels[rows])
        np.testing.assert_allclose(part["x"][:, 0, 0, 0] * 25.5, numbers[rows], atol=0.25)


def test_the_options_of_reading_are_passed_on(flowers):
    data = image_folder(flowers, size=3, channels=1, fit="stretch", key=4, fractions=(0.6, 0.2, 0.2))
    assert data.train["x"].shape == (12, 3, 3, 1)
    again = image_folder(str(flowers), size=3, channels=1, fit="stretch", key=4, fractions=(0.6, 0.2, 0.2))
    np.testing.assert_array_equal(data.train["x"], again.train["x"])
    with pytest.raises(DataError, match="expected at most 47 pixels, found 8 x 6"):
        image_folder(flowers, size=3, max_pixels=47)


def test_hidden_files_and_other_endings_are_passed_over(flowers):
    before = image_folder(flowers, size=4)
    (flowers / "rose" / ".hidden.png").write_bytes(b"")
    (flowers / "rose" / "notes.txt").write_text("about roses")
    (flowers / ".cache").mkdir()
    (flowers / "README").write_text("flowers")
    after = image_folder(flowers, size=4)
    assert after.classes == before.classes
    np.testing.assert_array_equal(before.train["x"], after.train["x"])


def refused(folder, message):
    with pytest.raises(DataError, match=message) as caught:
        image_folder(folder, size=4)
    assert "\n" not in str(caught.value)


def test_folders_that_are_not_as_told_are_refused(flowers, tmp_path):
    refused(
        tmp_path / "absent", "absent: expected a folder with one folder of images for each class, found nothing there"
    )
    refused(flowers / "rose" / "01.JPG", "Not a directory")
    refused(tmp_path, "expected a folder for each of two classes or more, found 1")
    (flowers / "violet").mkdir()
    refused(flowers, "violet: expected images of the class 'violet', found none$")
    (flowers / "violet" / "a.jpe").write_bytes(b"")
    refused(flowers, "found none but 1 files ending in '.jpe'")
    (flowers / "violet" / "a.png").mkdir()
    refused(flowers, "a.png: expected images in the folder of a class, found a folder")
    (flowers / "violet" / "a.png").rmdir()
    (flowers / "violet" / "a\n.png").write_bytes(b"no image")
    refused(flowers, r"violet/a\\n\.png: expected an image .*, found none in its 8 bytes")
    (flowers / "top.png").write_bytes(b"")
    refused(flowers, "top.png: expected images in a folder for each class, found one beside them")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name here")
def test_a_pipe_that_is_called_like_an_image_is_refused(flowers):
    os.mkfifo(flowers / "rose" / "pipe.png")
    refused(flowers, "pipe.png: expected an image file, found a pipe")


def test_links_within_the_folder_are_followed_and_links_out_of_it_refused(flowers, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    Image.new("RGB", (4, 4)).save(outside / "secret.png")
    (flowers / "rose" / "again.png").symlink_to(flowers / "tulip" / "00.png")
    assert len(image_folder(flowers, size=4).train["x"]) == 16
    for link, target, message in [
        (flowers / "rose" / "link.png", outside / "secret.png", r"link\.png: expected what is in .*, found a link to"),
        (flowers / "violet", outside, "violet: expected what is in .*, found a link to .*outside"),
        (flowers / "rose" / "nowhere.png", tmp_path / "nowhere", "found a link to nothing"),
        (flowers / "rose" / "circle.png", flowers / "rose" / "circle.png", "found a link to nothing"),
    ]:
        link.symlink_to(target)
        refused(flowers, message)
        link.unlink()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"size": 0}, ValueError, "image_folder size: expected at least 1"),
        ({"channels": 2}, ValueError, "image_folder channels: expected 1"),
        ({"fractions": (1, 1, 1)}, ValueError, "three positive numbers with sum 1"),
        ({"sise": 3}, TypeError, "did you mean 'size'"),
    ],
)
def test_wrong_arguments_are_refused(flowers, options, error, message):
    with pytest.raises(error, match=message):
        image_folder(flowers, **{"size": 4, **options})
