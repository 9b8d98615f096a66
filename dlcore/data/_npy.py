"""Read NumPy's `.npy` from a source that is not trusted: nothing is unpickled, no memory taken before a check."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
from numpy.lib import format as npy

from dlcore.errors import DataError, one_line
from dlcore.files import described

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_BYTES = 1 << 20


def read_npy(where: str, stream: Any, size: int) -> np.ndarray:
    """Returns the array of a `.npy` file of `size` bytes.

    Args:
        where: what error messages call it.
        stream: the file at its beginning, with `read`.
        size: its bytes.

    Raises:
        DataError: it is no `.npy`, holds Python objects, or is not exactly as long as its header says.
    """
    counted = _Counted(stream)
    shape, fortran, dtype = _header(where, counted)
    if dtype.hasobject or dtype.kind not in "biuf":
        raise DataError(f"{where}: expected an array of real numbers, found dtype {str(dtype)[:60]}")
    declared, there = math.prod(shape) * dtype.itemsize, size - counted.count  # Python integers: no overflow
    if declared != there:
        raise DataError(f"{where}: expected {declared} bytes for {dtype.name} {one_line(shape)}, found {there}")
    if len(shape) > 64 or math.prod(length or 1 for length in shape) * dtype.itemsize > sys.maxsize:
        raise DataError(f"{where}: expected a shape that fits this machine, found {one_line(shape, 60)}")
    array = np.empty(shape[::-1] if fortran else shape, dtype)
    _fill(where, stream, array)
    array = array.T if fortran else array
    return array if dtype.isnative else array.astype(dtype.newbyteorder("="))


def _header(where: str, counted: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    start = counted.read(len(npy.MAGIC_PREFIX))
    if start != npy.MAGIC_PREFIX:
        raise DataError(f"{where}: expected a .npy file, found {described(start)}")
    version = tuple(counted.read(2))
    if version not in _HEADERS:  # version 3 is for arrays with named fields
        raise DataError(f"{where}: expected .npy version 1.0 or 2.0, found {'.'.join(map(str, version)) or 'the end'}")
    try:
        shape, fortran, dtype = _HEADERS[version](counted)  # NumPy refuses headers above 10,000 bytes
        if any(isinstance(length, bool) or length < 0 for length in shape):
            raise ValueError(f"negative length in {shape}")
        if math.prod(length or 1 for length in shape) > 10**200:  # Python writes no number of more than 4,300 digits
            raise ValueError("more numbers than any machine has")
    except Exception as error:  # the header is a Python literal, so that the kinds are many
        reason = one_line(error, 120) or type(error).__name__
        raise DataError(f"{where}: expected a .npy header, found damage ({reason})") from None
    return shape, fortran, dtype


def _fill(where: str, stream: Any, array: np.ndarray) -> None:
    view = array.reshape(-1).view(np.uint8).data if array.nbytes else memoryview(b"")
    filled = 0
    while filled < len(view):
        chunk = stream.read(min(_BYTES, len(view) - filled))
        if not chunk:
            raise DataError(f"{where}: expected {len(view)} bytes of numbers, found {filled}")
        view[filled : filled + len(chunk)] = chunk
        filled += len(chunk)


class _Counted:
    def __init__(self, stream: Any):
        self._stream, self.count = stream, 0

    def read(self, count: int) -> bytes:
        found = self._stream.read(count)
        self.count += len(found)
        return found
