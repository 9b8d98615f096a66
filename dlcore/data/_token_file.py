"""Token ids in a file: written in one go or piece by piece, and mapped, so that pages are read when looked at."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dlcore.errors import DataError, suggest
from dlcore.files import reason, regular_size, shown, whole

_DTYPES = ("uint8", "uint16", "uint32", "int32")
_SUFFIXES = (".bin", ".npy")


def write_tokens(path: str | os.PathLike[str], ids: Any, dtype: str = "uint16") -> None:
    """Writes token ids to a file that `MappedWindows` reads.

    The file is put in its place when it is complete; one that was there before is replaced.

    Args:
        path: `.npy`, NumPy's format, or `.bin`, the numbers alone (little-endian), as nanoGPT and others have it.
        ids: (N,) integer ids, or an iterator of such arrays, one behind another, where not all fit into memory.
        dtype: "uint8", "uint16", "uint32" or "int32"; must hold every id.

    Raises:
        TypeError: ids are no integers.
        ValueError: an id does not fit the dtype, there are none, or the ending or the dtype is another.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_tokens(f"{folder}/text.npy", np.arange(100))
        ...     np.load(f"{folder}/text.npy").shape
        (100,)
    """
    target = Path(path)
    kind, suffix = _dtype(dtype), _suffix("write_tokens", target)
    chunks = ids if isinstance(ids, Iterator) else iter([ids])
    with whole(target) as part:
        with open(part, "wb") as file:
            count = _write(file, chunks, kind, has_header=suffix == ".npy")
        if not count:
            raise ValueError("write_tokens ids: expected at least one token, found none")


def _write(file: Any, chunks: Iterable[Any], kind: np.dtype, *, has_header: bool) -> int:
    def header(count: int) -> None:
        form = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": (count,)}
        np.lib.format.write_array_header_1_0(file, form)

    if has_header:
        header(0)  # NumPy pads it so that the true count takes no more room
    count, limits = 0, np.iinfo(kind)
    for chunk in chunks:
        array = np.asarray(chunk)
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise TypeError(f"write_tokens ids: expected integer ids of shape (N,), found {array.dtype} {array.shape}")
        if array.size and not (limits.min <= int(array.min()) and int(array.max()) <= limits.max):
            raise ValueError(
                f"write_tokens ids: expected ids from {limits.min} to {limits.max} for {kind.name}, found "
                f"{array.min()} to {array.max()}; give a wider dtype"
            )
        file.write(array.astype(kind).tobytes())
        count += len(array)
    if has_header:
        file.seek(0)
        header(count)
    return count


def mapped_tokens(path: str | os.PathLike[str], dtype: str) -> np.ndarray:
    """The tokens of a file as an array whose pages are read when they are looked at."""
    kind, suffix = _dtype(dtype), _suffix("MappedWindows", Path(path))
    total = regular_size(path, "a file of token ids")
    if suffix == ".bin":
        if not total or total % kind.itemsize:
            raise DataError(
                f"{shown(path)}: expected a positive multiple of {kind.itemsize} bytes ({kind.name}), found {total}"
            )
        return _map(path, kind, total // kind.itemsize, 0)
    try:
        # NumPy warns of headers that other versions have written, and Python of what is not well written in them.
        with open(path, "rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            version = np.lib.format.read_magic(file)
            readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            shape, _, found = readers[version](file)
            offset = file.tell()
    except Exception as error:  # of every kind: the header is a Python literal, which anybody may have written
        raise DataError(f"{shown(path)}: expected a .npy file, found no header of one") from error
    if len(shape) != 1 or found.kind not in "iu":
        raise DataError(f"{shown(path)}: expected integer ids of shape (N,), found {found} {shape}")
    if not shape[0] or offset + shape[0] * found.itemsize != total:
        expected = f"{offset + shape[0] * found.itemsize} bytes for the {shape[0]} ids that its header tells of"
        raise DataError(f"{shown(path)}: expected {expected}, found {total}")
    return _map(path, found, shape[0], offset)


def _map(path: str | os.PathLike[str], kind: np.dtype, count: int, offset: int) -> np.ndarray:
    try:
        return np.memmap(path, kind, "r", offset, (count,))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{shown(path)}: expected {count} ids, found a file that cannot be mapped ({reason(error)})"
        ) from error


def _dtype(dtype: Any) -> np.dtype:
    name = dtype if isinstance(dtype, str) else np.dtype(dtype).name
    if name not in _DTYPES:
        raise ValueError(f"dtype: expected one of {_DTYPES}, found {name!r}{suggest(name, _DTYPES)}")
    return np.dtype(name).newbyteorder("<")


def _suffix(where: str, path: Path) -> str:
    if path.suffix not in _SUFFIXES:
        raise ValueError(f"{where} path: expected a name that ends in .bin or .npy, found {path.name!r}")
    return path.suffix
