"""Somebody's own arrays, from `.npz` or from `.npy` files, as a `Dataset`."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dlcore.data._bounded_gzip import MOST_EXPANSION
from dlcore.data._dataset import Dataset, as_dataset
from dlcore.data._npy import read_npy
from dlcore.errors import DataError, one_line
from dlcore.files import described, open_regular

_SPLITS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
_KEYS = {"x": ("train", "x"), "y": ("train", "y")} | {
    f"{part}_{name}": (split, part) for part in "xy" for name, split in _SPLITS.items()
}


def load_arrays(
    path: str | os.PathLike[str], y: str | os.PathLike[str] | None = None, *, name: str | None = None
) -> Dataset:
    """Loads arrays that NumPy wrote: a `.npz` with x and y, or two `.npy` files. Nothing in them is run.

    Args:
        path: a `.npz` with the arrays `x` and `y`, or `x_train` and `y_train`; `x_validation` (or `x_val`), `x_test`
            and their y are optional. Or a `.npy` with x.
        y: the `.npy` with y, when `path` is a `.npy`.
        name: what to call the data set; by default the name of the file.

    Returns:
        A `Dataset`: classification when y are integers, with a class for every label up to the largest in any split;
        else regression.

    Raises:
        DataError: a file is missing, damaged, holds Python objects, or lacks an array.
        TypeError: as `Dataset`.
        ValueError: `y` is given with a `.npz` or left out with a `.npy`, or as `Dataset`.

    Source: NumPy Enhancement Proposal 1, A Simple File Format for NumPy Arrays (2007).

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/xor.npz", x=np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]]), y=np.array([0, 1, 1, 0]))
        ...     load_arrays(f"{folder}/xor.npz")
        Dataset xor: 4 train, x (2,) float32, y 2 classes
    """
    path = Path(path)
    if path.suffix == ".npz":
        if y is not None:
            raise ValueError(f"load_arrays y: expected None, since a .npz has y too, found {os.fspath(y)!r}")
        splits = _splits(path, _npz(path))
    elif path.suffix == ".npy":
        if y is None:
            raise ValueError("load_arrays y: expected the .npy file with y, found None")
        splits = {"train": {"x": _npy(path), "y": _npy(Path(y))}}
    else:
        why = "; unpickling would run what it holds" if path.suffix in (".pkl", ".pickle") else ""
        raise DataError(f"{path}: expected a .npz or .npy file, found the ending {path.suffix!r}{why}")
    try:
        return _dataset(path.stem if name is None else name, splits)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{path}: {error}") from None


def _dataset(name: str, splits: Mapping[str, Mapping[str, np.ndarray]]) -> Dataset:
    # With all labels at hand, a class that is in the test split alone has its place as well.
    every = [arrays["y"] for arrays in splits.values()]
    labels = all(array.dtype.kind in "iub" for array in every) and all(array.size for array in every)
    plain = as_dataset((np.zeros((1, 1)), np.array([max(int(array.max()) for array in every)]))) if labels else None
    return Dataset(
        name,
        splits["train"],
        splits.get("validation"),
        splits.get("test"),
        task="classification" if plain else "regression",
        classes=plain.classes if plain else (),
        flat_targets=plain is None,
    )


def _splits(path: Path, arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    splits: dict[str, dict[str, np.ndarray]] = {}
    for key, array in arrays.items():
        split, part = _KEYS[key]
        if part in splits.setdefault(split, {}):
            raise DataError(f"{path}: expected one array for {part} of {split}, found two, {key!r} the second")
        splits[split][part] = array
    for split, parts in {"train": {}, **splits}.items():
        missing = {"x", "y"} - set(parts)
        if missing:
            raise DataError(f"{path}: expected x and y for {split}, found no {min(missing)}, only {sorted(arrays)}")
    return splits


def _npy(path: Path) -> np.ndarray:
    with open_regular(path) as (stream, size):
        return read_npy(str(path), stream, size)


def _npz(path: Path) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    with open_regular(path) as (stream, size):
        start = stream.read(64)
        if not start.startswith(b"PK"):
            raise DataError(f"{path}: expected a .npz file, found {described(start)}")
        try:
            with zipfile.ZipFile(stream) as archive:
                for member in archive.infolist():
                    key = member.filename.removesuffix(".npy")
                    _check_member(path, size, member, key, arrays)
                    with archive.open(member) as content:
                        arrays[key] = read_npy(f"{path}, {key}", content, member.file_size)
        except DataError:
            raise
        except Exception as error:  # BadZipFile, zlib.error, EOFError, struct.error, NotImplementedError and more
            reason = one_line(error) or type(error).__name__
            raise DataError(f"{path}: expected a whole .npz file, found damage ({reason})") from None
    return arrays


def _check_member(path: Path, size: int, member: zipfile.ZipInfo, key: str, arrays: Mapping[str, np.ndarray]) -> None:
    if key not in _KEYS or key == member.filename:
        known = ", ".join(_KEYS)
        raise DataError(f"{path}: expected arrays named {known}, found {member.filename[:80]!r}")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others inflate without a bound
        raise DataError(f"{path}, {key}: expected zip method 0 or 8, as NumPy writes, found {member.compress_type}")
    if key in arrays:
        raise DataError(f"{path}: expected {key} once, found it twice")
    most = min(member.compress_size, size) * (MOST_EXPANSION if member.compress_type else 1)
    if member.file_size > most:
        raise DataError(f"{path}, {key}: expected at most {most} bytes, found {member.file_size} declared")
