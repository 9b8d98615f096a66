"""An image is read as a viewer shows it, and refused by its header where it is too large."""

from __future__ import annotations

import os
import re
import struct
import warnings
import zlib

import jax
import numpy as np
import pytest
from PIL import Image, ImageFile

from dlcore.data import read_image
from dlcore.errors import DataError

COLOURS = np.random.default_rng(0).integers(0, 256, (6, 4, 3), np.uint8)


@pytest.fixture
def save(tmp_path):
    def save(image, name="image.png", **options):
        image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
        image.save(tmp_path / name, **options)
        return tmp_path / name

    return save


def png(width, height, body=b""):
    """A PNG file whose header tells of a size."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_colours_come_out_as_they_went_in(save):
    found = read_image(save(COLOURS), (6, 4))
    assert found.dtype == np.float32 and found.flags.writeable
    np.testing.assert_array_equal(found, COLOURS / np.float32(255))


@pytest.mark.parametrize("name", ["a.bmp", "a.ppm", "a.tiff", "a.webp", "a.png"])
def test_formats_that_lose_nothing_agree(save, name):
    path = save(COLOURS, name, **({"lossless": True} if name.endswith("webp") else {}))
    np.testing.assert_array_equal(read_image(path, (6, 4)), COLOURS / np.float32(255))


def test_a_jpeg_is_nearly_what_it_was(save):
    smooth = np.tile(np.linspace(0, 255, 32, dtype=np.uint8)[:, None, None], (1, 32, 3))
    for image in (Image.fromarray(smooth), Image.fromarray(smooth).convert("CMYK")):
        np.testing.assert_allclose(read_image(save(image, "a.jpg"), 32), smooth / 255, atol=0.03)


def test_colour_becomes_grey_by_luma_and_grey_becomes_colour_by_equal_channels(save):
    grey = read_image(save(COLOURS), (6, 4), channels=1)
    assert grey.shape == (6, 4, 1)
    np.testing.assert_allclose(grey[..., 0], COLOURS @ [0.299, 0.587, 0.114] / 255, atol=1.01 / 255)
    colour = read_image(save(COLOURS[..., 0]), (6, 4))
    np.testing.assert_array_equal(colour, np.repeat(COLOURS[..., :1], 3, 2) / np.float32(255))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_as_its_orientation_says(save, orientation):
    """The definition of EXIF: where row 0 and column 0 are to be seen."""
    shown = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: a.swapaxes(0, 1)[:, ::-1],
        7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
        8: lambda a: a.swapaxes(0, 1)[::-1],
    }[orientation](COLOURS)
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = read_image(save(COLOURS, exif=exif), shown.shape[:2])
    np.testing.assert_array_equal(found, shown / np.float32(255))


def test_what_is_transparent_is_laid_on_white(save):
    alpha = np.array([[0, 51, 255]], np.uint8)
    colour = np.array([[[10, 20, 30]] * 3], np.uint8)
    expected = (colour * (alpha[..., None] / 255) + 255 * (1 - alpha[..., None] / 255)) / 255
    for part in (colour, colour[..., :1]):
        expected_here = expected[..., : part.shape[-1]]
        image = Image.fromarray(np.concatenate([part, alpha[..., None]], -1))
        found = read_image(save(image), (1, 3), channels=1 if part.shape[-1] == 1 else 3)
        np.testing.assert_allclose(found, expected_here, atol=1.01 / 255)


def test_a_palette_is_looked_up_with_its_transparent_entry(save):
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putdata([0, 1, 2])
    expected = np.array([[[1, 0, 0], [0, 1, 0], [0, 0, 1]]])
    np.testing.assert_array_equal(read_image(save(image), (1, 3)), expected)
    expected[0, 1] = 1
    np.testing.assert_array_equal(read_image(save(image, transparency=1), (1, 3)), expected)
    np.testing.assert_array_equal(read_image(save(image, "a.gif", transparency=1), (1, 3)), expected)


@pytest.mark.parametrize("name", ["a.png", "a.tiff", "a.pgm"])
def test_grey_of_sixteen_bits_keeps_its_precision(save, name):
    values = np.array([[0, 1, 255, 256], [32768, 40000, 65534, 65535]], np.uint16)
    for channels in (1, 3):
        found = read_image(save(values, name), (2, 4), channels=channels)
        assert found.shape == (2, 4, channels)
        np.testing.assert_allclose(found[..., -1], values / 65535, rtol=1e-6)


def test_the_transparent_grey_of_sixteen_bits_is_white(save):
    found = read_image(save(np.array([[7, 300]], np.uint16), transparency=300), (1, 2), channels=1)
    np.testing.assert_allclose(found[0, :, 0], [7 / 65535, 1], rtol=1e-6)


def test_black_and_white_is_read_and_of_an_animation_the_first_picture(save):
    bits = Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1")
    np.testing.assert_array_equal(read_image(save(bits), (1, 2), channels=1)[..., 0], [[0, 1]])
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    for name in ("a.gif", "a.webp", "a.tiff", "a.png"):
        path = save(frames[0], name, save_all=True, append_images=frames[1:])
        np.testing.assert_allclose(read_image(path, 4)[0, 0], [1, 0, 0], atol=0.02)


def test_resizing_is_bilinear_over_all_pixels(save):
    pixels = np.random.default_rng(1).integers(0, 256, (30, 50, 3), np.uint8)
    for size in [(7, 11), (60, 20), (30, 50)]:
        expected = jax.image.resize(pixels / np.float32(255), (*size, 3), "bilinear", antialias=True)
        np.testing.assert_allclose(read_image(save(pixels), size, fit="stretch"), expected, atol=1.5 / 255)


def test_the_centre_is_cut_out_in_the_shape_of_the_result(save):
    wide = np.arange(12 * 4, dtype=np.uint8).reshape(4, 12)
    np.testing.assert_array_equal(read_image(save(wide), 4, channels=1)[..., 0] * 255, wide[:, 4:8])
    np.testing.assert_array_equal(read_image(save(wide.T), (2, 4), channels=1)[..., 0] * 255, wide.T[5:7])
    assert read_image(save(wide[:1]), (1000, 1)).shape == (1000, 1, 3)


def test_a_file_cut_anywhere_is_refused_or_whole(save):
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    for name in ("a.png", "a.jpg", "a.bmp", "a.gif", "a.webp", "a.tiff", "a.ppm"):
        path = save(noise, name)
        whole, content = read_image(path, 32), path.read_bytes()
        refused = 0
        for length in range(0, len(content), max(1, len(content) // 40)):
            path.write_bytes(content[:length])
            try:
                np.testing.assert_array_equal(read_image(path, 32), whole)
            except DataError as error:
                assert "\n" not in str(error) and name in str(error)
                refused += 1
        assert refused >= 38, name


def test_the_header_alone_tells_of_too_many_pixels(tmp_path, monkeypatch):
    path = tmp_path / "bomb.png"
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: pytest.fail("it was decoded"))
    path.write_bytes(png(9000, 9000))
    with pytest.raises(DataError, match="expected at most 67108864 pixels, found 9000 x 9000"):
        read_image(path, 4)
    path.write_bytes(png(10, 11))
    with pytest.raises(DataError, match="expected at most 109 pixels, found 10 x 11"):
        read_image(path, 4, max_pixels=109)
    path.write_bytes(png(2**31 - 1, 2**31 - 1))
    with warnings.catch_warnings(), pytest.raises(DataError, match="expected at most 67108864 pixels, found more"):
        warnings.simplefilter("error")
        read_image(path, 4)
    path.write_bytes(b"x" * (1 << 21))
    with pytest.raises(DataError, match="expected an image file of at most"):
        read_image(path, 4, max_pixels=1)


def test_what_pillow_warns_of_is_no_error(tmp_path, monkeypatch):
    def stop(image):
        raise OSError("stopped here")

    monkeypatch.setattr(ImageFile.ImageFile, "load", stop)
    (tmp_path / "large.png").write_bytes(png(9500, 9500))  # a DecompressionBombWarning
    with pytest.raises(DataError, match="stopped here"):
        read_image(tmp_path / "large.png", 4, max_pixels=1 << 27)


def test_a_stream_that_unpacks_to_more_than_the_header_tells_of_is_bounded(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(png(4, 4, zlib.compress(bytes(1 << 24), 9)))
    assert not read_image(path, 4).any()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected an image .PNG, JPEG, .* found none in its 0 bytes"),
        (b"not an image at all", "found none in its 19 bytes"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n", "expected an image .*, found none"),
        (png(4, 4, zlib.compress(bytes(10))), "expected a whole image, found a damaged one"),
        (png(4, 4, b"garbage"), "expected a whole image, found a damaged one"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path, content, message):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_image(path, 4)
    assert "\n" not in str(caught.value) and re.search(r"a\.png: expected", str(caught.value))


def test_numbers_without_a_known_range_are_refused(save):
    for dtype in (np.float32, np.int32):
        with pytest.raises(DataError, match="expected 8 or 16 bits a channel, found 32 bits"):
            read_image(save(np.ones((4, 4), dtype), "a.tiff"), 4)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name here")
def test_pipes_and_folders_are_refused(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(DataError, match="expected an image file, found a pipe"):
        read_image(tmp_path / "a.png", 4)
    with pytest.raises(DataError, match="expected an image file, found a folder"):
        read_image(tmp_path, 4)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"size": 0}, ValueError, "size: expected at least 1, found 0"),
        ({"size": (4, 4, 3)}, ValueError, r"expected one number or \(height, width\), found \(4, 4, 3\)"),
        ({"size": 4.0}, TypeError, "size: expected an int, found float"),
        ({"channels": 4}, ValueError, "channels: expected 1 .grey. or 3 .colour., found 4"),
        ({"fit": "strech"}, ValueError, "did you mean 'stretch'"),
        ({"max_pixels": 0}, ValueError, "max_pixels: expected at least 1"),
    ],
)
def test_wrong_arguments_are_refused(save, options, error, message):
    with pytest.raises(error, match=message):
        read_image(save(COLOURS), **{"size": 4, **options})
