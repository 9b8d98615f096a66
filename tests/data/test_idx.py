"""IDX files, plain and in gzip: read and written as specified, and every fault of a hostile one is a line."""

from __future__ import annotations

import gzip
import os
import re
import struct
import threading
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest

from dlcore.data import read_idx, write_idx
from dlcore.data._bounded_gzip import GzipReader
from dlcore.errors import DataError

DTYPES = [np.uint8, np.int8, np.int16, np.int32, np.float32, np.float64]
CODES = [0x08, 0x09, 0x0B, 0x0C, 0x0D, 0x0E]
TYPES = list(zip(DTYPES, CODES, strict=True))
IMAGES = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)


def idx(array, code=0x08, dims=None, axes=None, body=None):
    """The bytes of the specification, put together here by hand."""
    dims = array.shape if dims is None else dims
    head = bytes([0, 0, code, len(dims) if axes is None else axes])
    return head + struct.pack(f">{len(dims)}I", *dims) + (array.tobytes() if body is None else body)


def saved(folder: Path, content: bytes, name="file") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def refused(path, *words, **options):
    message, peak = None, 0
    tracemalloc.start()
    try:
        read_idx(path, **options)
    except DataError as error:
        message, peak = str(error), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert message is not None, f"{path} was read"
    assert peak < 1 << 20, peak
    assert message.startswith(f"{path}: expected ") and ", found " in message and "\n" not in message, message
    for word in words:
        assert word in message, message


@pytest.mark.parametrize("name", ["file", "file.gz"])
@pytest.mark.parametrize(("dtype", "code"), TYPES)
@pytest.mark.parametrize("shape", [(7,), (2, 3), (1, 2, 3, 4)])
def test_every_type_is_read_big_endian_into_this_machines_order(tmp_path, dtype, code, shape, name):
    array = np.random.default_rng(0).integers(-100, 100, shape).astype(dtype)
    content = idx(array, code, body=array.astype(array.dtype.newbyteorder(">")).tobytes())
    found = read_idx(saved(tmp_path, gzip.compress(content) if name.endswith(".gz") else content, name))
    np.testing.assert_array_equal(found, array, strict=True)
    assert found.dtype.isnative and found.flags.writeable


@pytest.mark.parametrize("name", ["file", "file.gz"])
@pytest.mark.parametrize(("dtype", "code"), TYPES)
@pytest.mark.parametrize("order", ["<", ">"])
def test_what_is_written_is_the_specification_whatever_the_byte_order_and_layout(tmp_path, dtype, code, order, name):
    array = np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1).astype(np.dtype(dtype).newbyteorder(order))
    write_idx(tmp_path / name, array)
    content = (tmp_path / name).read_bytes()
    content = gzip.decompress(content) if name.endswith(".gz") else content
    assert content == idx(array, code, body=array.astype(np.dtype(dtype).newbyteorder(">")).tobytes())
    np.testing.assert_array_equal(read_idx(tmp_path / name), array)
    assert os.listdir(tmp_path) == [name]


def test_equal_arrays_give_equal_files(tmp_path):
    write_idx(tmp_path / "a.gz", IMAGES)
    write_idx(tmp_path / "b.gz", IMAGES)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


@pytest.mark.parametrize("dtype", ["uint16", "int64", "float16", "bool", "complex64", "object"])
def test_a_type_that_the_format_lacks_is_not_written(tmp_path, dtype):
    with pytest.raises(TypeError, match="expected one of uint8, int8, .* found dtype"):
        write_idx(tmp_path / "file", np.zeros(3, dtype))
    assert not os.listdir(tmp_path)


def test_a_scalar_or_an_axis_too_long_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="at least one axis"):
        write_idx(tmp_path / "file", np.uint8(3))
    with pytest.raises(ValueError, match="shorter than 2"):
        write_idx(tmp_path / "file", np.broadcast_to(np.uint8(0), 2**32))


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    write_idx(tmp_path / "file", IMAGES)

    def no_room(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", no_room)
    with pytest.raises(OSError, match="No space"):
        write_idx(tmp_path / "file", IMAGES[:1])
    np.testing.assert_array_equal(read_idx(tmp_path / "file"), IMAGES)
    assert os.listdir(tmp_path) == ["file"]


WHOLE = idx(IMAGES)
FAULTS = {
    "an empty file": (b"", ["an empty file"]),
    "a short magic": (WHOLE[:2], ["2 bytes"]),
    "a short header": (WHOLE[:9], ["12 bytes", "found 5"]),
    "an HTML page": (b"\n<!DOCTYPE html><html>", ["an HTML page"]),
    "other bytes": (b"\x89PNG\r\n", ["89 50 4e 47"]),
    "a swapped magic": (bytes([3, 8, 0, 0]) + WHOLE[4:], ["byte-swapped"]),
    "a type code that is none": (idx(IMAGES, code=0x0A), ["type code", "found 0x0a"]),
    "a type code of zero": (idx(IMAGES, code=0), ["type code", "found 0x00"]),
    "255 axes": (idx(IMAGES, axes=255), ["1 to 64 axes", "found 255"]),
    "no axis": (idx(IMAGES, axes=0), ["1 to 64 axes", "found 0"]),
    "a byte too few": (WHOLE[:-1], ["60 bytes", "found"]),
    "a byte too many": (WHOLE + b"\0", ["found"]),
    "no items": (idx(IMAGES, dims=(0, 28, 28), body=b""), ["at least one item", "(0, 28, 28)"]),
    "petabytes": (idx(IMAGES, dims=(2**31, 2**21)), [str(2**52)]),
    "a product that is 0 modulo 2**64": (idx(IMAGES, dims=(2**31, 2**31, 4)), [str(2**64)]),
    "a product that is 60 modulo 2**64": (idx(IMAGES, dims=(2**31, 2**31, 4, 15)), [str(2**64 * 15)]),
    "the header alone": (WHOLE[:16], ["60 bytes"]),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", ["file", "file.gz"])
def test_a_faulty_file_is_refused(tmp_path, fault, name):
    content, words = FAULTS[fault]
    packed = name.endswith(".gz")
    path = saved(tmp_path, gzip.compress(content) if packed else content, name)
    # Inside gzip, a length is known only by what came out.
    refused(path, *(["found"] if packed and "60 bytes" in words else words))


def test_no_items_are_accepted_where_asked_for(tmp_path):
    empty = read_idx(saved(tmp_path, idx(IMAGES, dims=(0, 28, 28), body=b"")), allow_empty=True)
    assert empty.shape == (0, 28, 28)
    refused(saved(tmp_path, idx(IMAGES, dims=(0, 28, 28), body=b"x")), "17", allow_empty=True)
    refused(saved(tmp_path, idx(IMAGES, dims=(0,) + (2**32 - 1,) * 3, body=b"")), str(2**32 - 1), allow_empty=True)


def test_the_number_of_axes_is_checked(tmp_path):
    path = saved(tmp_path, WHOLE)
    assert read_idx(path, ndim=3).ndim == 3
    refused(path, "of 1 axes", "found 3", ndim=1)


PACKED = gzip.compress(WHOLE, mtime=0)
# Random bytes compress into stored blocks, so that what is damaged is the content.
NOISE = idx(np.random.default_rng(0).integers(0, 256, (40, 28, 28), dtype=np.uint8))
STORED = gzip.compress(NOISE, 0)
DEFLATED = gzip.compress(idx(np.repeat(np.arange(200, dtype=np.uint8), 64).reshape(200, 64)), 9)


def flipped(content: bytes, position: int) -> bytes:
    return content[:position] + bytes([content[position] ^ 0xFF]) + content[position + 1 :]


GZIP_FAULTS = {
    "an empty file": (b"", ["an empty file"]),
    "an HTML page": (b"<html><body>404</body></html>", ["gzip data", "an HTML page"]),
    "a page with a mark": (b"\xef\xbb\xbf <html>", ["an HTML page"]),
    "no gzip": (WHOLE, ["gzip data", "00 00 08 03"]),
    "its first byte alone": (PACKED[:1], ["cut short"]),
    "half of its header": (PACKED[:6], ["cut short"]),
    "half of it": (STORED[: len(STORED) // 2], ["cut short"]),
    "no trailer": (PACKED[:-8], ["trailer", "cut short"]),
    "half a trailer": (PACKED[:-4], ["trailer", "cut short"]),
    "a wrong checksum": (flipped(PACKED, len(PACKED) - 8), ["incorrect data check"]),
    "a wrong length": (flipped(PACKED, len(PACKED) - 1), ["incorrect length check"]),
    "a byte changed in the middle": (flipped(STORED, len(STORED) // 2), ["incorrect data check"]),
    "damage in the codes": (flipped(DEFLATED, len(DEFLATED) // 2), []),
    "a method that is none": (flipped(PACKED, 2), ["unknown compression method"]),
    "something behind": (PACKED + b"\0", ["behind the gzip trailer"]),
    "two members": (PACKED + PACKED, ["one gzip member", "second"]),
    "an empty member behind": (PACKED + gzip.compress(b""), ["one gzip member", "second"]),
    "data in two members": (gzip.compress(WHOLE[:30]) + gzip.compress(WHOLE[30:]), ["76 bytes", "found 30"]),
    "gzip under a plain name": (None, ["gzip data"]),
}


@pytest.mark.parametrize("fault", GZIP_FAULTS)
def test_faulty_gzip_is_refused(tmp_path, fault):
    content, words = GZIP_FAULTS[fault]
    refused(saved(tmp_path, PACKED) if content is None else saved(tmp_path, content, "file.gz"), *words)


def test_a_cut_at_every_byte_is_refused(tmp_path):
    for end in range(len(PACKED)):
        refused(saved(tmp_path, PACKED[:end], "file.gz"))


def test_a_change_of_any_byte_that_matters_is_refused(tmp_path):
    unread = {3, 4, 5, 6, 7, 8, 9}  # flags, time, level and system of the gzip header say nothing of the data
    for position in set(range(len(PACKED))) - unread:
        refused(saved(tmp_path, flipped(PACKED, position), "file.gz"))


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """A gibibyte of zeros in a megabyte, behind the header of five small images."""
    pack = zlib.compressobj(9, wbits=31)
    parts = [pack.compress(WHOLE[:16])] + [pack.compress(bytes(1 << 24)) for _ in range(64)]
    return b"".join([*parts, pack.flush()])


@pytest.mark.slow
def test_a_bomb_is_never_inflated(tmp_path, bomb):
    assert len(bomb) < 1.1 * 2**20
    path = saved(tmp_path, bomb, "file.gz")
    refused(path, "at most 76 bytes", "found more")  # and in less than a megabyte of memory


@pytest.mark.slow
def test_a_reader_gives_no_more_than_its_bound(tmp_path, bomb):
    with open(saved(tmp_path, bomb), "rb", buffering=0) as stream:
        reader = GzipReader("bomb", stream, most=5_000_000)
        tracemalloc.start()
        with pytest.raises(DataError, match="bomb: expected at most 5000000 bytes of data, found more"):
            while reader.read(1 << 30):
                pass
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 24 << 20


def test_a_reader_joins_what_comes_in_pieces(tmp_path):
    for content in (NOISE, bytes(3_000_000), b""):
        with open(saved(tmp_path, gzip.compress(content)), "rb", buffering=0) as stream:
            reader = GzipReader("file", stream, most=len(content))
            assert b"".join(iter(lambda: reader.read(1000), b"")) == content  # noqa: B023
            reader.finish()


def test_what_is_no_ordinary_file_is_refused_without_waiting(tmp_path):
    refused(tmp_path, "a folder")
    refused(tmp_path / "absent", "nothing there")
    os.mkfifo(tmp_path / "pipe")
    waiting = threading.Thread(target=refused, args=(tmp_path / "pipe", "a pipe"), daemon=True)
    waiting.start()
    waiting.join(5)
    assert not waiting.is_alive()
    refused("/dev/zero", "a device")


def test_a_descriptor_is_no_path():
    with pytest.raises(TypeError, match="expected a str or a Path, found 0"):
        read_idx(0)  # pyright: ignore[reportArgumentType]


def test_only_the_documented_words_of_the_error_differ(tmp_path):
    path = saved(tmp_path, WHOLE[:-1])
    with pytest.raises(DataError, match=re.escape(f"{path}: expected 60 bytes for uint8 (5, 4, 3), found 59")):
        read_idx(path)
