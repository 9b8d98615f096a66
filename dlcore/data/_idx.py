"""The IDX format of MNIST and its kin, plain or in gzip; what a file declares is checked before memory is taken."""

from __future__ import annotations

import contextlib
import gzip
import math
import os
import struct
import sys
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from dlcore.data._bounded_gzip import MOST_EXPANSION, GzipReader
from dlcore.errors import DataError
from dlcore.files import described, open_regular, whole

_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CODES = {np.dtype(dtype).newbyteorder("="): code for code, dtype in _DTYPES.items()}
_MOST_AXES = 64  # NumPy's own limit
_MOST_HEADER = 4 + 4 * _MOST_AXES


def read_idx(path: str | os.PathLike[str], *, ndim: int | None = None, allow_empty: bool = False) -> np.ndarray:
    """Reads an IDX file, the format of MNIST's images and labels, plain or gzip-compressed.

    Args:
        path: the file; a name that ends in `.gz` says that it is compressed.
        ndim: how many axes it must have; by default any number.
        allow_empty: accept an axis of length zero.

    Returns:
        The array, in the byte order of this machine: uint8, int8, int16, int32, float32 or float64.

    Raises:
        DataError: the file is missing, no ordinary file, no IDX, or not exactly as long as its header says.

    Source: LeCun, Cortes and Burges, The MNIST Database of Handwritten Digits (1998).

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_idx(f"{folder}/labels.gz", np.array([5, 0, 4], np.uint8))
        ...     read_idx(f"{folder}/labels.gz")
        array([5, 0, 4], dtype=uint8)
    """
    with open_regular(path) as (stream, size):
        reader: _Plain | GzipReader = _Plain(path, stream)
        if os.fspath(path).endswith(".gz"):
            reader = GzipReader(path, stream, most=_MOST_HEADER)
        dtype, axes = _magic(path, reader)
        if ndim is not None and axes != ndim:
            raise DataError(f"{path}: expected an IDX file of {ndim} axes, found {axes}")
        shape = struct.unpack(f">{axes}I", _exactly(path, reader, 4 * axes, "the lengths of its axes"))
        count = math.prod(shape)  # Python integers: no overflow
        if not count and not allow_empty:
            raise DataError(f"{path}: expected at least one item, found the shape {shape}")
        # With an axis of length zero the others take no bytes, but NumPy must still be able to count them.
        declared, header = math.prod(length or 1 for length in shape) * dtype.itemsize, 4 + 4 * axes
        packed = isinstance(reader, GzipReader)
        most = (size * MOST_EXPANSION if packed else size - header) if count else sys.maxsize
        if declared > most:
            found = f"{'at most ' * packed}{most}"
            raise DataError(f"{path}: expected {declared} bytes for {dtype.name} {shape}, found {found}")
        array = np.empty(shape, dtype)
        reader.most = header + array.nbytes
        if array.nbytes:
            reader.read_into(array.reshape(-1).view(np.uint8).data)
        reader.finish()
    return array if dtype.isnative else array.byteswap(inplace=True).view(dtype.newbyteorder("="))


def write_idx(path: str | os.PathLike[str], array: Any) -> None:
    """Writes an array as an IDX file; the name changes hands only when the file is whole.

    Args:
        path: the file; a name that ends in `.gz` is compressed, equal arrays to equal bytes.
        array: of uint8, int8, int16, int32, float32 or float64, with at least one axis.

    Raises:
        TypeError: IDX has no such dtype.
        ValueError: the array has no axis.

    Source: LeCun, Cortes and Burges, The MNIST Database of Handwritten Digits (1998).

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_idx(f"{folder}/ramp", np.arange(3, dtype=np.int16))
        ...     Path(f"{folder}/ramp").read_bytes().hex(" ", 4)
        '0000 0b010000 00030000 00010002'
    """
    array = np.asarray(array)
    code = _CODES.get(array.dtype.newbyteorder("="))
    if code is None:
        known = ", ".join(dtype.name for dtype in _CODES)
        raise TypeError(f"write_idx array: expected one of {known}, found dtype {array.dtype}; convert it with astype")
    if not array.ndim:
        raise ValueError("write_idx array: expected at least one axis, found a scalar; pass array[None]")
    too_long = [length for length in array.shape if length >= 2**32]
    if too_long:
        raise ValueError(f"write_idx array: expected axes shorter than 2**32, found {too_long[0]}")
    path, body = Path(path), np.ascontiguousarray(array, _DTYPES[code])
    with whole(path) as part, open(part, "xb") as stream, contextlib.ExitStack() as stack:
        out: Any = stream
        if path.name.endswith(".gz"):
            out = stack.enter_context(gzip.GzipFile("", "wb", compresslevel=6, fileobj=stream, mtime=0))
        out.write(struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape))
        out.write(body.reshape(-1).view(np.uint8).data)


class _Plain:
    """An uncompressed file with the methods of `GzipReader`."""

    most: int = 0

    def __init__(self, path: object, stream: FileIO):
        self.path, self._stream = path, stream

    def read(self, count: int) -> bytes:
        return self._stream.read(count)

    def read_into(self, array: memoryview) -> None:
        filled = 0
        while filled < len(array):
            count = self._stream.readinto(array[filled:])  # pyright: ignore[reportAttributeAccessIssue]
            if not count:
                raise DataError(f"{self.path}: expected {self.most} bytes, found {self.most - len(array) + filled}")
            filled += count

    def finish(self) -> None:
        if self._stream.read(1):
            size = os.fstat(self._stream.fileno()).st_size
            raise DataError(f"{self.path}: expected {self.most} bytes as its header says, found {size}")


def _magic(path: object, reader: Any) -> tuple[np.dtype, int]:
    magic = _upto(reader, 4)
    if len(magic) == 4 and magic[2:] == b"\0\0" and magic[1] in _DTYPES:
        raise DataError(f"{path}: expected an IDX file (big-endian), found its magic number byte-swapped")
    if not magic.startswith(b"\0\0"):
        start = magic + reader.read(60) if isinstance(reader, _Plain) else magic
        raise DataError(f"{path}: expected an IDX file, which begins with two zero bytes, found {described(start)}")
    if len(magic) < 4:
        raise DataError(f"{path}: expected an IDX file, found only {len(magic)} bytes")
    if magic[2] not in _DTYPES:
        known = ", ".join(f"{code:#04x}" for code in _DTYPES)
        raise DataError(f"{path}: expected an IDX type code ({known}), found {magic[2]:#04x}")
    if not 1 <= magic[3] <= _MOST_AXES:
        raise DataError(f"{path}: expected an IDX file of 1 to {_MOST_AXES} axes, found {magic[3]}")
    return np.dtype(_DTYPES[magic[2]]), magic[3]


def _exactly(path: object, reader: Any, count: int, what: str) -> bytes:
    found = _upto(reader, count)
    if len(found) < count:
        raise DataError(f"{path}: expected {count} bytes for {what}, found {len(found)}")
    return found


def _upto(reader: Any, count: int) -> bytes:
    found = b""
    while len(found) < count and (more := reader.read(count - len(found))):
        found += more
    return found
