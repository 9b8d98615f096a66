"""CIFAR from small archives: pixels and labels come out where they belong, and crafted archives are refused."""

from __future__ import annotations

import gzip
import io
import os
import re
import struct
import tarfile
import tracemalloc

import numpy as np
import pytest

from dlcore.data import _cifar, _cifar_names, cifar10, cifar100
from dlcore.errors import DataError

GENERATOR = np.random.default_rng(0)
TEN, HUNDRED = "cifar-10-binary.tar.gz", "cifar-100-binary.tar.gz"


def records(rows, *label_counts):
    """Random images behind a byte of labels for each count."""
    labels = [np.arange(rows, dtype=np.uint8)[:, None] % count for count in label_counts]
    return np.concatenate([*labels, GENERATOR.integers(0, 256, (rows, 3072), np.uint8)], axis=1)


BATCHES = {f"cifar-10-batches-bin/data_batch_{n}.bin": records(10, 10) for n in range(1, 6)}
BATCHES["cifar-10-batches-bin/test_batch.bin"] = records(5, 10)
FILES = {name: array.tobytes() for name, array in BATCHES.items()}
FIRST = "cifar-10-batches-bin/data_batch_1.bin"


def tarred(files, extra=(), order=None):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for member, content in extra:
            tar.addfile(member, io.BytesIO(content))
        for name in order or files:
            member = tarfile.TarInfo(name)
            member.size = len(files[name])
            tar.addfile(member, io.BytesIO(files[name]))
    return out.getvalue()


def saved(folder, content, name=TEN, packed=False):
    (folder / name).write_bytes(content if packed else gzip.compress(content, 1))
    return folder


def member(name, type=tarfile.REGTYPE, size=0, **attributes):
    made = tarfile.TarInfo(name)
    made.type, made.size = type, size
    for attribute, value in attributes.items():
        setattr(made, attribute, value)
    return made


def refused(folder, *words, call=cifar10):
    with pytest.raises(DataError) as caught:
        call(folder=folder, validation=5)
    message = str(caught.value)
    assert message.startswith(str(folder)) and ", found " in message and "\n" not in message, message
    for word in words:
        assert word in message, message


@pytest.mark.parametrize("order", [None, sorted(FILES, reverse=True)])
def test_images_are_in_the_order_of_the_batches_whatever_that_of_the_archive(tmp_path, order):
    text = [(member("cifar-10-batches-bin", tarfile.DIRTYPE), b"")]
    text += [(member("cifar-10-batches-bin/batches.meta.txt", size=3), b"abc")]
    dataset = cifar10(folder=saved(tmp_path, tarred(FILES, text, order)), validation=10)
    assert [len(arrays["x"]) for arrays in dataset.splits.values()] == [40, 10, 5]
    train = np.concatenate([BATCHES[name] for name in FILES if "data" in name])
    for split, expected in (
        ("train", train[:40]),
        ("validation", train[40:]),
        ("test", BATCHES[order[0] if order else list(FILES)[-1]]),
    ):
        found = dataset.splits[split]
        np.testing.assert_array_equal(found["y"], expected[:, 0])
        for row in (0, len(expected) - 1):
            for channel, plane in enumerate(np.split(expected[row, 1:], 3)):  # red, green, blue, each row by row
                np.testing.assert_array_equal(found["x"][row, ..., channel].ravel(), (plane / 255).astype(np.float32))
    assert dataset.classes[:3] == ("airplane", "automobile", "bird")


@pytest.mark.parametrize("fine", [True, False])
def test_the_hundred_have_a_coarse_and_a_fine_label(tmp_path, fine):
    train, test = records(30, 20, 100), records(20, 20, 100)
    train[0, :2] = 19, 99
    content = tarred({"cifar-100-binary/test.bin": test.tobytes(), "cifar-100-binary/train.bin": train.tobytes()})
    dataset = cifar100(fine=fine, folder=saved(tmp_path, content, HUNDRED), validation=5)
    np.testing.assert_array_equal(dataset.train["y"], train[:25, int(fine)])
    np.testing.assert_array_equal(dataset.splits["test"]["x"][0, 0, 0], np.float32(test[0, [2, 1026, 2050]] / 255))
    assert dataset.classes[-1] == ("worm" if fine else "vehicles_2")
    train[0, int(fine)] += 1
    content = tarred({"cifar-100-binary/test.bin": test.tobytes(), "cifar-100-binary/train.bin": train.tobytes()})
    call = lambda **options: cifar100(fine=fine, **options)
    refused(saved(tmp_path, content, HUNDRED), "expected labels from 0 to", call=call)


def test_the_class_names_are_complete():
    assert [len(set(names)) for names in (_cifar_names.CIFAR10, _cifar_names.CIFAR100_COARSE)] == [10, 20]
    assert len(set(_cifar_names.CIFAR100_FINE)) == 100 and sorted(_cifar_names.CIFAR100_FINE) == list(
        _cifar_names.CIFAR100_FINE
    )


def test_what_is_published_is_told_completely():
    for archive, name, mebibytes in ((_cifar._TEN, TEN, 162), (_cifar._HUNDRED, HUNDRED, 160)):
        assert archive.url == f"https://www.cs.toronto.edu/~kriz/{name}" and archive.size >> 20 == mebibytes
        assert re.fullmatch("[0-9a-f]{64}", archive.sha256)
        assert len(archive.train) * archive.rows == 50_000


def test_a_missing_archive_is_named_with_where_to_get_it(tmp_path):
    refused(tmp_path, TEN, "found nothing there", "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz")


CRAFTED = {
    "a path that leads out": ([(member("../data_batch_1.bin"), b"")], ["'../data_batch_1.bin'"]),
    "a path that leads out from within": ([(member("cifar-10-batches-bin/../../x"), b"")], ["../../x"]),
    "an absolute path": ([(member("/etc/passwd"), b"")], ["'/etc/passwd'"]),
    "a symbolic link": ([(member(FIRST, tarfile.SYMTYPE, linkname="/etc/passwd"), b"")], [FIRST]),
    "a hard link": ([(member(FIRST, tarfile.LNKTYPE, linkname="/etc/passwd"), b"")], [FIRST]),
    "a device": ([(member(FIRST, tarfile.CHRTYPE), b"")], [FIRST]),
    "a pipe": ([(member("pipe", tarfile.FIFOTYPE), b"")], ["'pipe'"]),
    "a file twice": ([(member(FIRST, size=3073), bytes(3073))], ["once, found it twice"]),
    "half a record": ([(member(FIRST, size=3000), bytes(3000))], ["records of 3073 bytes", "found 3000 bytes"]),
    "an empty file": ([(member(FIRST), b"")], ["found 0 bytes"]),
    "many files": ([(member(f"{n}"), b"") for n in range(100)], ["expected a few small files"]),
}


@pytest.mark.parametrize("fault", CRAFTED)
def test_a_crafted_member_is_refused(tmp_path, fault):
    extra, words = CRAFTED[fault]
    refused(saved(tmp_path, tarred(FILES, extra)), *words)
    assert os.listdir(tmp_path) == [TEN]


def with_size(name, size):
    """A header alone, which declares more than there is."""
    return member(name, size=size).tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("size", [10_001 * 3073, 2**40, 2**62])
@pytest.mark.parametrize("name", [FIRST, "cifar-10-batches-bin/other.bin"])
def test_a_declared_size_is_checked_before_it_is_read_or_skipped(tmp_path, name, size):
    refused(saved(tmp_path, with_size(name, size) + bytes(10_240)))


def test_a_negative_size_is_refused(tmp_path):
    header = bytearray(with_size("other", 0))
    header[124:136] = b"\xff" * 8 + struct.pack(">i", -1024)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    refused(saved(tmp_path, bytes(header) + bytes(10_240)))


@pytest.mark.parametrize("depth", [3, 5000])
def test_headers_within_headers_are_refused(tmp_path, depth):
    long_name = member("././@LongLink", tarfile.GNUTYPE_LONGNAME, size=512).tobuf(tarfile.GNU_FORMAT) + bytes(512)
    refused(saved(tmp_path, long_name * depth + bytes(1024)))


def test_every_batch_must_be_there(tmp_path):
    for name in FILES:
        rest = {other: content for other, content in FILES.items() if other != name}
        refused(saved(tmp_path, tarred(rest)), f"found no {name}")


WHOLE = tarred(FILES)
PACKED = gzip.compress(WHOLE, 1)


def test_a_label_that_is_none_is_refused(tmp_path):
    wrong = BATCHES[FIRST].copy()
    wrong[3, 0] = 10
    refused(saved(tmp_path, tarred(FILES | {FIRST: wrong.tobytes()})), "expected labels from 0 to 9, found 10")


def test_damage_of_the_gzip_is_refused(tmp_path):
    refused(saved(tmp_path, b"", packed=True), "an empty file")
    refused(saved(tmp_path, b"<html>", packed=True), "an HTML page")
    refused(saved(tmp_path, WHOLE, packed=True), "gzip data")
    refused(saved(tmp_path, PACKED[: len(PACKED) // 2], packed=True), "cut short")
    refused(saved(tmp_path, PACKED[:-8], packed=True), "trailer")
    refused(saved(tmp_path, PACKED[:-8] + b"\0" * 8, packed=True), "incorrect data check")
    refused(saved(tmp_path, PACKED + PACKED, packed=True), "a second one behind it")
    refused(saved(tmp_path, gzip.compress(b"not a tar archive" * 1000)), "found")


def test_an_archive_cut_anywhere_is_refused(tmp_path):
    for end in range(0, len(WHOLE) - 10_240, 7_001):
        refused(saved(tmp_path, WHOLE[:end]))


def test_an_archive_with_any_changed_header_is_read_or_refused_but_never_fails_otherwise(tmp_path):
    generator = np.random.default_rng(1)
    for _ in range(150):
        content = bytearray(WHOLE)
        content[generator.integers(512)] = generator.integers(256)
        try:
            cifar10(folder=saved(tmp_path, bytes(content)), validation=5)
        except DataError as error:
            assert "\n" not in str(error)


def test_a_bomb_behind_the_last_file_is_not_inflated(tmp_path, monkeypatch):
    monkeypatch.setattr(_cifar, "_TEN", _cifar.dataclasses.replace(_cifar._TEN, rows=10))
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1) as stream:
        stream.write(WHOLE)
        for _ in range(16):
            stream.write(bytes(1 << 24))
    saved(tmp_path, out.getvalue(), packed=True)
    tracemalloc.start()
    try:
        cifar10(folder=tmp_path, validation=5)
        message = "read"
    except DataError as error:
        message, peak = str(error), tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "bytes of data, found more" in message and peak < 8 << 20
