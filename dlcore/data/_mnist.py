"""MNIST and two data sets in its form: 70,000 images of 28 by 28 pixels in ten classes, downloaded once."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dlcore.data._cache import data_dir
from dlcore.data._dataset import Dataset, remembered
from dlcore.data._download import fetch
from dlcore.data._idx import read_idx
from dlcore.data._images import Examples, image_dataset
from dlcore.errors import DataError

_SIDE = 28


@dataclasses.dataclass(frozen=True)
class _Origin:
    mirrors: tuple[str, ...]
    files: Mapping[str, tuple[int, str]]  # size and SHA-256, as the checksum files of TensorFlow Datasets have them
    classes: tuple[str, ...]


_MNIST = _Origin(
    ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    {
        "train-images-idx3-ubyte.gz": (9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        "train-labels-idx1-ubyte.gz": (28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        "t10k-images-idx3-ubyte.gz": (1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        "t10k-labels-idx1-ubyte.gz": (4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    },
    tuple("0123456789"),
)
_FASHION = _Origin(
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    ),
    {
        "train-images-idx3-ubyte.gz": (26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
        "train-labels-idx1-ubyte.gz": (29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        "t10k-images-idx3-ubyte.gz": (4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        "t10k-labels-idx1-ubyte.gz": (5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    },
    ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
_KUZUSHIJI = _Origin(
    ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
    {
        "train-images-idx3-ubyte.gz": (18165135, "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4"),
        "train-labels-idx1-ubyte.gz": (29497, "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17"),
        "t10k-images-idx3-ubyte.gz": (3041136, "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5"),
        "t10k-labels-idx1-ubyte.gz": (5120, "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"),
    },
    ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
)


# By data set; `load` lists them.
FILES = {
    name: tuple(origin.files)
    for name, origin in (("mnist", _MNIST), ("fashion_mnist", _FASHION), ("kmnist", _KUZUSHIJI))
}


@remembered
def mnist(
    *,
    folder: str | os.PathLike[str] | None = None,
    validation: int = 10_000,
    stratify: bool = False,
    key: int = 0,
) -> Dataset:
    """MNIST: 70,000 handwritten digits of 28 by 28 pixels.

    Args:
        folder: where the four files are, compressed or not; by default they are downloaded into `data_dir()`, 12 MB.
        validation: how many of the 60,000 training rows become validation rows: the last ones.
        stratify: draw those at random with every class in proportion instead.
        key: the seed of that draw.

    Returns:
        A `Dataset`; x (28, 28, 1), ink from 0 to 1.

    Raises:
        DataError: a file is missing, damaged or of another data set, or cannot be downloaded.
        ValueError: `validation` leaves no row to train on.

    Source: LeCun, Bottou, Bengio and Haffner, Gradient-Based Learning Applied to Document Recognition (1998).

    Example:
        >>> import tempfile
        >>> from dlcore.data import write_idx
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for part, rows in (("train", 6), ("t10k", 2)):
        ...         write_idx(f"{folder}/{part}-images-idx3-ubyte", np.zeros((rows, 28, 28), np.uint8))
        ...         write_idx(f"{folder}/{part}-labels-idx1-ubyte", np.zeros(rows, np.uint8))
        ...     mnist(folder=folder, validation=2)
        Dataset mnist: 4 train / 2 validation / 2 test, x (28, 28, 1) float32, y 10 classes
    """
    return _loaded("mnist", _MNIST, folder, validation, stratify, key)


@remembered
def fashion_mnist(
    *,
    folder: str | os.PathLike[str] | None = None,
    validation: int = 10_000,
    stratify: bool = False,
    key: int = 0,
) -> Dataset:
    """Fashion-MNIST: 70,000 pictures of clothes of 28 by 28 pixels; 31 MB, with the arguments of `mnist`.

    Returns:
        A `Dataset`; x (28, 28, 1), brightness from 0 to 1.

    Raises:
        DataError, ValueError: as `mnist`.

    Source: Xiao, Rasul and Vollgraf, Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
    Algorithms (2017).

    Example:
        >>> fashion_mnist(folder="absent")
        Traceback (most recent call last):
        dlcore.errors.DataError: absent/train-images-idx3-ubyte.gz: expected a file, also without .gz, found nothing ...
    """
    return _loaded("fashion_mnist", _FASHION, folder, validation, stratify, key)


@remembered
def kmnist(
    *,
    folder: str | os.PathLike[str] | None = None,
    validation: int = 10_000,
    stratify: bool = False,
    key: int = 0,
) -> Dataset:
    """Kuzushiji-MNIST: 70,000 cursive Japanese letters of 28 by 28 pixels; 21 MB, with the arguments of `mnist`.

    Returns:
        A `Dataset`; x (28, 28, 1), ink from 0 to 1.

    Raises:
        DataError, ValueError: as `mnist`.

    Source: Clanuwat et al., Deep Learning for Classical Japanese Literature (2018).

    Example:
        >>> kmnist(folder="absent")
        Traceback (most recent call last):
        dlcore.errors.DataError: absent/train-images-idx3-ubyte.gz: expected a file, also without .gz, found nothing ...
    """
    return _loaded("kmnist", _KUZUSHIJI, folder, validation, stratify, key)


def _loaded(
    name: str, origin: _Origin, folder: str | os.PathLike[str] | None, validation: int, stratify: bool, key: int
) -> Dataset:
    paths = [
        _there(Path(folder), origin, file) if folder is not None else _downloaded(name, origin, file)
        for file in origin.files
    ]
    return image_dataset(
        name,
        _examples(paths[0], paths[1], len(origin.classes)),
        _examples(paths[2], paths[3], len(origin.classes)),
        classes=origin.classes,
        validation=validation,
        stratify=stratify,
        key=key,
    )


def _downloaded(name: str, origin: _Origin, file: str) -> Path:
    size, sha256 = origin.files[file]
    urls = [mirror + file for mirror in origin.mirrors]
    return fetch(file, urls, sha256=sha256, size=size, folder=data_dir() / name)


def _there(folder: Path, origin: _Origin, file: str) -> Path:
    for path in (folder / file, folder / file.removesuffix(".gz")):
        if path.exists():
            return path
    url = origin.mirrors[0] + file
    raise DataError(f"{folder / file}: expected a file, also without .gz, found nothing there; get it from {url}")


def _examples(images: Path, labels: Path, classes: int) -> Examples:
    x, y = read_idx(images, ndim=3), read_idx(labels, ndim=1)
    if x.dtype != np.uint8 or x.shape[1:] != (_SIDE, _SIDE):
        raise DataError(f"{images}: expected uint8 images of {_SIDE} by {_SIDE} pixels, found {x.dtype} {x.shape[1:]}")
    if y.dtype != np.uint8 or y.max() >= classes:
        raise DataError(f"{labels}: expected uint8 labels from 0 to {classes - 1}, found {y.dtype} up to {y.max()}")
    if len(x) != len(y):
        raise DataError(f"{labels}: expected {len(x)} labels, one for each image, found {len(y)}")
    return x[..., None], y
