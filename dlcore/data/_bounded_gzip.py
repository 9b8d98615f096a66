"""Read gzip from a source that is not trusted: never more than a bound comes out, and every fault has a name."""

from __future__ import annotations

import zlib
from io import FileIO

from dlcore.errors import DataError
from dlcore.files import described

MOST_EXPANSION = 1032  # bytes that one byte of deflate can become: a match of 258 bytes in two bits

_BYTES_IN = 1 << 16
_BYTES_OUT = 1 << 20
_GZIP = 16 + zlib.MAX_WBITS


class GzipReader:
    """What one gzip member holds, read in order, at most `most` bytes of it.

    zlib itself compares the checksum and the length in the trailer, as soon as it reaches them.

    Args:
        path: what error messages call the file.
        stream: the file, at its beginning.
        most: the bytes that may come out; may be raised while reading.

    Raises:
        DataError: on a call, the file is empty, cut short, damaged, no gzip, or holds more than `most` bytes.
    """

    def __init__(self, path: object, stream: FileIO, most: int):
        self.path, self.most, self._stream, self._given = path, most, stream, 0
        self._inflate = zlib.decompressobj(_GZIP)
        self._waiting = stream.read(_BYTES_IN)
        if not self._waiting.startswith(b"\x1f\x8b"[: len(self._waiting)] or b"\x1f"):
            raise self._error("gzip data", described(self._waiting[:64]))

    def read(self, count: int) -> bytes:
        """Returns the next bytes: `count` of them or fewer, none only at the end of the data."""
        room = self.most - self._given
        out = self._next(min(count, room + 1))  # one above the bound tells that there is more, and is not kept
        if len(out) > room:
            raise self._error(f"at most {self.most} bytes of data", "more")
        self._given += len(out)
        return out

    def read_into(self, array: memoryview) -> None:
        """Fills an array of bytes, or raises where the data end before it is full."""
        filled = 0
        while filled < len(array):
            out = self.read(min(_BYTES_OUT, len(array) - filled))
            if not out:
                expected = self._given + len(array) - filled
                raise self._error(f"{expected} bytes of data", f"{self._given}")
            array[filled : filled + len(out)] = out
            filled += len(out)

    def finish(self) -> None:
        """Checks that the data end here, with a trailer that is right and nothing behind it."""
        self.most = self._given
        self.read(1)
        behind = self._inflate.unused_data[:2] + self._stream.read(2)
        if behind.startswith(b"\x1f\x8b"):
            raise self._error("one gzip member", "a second one behind it")
        if behind:
            raise self._error("the end of the file behind the gzip trailer", "more bytes")

    def _next(self, count: int) -> bytes:
        while not self._inflate.eof:
            self._waiting = self._waiting or self._stream.read(_BYTES_IN)
            ended = not self._waiting
            try:
                out = self._inflate.decompress(self._waiting, count)
            except zlib.error as error:
                reason = str(error).rpartition(": ")[2]
                raise self._error("whole gzip data", f"damage ({reason})") from None
            self._waiting = self._inflate.unconsumed_tail
            if out:
                return out
            if ended and not self._inflate.eof:
                found = f"a file cut short after {self._given} bytes of data"
                raise self._error("whole gzip data with a trailer", found)
        return b""

    def _error(self, expected: str, found: str) -> DataError:
        return DataError(f"{self.path}: expected {expected}, found {found}")
