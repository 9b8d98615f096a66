"""One image file as an array of a wanted size: looked at before it is decoded, and shown as a viewer shows it."""

from __future__ import annotations

import io
import os
import warnings
from typing import Any

import numpy as np

from dlcore.data._check import checked_limit
from dlcore.errors import DataError, suggest
from dlcore.files import read_bytes, reason, shown

# Those that a camera, a browser or a scanner writes. Pillow knows more, and some start other programs (EPS).
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm")
MAX_PIXELS = 1 << 26
_FITS = ("crop", "stretch")
_BYTES_A_PIXEL = 16  # more than any format needs, with what stands around the pixels
_SIXTEEN_BITS = 65535.0


def read_image(
    path: str | os.PathLike[str],
    size: int | tuple[int, int],
    *,
    channels: int = 3,
    fit: str = "crop",
    max_pixels: int = MAX_PIXELS,
) -> np.ndarray:
    """Reads an image file: PNG, JPEG, GIF, BMP, WebP, TIFF or PPM.

    It comes out as a viewer shows it: turned as its EXIF orientation says, its palette looked up, and laid on white
    where it is transparent; of an animation the first picture. Colour becomes grey by the luma of ITU-R BT.601, grey
    becomes colour by three equal channels. Grey of 16 bits is scaled by 65535 and keeps its precision. It is resized
    bilinearly, over all the pixels that fall into one (antialiased).

    Args:
        path: the file.
        size: (height, width) of the result in pixels, or one number for both.
        channels: 3 for colour or 1 for grey.
        fit: `"crop"` cuts the largest centred part of the shape of `size`, `"stretch"` takes all and may distort it.
        max_pixels: an image of more is refused before it is decoded; 2^26 by default. Pillow itself refuses more than
            178,956,970.

    Returns:
        (height, width, channels) float32 from 0 to 1.

    Raises:
        DataError: the file is missing, no image, cut short, damaged or too large, or its numbers have no known range
            (32 bits a channel).
        TypeError: a number is not an int.
        ValueError: a number is out of range, or `fit` is another word.

    Source: ITU-R BT.601 (1982) for luma; Pillow for decoding and resizing.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("RGB", (40, 20), "red").save(f"{folder}/red.png")
        ...     read_image(f"{folder}/red.png", 2)[0].tolist()
        [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    """
    height, width = image_size("read_image", size)
    check_options("read_image", channels, fit, max_pixels)
    content = read_bytes(path, "an image file", _BYTES_A_PIXEL * max_pixels + (1 << 20))
    # Pillow warns of damage in what stands around the pixels; that the pixels are there is what counts.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _decoded(path, content, (height, width), channels, fit, max_pixels)
        except DataError:
            raise
        except Exception as error:  # a decoder of others: whatever it stumbles over is a damaged file
            raise DataError(f"{shown(path)}: expected a whole image, found a damaged one ({reason(error)})") from error


def image_size(where: str, size: Any) -> tuple[int, int]:
    """Returns (height, width)."""
    pair = size if isinstance(size, tuple | list) else (size, size)
    if len(pair) != 2:
        raise ValueError(f"{where} size: expected one number or (height, width), found {size!r}")
    height, width = (checked_limit(f"{where} size", side) for side in pair)
    return height, width


def check_options(where: str, channels: Any, fit: Any, max_pixels: Any) -> None:
    """Refuses options that an image cannot be read with."""
    checked_limit(f"{where} max_pixels", max_pixels)
    if channels not in (1, 3):
        raise ValueError(f"{where} channels: expected 1 (grey) or 3 (colour), found {channels!r}")
    if fit not in _FITS:
        raise ValueError(f"{where} fit: expected one of {_FITS}, found {fit!r}{suggest(str(fit), _FITS)}")


def _decoded(path: Any, content: bytes, size: tuple[int, int], channels: int, fit: str, max_pixels: int) -> np.ndarray:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        opened = Image.open(io.BytesIO(content), formats=FORMATS)  # reads the header only
    except UnidentifiedImageError:
        raise DataError(
            f"{shown(path)}: expected an image ({', '.join(FORMATS)}), found none in its {len(content)} bytes"
        ) from None
    except Image.DecompressionBombError as error:
        raise DataError(f"{shown(path)}: expected at most {max_pixels} pixels, found more ({reason(error)})") from error
    with opened:
        if opened.width * opened.height > max_pixels:
            raise DataError(
                f"{shown(path)}: expected at most {max_pixels} pixels, found {opened.width} x {opened.height}"
            )
        opened.load()
        turned = ImageOps.exif_transpose(opened)
        if turned.mode.startswith("I;16") or (turned.mode == "I" and opened.format in ("PNG", "PPM")):
            image = _sixteen_bits(turned)
        elif turned.mode in ("I", "F"):
            raise DataError(f"{shown(path)}: expected 8 or 16 bits a channel, found 32 bits without a known range")
        else:
            image = _on_white(turned).convert("L" if channels == 1 else "RGB")
    resized = np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR, _box(image.size, size, fit)), np.float32)
    pixels = resized if image.mode == "F" else resized / np.float32(255)
    pixels = pixels.reshape(*size, -1)
    return np.array(np.broadcast_to(pixels, (*size, channels)))  # a copy of its own, which may be written to


def _sixteen_bits(image: Any) -> Any:
    """Grey of 16 bits as floats from 0 to 1; 8 bits would lose most of it."""
    from PIL import Image

    values = np.asarray(image).astype(np.float32) / np.float32(_SIXTEEN_BITS)
    see_through = image.info.get("transparency")
    if isinstance(see_through, int):
        values[np.asarray(image) == see_through] = 1
    return Image.fromarray(np.clip(values, 0, 1))  # mode F


def _on_white(image: Any) -> Any:
    from PIL import Image

    if not image.has_transparency_data:
        return image
    layered = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered)


def _box(found: tuple[int, int], size: tuple[int, int], fit: str) -> tuple[float, float, float, float]:
    """The part of an image (width, height) that becomes `size` (height, width)."""
    width, height = found
    if fit == "stretch":
        return 0, 0, width, height
    cut_width, cut_height = min(width, height * size[1] / size[0]), min(height, width * size[0] / size[1])
    left, top = (width - cut_width) / 2, (height - cut_height) / 2
    return left, top, min(left + cut_width, width), min(top + cut_height, height)
