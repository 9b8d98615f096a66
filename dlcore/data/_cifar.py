"""CIFAR-10 and CIFAR-100 in their binary form, read out of the archive without unpacking it."""

from __future__ import annotations

import dataclasses
import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from dlcore.data._bounded_gzip import GzipReader
from dlcore.data._cache import data_dir
from dlcore.data._cifar_names import CIFAR10, CIFAR100_COARSE, CIFAR100_FINE
from dlcore.data._dataset import Dataset, remembered
from dlcore.data._download import fetch
from dlcore.data._images import Examples, image_dataset
from dlcore.errors import DataError, one_line
from dlcore.files import open_regular

_PIXELS = 3 * 32 * 32
_MOST_MEMBERS = 64
_MOST_BYTES = 1 << 28
_BESIDES = 1 << 20  # bytes of an archive for its headers and its two or three small files of text


@dataclasses.dataclass(frozen=True)
class _Archive:
    name: str
    size: int
    sha256: str  # with the size, as the checksum files of TensorFlow Datasets have it
    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    rows: int  # in the largest file
    labels: int  # bytes in front of each image

    @property
    def url(self) -> str:
        return f"https://www.cs.toronto.edu/~kriz/{self.name}"


_TEN = _Archive(
    name="cifar-10-binary.tar.gz",
    size=170052171,
    sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    folder="cifar-10-batches-bin",
    train=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    test=("test_batch.bin",),
    rows=10_000,
    labels=1,
)
_HUNDRED = _Archive(
    name="cifar-100-binary.tar.gz",
    size=168513733,
    sha256="58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    folder="cifar-100-binary",
    train=("train.bin",),
    test=("test.bin",),
    rows=50_000,
    labels=2,
)


FILES = {"cifar10": (_TEN.name,), "cifar100": (_HUNDRED.name,)}


@remembered
def cifar10(
    *,
    folder: str | os.PathLike[str] | None = None,
    validation: int = 10_000,
    stratify: bool = False,
    key: int = 0,
) -> Dataset:
    """CIFAR-10: 60,000 colour photographs of 32 by 32 pixels in ten classes.

    Args:
        folder: where `cifar-10-binary.tar.gz` is; by default it is downloaded into `data_dir()`, 170 MB.
        validation: how many of the 50,000 training rows become validation rows: the last ones.
        stratify: draw those at random with every class in proportion instead.
        key: the seed of that draw.

    Returns:
        A `Dataset`; x (32, 32, 3), red, green and blue from 0 to 1.

    Raises:
        DataError: the archive is missing, damaged or another one, or cannot be downloaded.
        ValueError: `validation` leaves no row to train on.

    Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009).

    Example:
        >>> cifar10(folder="absent")
        Traceback (most recent call last):
        dlcore.errors.DataError: absent/cifar-10-binary.tar.gz: expected a file, found nothing there; get it from ...
    """
    return _loaded("cifar10", _TEN, CIFAR10, 0, folder, validation, stratify, key)


@remembered
def cifar100(
    *,
    fine: bool = True,
    folder: str | os.PathLike[str] | None = None,
    validation: int = 10_000,
    stratify: bool = False,
    key: int = 0,
) -> Dataset:
    """CIFAR-100: 60,000 colour photographs of 32 by 32 pixels in a hundred classes, or in twenty groups of them.

    Args:
        fine: the hundred classes; else their twenty groups.
        folder: where `cifar-100-binary.tar.gz` is; by default it is downloaded into `data_dir()`, 169 MB.
        validation: how many of the 50,000 training rows become validation rows: the last ones.
        stratify: draw those at random with every class in proportion instead.
        key: the seed of that draw.

    Returns:
        A `Dataset`; x (32, 32, 3), red, green and blue from 0 to 1.

    Raises:
        DataError, ValueError: as `cifar10`.

    Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009).

    Example:
        >>> cifar100(folder="absent")
        Traceback (most recent call last):
        dlcore.errors.DataError: absent/cifar-100-binary.tar.gz: expected a file, found nothing there; get it from ...
    """
    classes = CIFAR100_FINE if fine else CIFAR100_COARSE
    return _loaded("cifar100", _HUNDRED, classes, int(bool(fine)), folder, validation, stratify, key)


def _loaded(
    name: str,
    archive: _Archive,
    classes: tuple[str, ...],
    label: int,
    folder: Any,
    validation: int,
    stratify: bool,
    key: int,
) -> Dataset:
    if folder is None:
        path = fetch(archive.name, [archive.url], sha256=archive.sha256, size=archive.size, folder=data_dir() / name)
    else:
        path = Path(folder) / archive.name
        if not path.exists():
            raise DataError(f"{path}: expected a file, found nothing there; get it from {archive.url}")
    records = _records(path, archive)
    train, test = (
        _examples(path, np.concatenate([records[file] for file in files]), archive.labels, label, len(classes))
        for files in (archive.train, archive.test)
    )
    return image_dataset(name, train, test, classes=classes, validation=validation, stratify=stratify, key=key)


def _records(path: Path, archive: _Archive) -> dict[str, np.ndarray]:
    """Returns the records, uint8 (rows, labels + 3072), of every file of the archive by name."""
    length = archive.labels + _PIXELS
    expected = {f"{archive.folder}/{file}": file for file in (*archive.train, *archive.test)}
    found: dict[str, np.ndarray] = {}
    with open_regular(path) as (stream, _):
        reader = GzipReader(path, stream, most=len(expected) * archive.rows * length + _BESIDES)
        try:
            # "r|" reads on and never back, and nothing is written anywhere.
            with tarfile.open(fileobj=reader, mode="r|") as tar:  # pyright: ignore[reportCallIssue, reportArgumentType]
                for number, member in enumerate(tar):
                    _check_member(path, number, member)
                    file = expected.get(member.name)
                    if file is None:
                        continue
                    if file in found:
                        raise DataError(f"{path}: expected {member.name} once, found it twice")
                    rows, rest = divmod(member.size, length)
                    if rest or not 1 <= rows <= archive.rows:
                        raise DataError(
                            f"{path}: expected {member.name} to have 1 to {archive.rows} records of {length} bytes, "
                            f"found {member.size} bytes"
                        )
                    content: Any = tar.extractfile(member)
                    found[file] = np.frombuffer(content.read(), np.uint8).reshape(rows, length)
        except DataError:
            raise
        except Exception as error:  # tarfile raises a dozen kinds for crafted headers, RecursionError among them
            reason = one_line(error) or type(error).__name__
            raise DataError(f"{path}: expected a tar archive, found damage ({reason})") from None
        while reader.read(1 << 20):  # zeros, up to the trailer with the checksum
            pass
        reader.finish()
    missing = [name for name, file in expected.items() if file not in found]
    if missing:
        raise DataError(f"{path}: expected {len(expected)} files of images, found no {missing[0]}")
    return found


def _check_member(path: Path, number: int, member: tarfile.TarInfo) -> None:
    kind = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE) and not member.issparse()
    inside = not member.name.startswith(("/", "\\")) and ".." not in member.name.replace("\\", "/").split("/")
    if not kind or not inside:
        raise DataError(f"{path}: expected ordinary files inside the archive, found {member.name!r} of another kind")
    # tarfile walks over what it skips block by block, also behind the end of the data.
    if number >= _MOST_MEMBERS or not 0 <= member.size < _MOST_BYTES:
        raise DataError(f"{path}: expected a few small files, found {member.name!r} of {member.size} bytes")


def _examples(path: Path, records: np.ndarray, labels: int, label: int, classes: int) -> Examples:
    y = records[:, label]
    if y.max() >= classes:
        raise DataError(f"{path}: expected labels from 0 to {classes - 1}, found {y.max()}")
    return records[:, labels:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), y  # (N, 32, 32, 3)
