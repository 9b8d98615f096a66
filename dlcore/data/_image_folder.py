"""`image_folder`: a folder of images for each class, as a `Dataset`."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from dlcore.data._check import excerpt
from dlcore.data._dataset import Dataset
from dlcore.data._image_file import MAX_PIXELS, SUFFIXES, check_options, image_size, read_image
from dlcore.data._split import split
from dlcore.errors import DataError, suggest_arguments
from dlcore.files import shown, unreadable


@suggest_arguments
def image_folder(
    folder: str | os.PathLike[str],
    *,
    size: int | tuple[int, int],
    channels: int = 3,
    fit: str = "crop",
    key: int = 0,
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    max_pixels: int = MAX_PIXELS,
) -> Dataset:
    """Reads images from a folder with one folder for each class: `flowers/rose/1.jpg`, `flowers/tulip/2.png`.

    Classes are in the sorted order of their names, and images in that of theirs. Names that begin with a dot, and
    files whose ending is none of an image, are passed over; whatever ends like an image must be one. How an image is
    read says `read_image`.

    Args:
        folder: the folder of the classes; two or more.
        size: (height, width) in pixels, or one number for both.
        channels: 3 for colour or 1 for grey.
        fit: `"crop"` or `"stretch"`, as `read_image`.
        key: the seed of the split.
        fractions: the parts of train, validation and test.
        max_pixels: an image of more pixels is refused; 2^26 by default.

    Returns:
        A `Dataset`; x (height, width, channels) float32 from 0 to 1, y the class, with every class in proportion in
        each split.

    Raises:
        DataError: an image as in `read_image`; a folder is missing, a class is empty, there is a folder where an image
            should be, or a link leads out of `folder`.
        TypeError: a number is not an int.
        ValueError: a number is out of range; as `split`.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory(prefix="colours") as folder:
        ...     for number in range(20):
        ...         Path(folder, colour := ("blue", "red")[number % 2]).mkdir(exist_ok=True)
        ...         Image.new("RGB", (8, 8), colour).save(f"{folder}/{colour}/{number}.png")
        ...     colours = image_folder(folder, size=4)
        >>> colours.classes, colours.train["x"].shape
        (('blue', 'red'), (16, 4, 4, 3))
    """
    height, width = image_size("image_folder", size)
    check_options("image_folder", channels, fit, max_pixels)
    classes, files, labels = [], [], []
    for number, inner in enumerate(_class_folders(folder)):
        classes.append(inner.name)
        images = _images(inner, Path(folder).resolve())
        files += images
        labels += [number] * len(images)
    y = np.array(labels, np.int32)
    parts = split(y, y, fractions=fractions, key=key)  # before hours of decoding
    x = np.empty((len(files), height, width, channels), np.float32)
    for row, path in enumerate(files):
        x[row] = read_image(path, (height, width), channels=channels, fit=fit, max_pixels=max_pixels)
    train, validation, test = ({"x": x[rows], "y": y[rows]} for rows in parts)
    name = Path(folder).resolve().name
    return Dataset(name, train, validation, test, task="classification", classes=classes)


def _class_folders(folder: str | os.PathLike[str]) -> list[Path]:
    found = _listing(Path(folder), "a folder with one folder of images for each class")
    if stray := next((path for path in found if path.suffix.lower() in SUFFIXES and not os.path.isdir(path)), None):
        raise DataError(f"{shown(stray)}: expected images in a folder for each class, found one beside them")
    inner = [path for path in found if os.path.isdir(path)]
    if len(inner) < 2:
        raise DataError(f"{shown(folder)}: expected a folder for each of two classes or more, found {len(inner)}")
    return inner


def _images(inner: Path, outer: Path) -> list[Path]:
    """The image files of a class, none of them out of the outermost folder."""
    _refuse_outside(inner, outer)
    found = _listing(inner, "a folder of images")
    if nested := next((path for path in found if os.path.isdir(path)), None):
        raise DataError(f"{shown(nested)}: expected images in the folder of a class, found a folder")
    images = [path for path in found if path.suffix.lower() in SUFFIXES]
    if not images:
        endings = sorted({path.suffix for path in found})[:3]
        rest = f" but {len(found)} files ending in {', '.join(map(excerpt, endings))}" if found else ""
        raise DataError(f"{shown(inner)}: expected images of the class {excerpt(inner.name)}, found none{rest}")
    for path in images:
        _refuse_outside(path, outer)
    return images


def _refuse_outside(path: Path, outer: Path) -> None:
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:  # leads nowhere, or in a circle
        raise DataError(f"{shown(path)}: expected an image or a folder, found a link to nothing") from error
    if not target.is_relative_to(outer):
        raise DataError(f"{shown(path)}: expected what is in {shown(outer)}, found a link to {shown(target)}")


def _listing(folder: Path, what: str) -> list[Path]:
    """What is in a folder, in sorted order, without hidden names."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except (OSError, ValueError) as error:
        raise unreadable(folder, what, error) from error
