"""Arrays that NumPy wrote become a data set; pickles, bombs, false headers and damage become one line."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dlcore.data import load_arrays
from dlcore.errors import DataError

X, Y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 4


def npy(array, **options):
    out = io.BytesIO()
    np.lib.format.write_array(out, array, **options)
    return out.getvalue()


def header(text, version=b"\x01\x00", body=b""):
    text = text.encode()
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + body


def says(shape, descr="'<f8'", fortran=False):
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}}}\n"


def zipped(path, members, method=zipfile.ZIP_DEFLATED):
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", method) as archive:
        warnings.simplefilter("ignore")  # of names that come twice
        for name, content in members:
            archive.writestr(name, content)
    return path


def refused(path, *words, y=None):
    message, peak = None, 0
    tracemalloc.start()
    try:
        load_arrays(path, y)
    except DataError as error:
        message, peak = str(error), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert message is not None, f"{path} was read"
    assert message.startswith(str(path)) and "expected " in message and ", found " in message, message
    assert "\n" not in message and peak < 4 << 20
    for word in words:
        assert word in message, message


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_with_x_and_y_is_a_training_set(tmp_path, save):
    save(tmp_path / "mine.npz", x=X, y=Y)
    dataset = load_arrays(tmp_path / "mine.npz")
    assert repr(dataset) == "Dataset mine: 20 train, x (3,) float32, y 4 classes"
    np.testing.assert_array_equal(dataset.train["x"], X.astype(np.float32))
    np.testing.assert_array_equal(dataset.train["y"], Y)


def test_a_pair_of_npy_files_is_a_training_set(tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    dataset = load_arrays(str(tmp_path / "x.npy"), str(tmp_path / "y.npy"), name="mine")
    assert repr(dataset) == "Dataset mine: 20 train, x (3,) float32, y 4 classes"


@pytest.mark.parametrize("validation", ["validation", "val"])
def test_splits_go_by_their_names_and_classes_by_all_of_them(tmp_path, validation):
    parts = {"x_train": X[:10], "y_train": Y[:10] % 2, f"x_{validation}": X[10:14], f"y_{validation}": Y[10:14] % 3}
    np.savez(tmp_path / "mine.npz", **parts, x_test=X[14:], y_test=Y[14:])
    dataset = load_arrays(tmp_path / "mine.npz")
    assert repr(dataset) == "Dataset mine: 10 train / 4 validation / 6 test, x (3,) float32, y 4 classes"
    np.testing.assert_array_equal(dataset.splits["test"]["y"], Y[14:])


def test_real_targets_mean_regression(tmp_path):
    np.savez(tmp_path / "mine.npz", x=X, y=X[:, :1])
    assert load_arrays(tmp_path / "mine.npz").task == "regression"


@pytest.mark.parametrize("dtype", ["<f4", ">f4", ">f8", "<i2", ">i4", "u1", "f2", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_every_number_byte_order_and_layout_is_read(tmp_path, dtype, order, version):
    x = np.arange(24).reshape(4, 3, 2).astype(dtype, order=order)
    (tmp_path / "x.npy").write_bytes(npy(x, version=version))
    np.save(tmp_path / "y.npy", Y[:4])
    found = load_arrays(tmp_path / "x.npy", tmp_path / "y.npy").train["x"]
    np.testing.assert_array_equal(found, x.astype(found.dtype))
    assert found.dtype.isnative


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("unpickled",)


def test_nothing_is_ever_unpickled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    evil = np.array([Bomb()] * 20, dtype=object)
    np.save("x.npy", evil, allow_pickle=True)
    np.save("y.npy", Y)
    np.savez("x.npz", allow_pickle=True, x=evil, y=Y)
    for name in ("x.pkl", "x.pickle"):
        Path(name).write_bytes(Path("x.npy").read_bytes())
        refused(name, "unpickling would run what it holds")
    refused("x.npy", "real numbers", "object", y="y.npy")
    refused("x.npz", "x: expected an array of real numbers, found dtype object")
    assert not os.path.exists("unpickled")


@pytest.mark.parametrize("name", ["x.csv", "x", "x.npz.gz", "x.pt"])
def test_other_endings_are_refused_by_name(tmp_path, name):
    refused(tmp_path / name, "expected a .npz or .npy file")


FIFTY = "9" * 50
HEADERS = {
    "petabytes": (header(says("(1125899906842624,)"), body=bytes(80)), ["9007199254740992 bytes", "found 80"]),
    "a product of 0 modulo 2**64": (header(says("(4294967296, 4294967296)")), [str(2**67)]),
    "a length beyond every integer": (header(says(f"({FIFTY},)")), [FIFTY]),
    "an empty shape that overflows": (header(says("(0, 4611686018427387904, 8)")), ["fits this machine"]),
    "a negative length": (header(says("(-2, -3)"), body=bytes(48)), ["negative length"]),
    "a length that is no integer": (header(says("(2.5,)")), ["damage"]),
    "a true length": (header(says("(True, 3)"), body=bytes(24)), ["damage"]),
    "a byte too few": (npy(X)[:-1], ["480 bytes", "found 479"]),
    "a byte too many": (npy(X) + b"\0", ["480 bytes", "found 481"]),
    "nothing": (b"", ["an empty file"]),
    "a page": (b"<html></html>", ["an HTML page"]),
    "an archive": (b"PK\x03\x04" + bytes(60), [".npy file", "50 4b 03 04"]),
    "a magic alone": (b"\x93NUMPY", ["version"]),
    "a version of later": (b"\x93NUMPY\x09\x00" + bytes(80), ["found 9.0"]),
    "a header cut short": (npy(X)[:40], ["damage"]),
    "code in the header": (header("__import__('os').mkdir('unpickled')\n"), ["damage"]),
    "a header of parentheses": (header("(" * 9000), ["damage"]),
    "a header too long": (header(says("(1,)") + " " * 60_000), ["damage"]),
    "missing keys": (header("{'shape': (1,)}\n"), ["damage"]),
    "no dtype": (header(says("(1,)", "'nonsense'")), ["damage"]),
    "words": (npy(np.array(["a", "b"])), ["real numbers", "<U1"]),
    "dates": (npy(np.array(["2020"], "M8[s]")), ["real numbers"]),
    "named fields": (npy(np.zeros(3, [("a", "f4"), ("b", "O")]), allow_pickle=True), ["real numbers"]),
    "complex numbers": (npy(np.zeros(3, complex)), ["real numbers, found dtype complex128"]),
}


@pytest.mark.parametrize("fault", HEADERS)
def test_a_false_npy_is_refused_before_memory_is_taken(tmp_path, fault):
    content, words = HEADERS[fault]
    (tmp_path / "x.npy").write_bytes(content)
    np.save(tmp_path / "y.npy", Y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        refused(tmp_path / "x.npy", *words, y=tmp_path / "y.npy")
        if content:
            zipped(tmp_path / "x.npz", [("x.npy", content), ("y.npy", npy(Y))])
            refused(tmp_path / "x.npz", f"{tmp_path / 'x.npz'}, x: ", *words)


GOOD = [("x.npy", npy(X)), ("y.npy", npy(Y))]
ZIPS = {
    "a path that leads out": ([*GOOD, ("../x.npy", npy(X))], ["'../x.npy'"]),
    "an absolute path": ([*GOOD, ("/x.npy", npy(X))], ["'/x.npy'"]),
    "a path within": ([*GOOD, ("folder/x.npy", npy(X))], ["'folder/x.npy'"]),
    "another name": ([*GOOD, ("z.npy", npy(X))], ["expected arrays named x, y, x_train", "'z.npy'"]),
    "no ending": ([*GOOD, ("x_test", npy(X))], ["'x_test'"]),
    "a name twice": ([*GOOD, GOOD[0]], ["x once, found it twice"]),
    "no y": (GOOD[:1], ["no y", "only ['x']"]),
    "nothing": ([], ["found no x"]),
    "a test split without y": ([*GOOD, ("x_test.npy", npy(X))], ["x and y for test, found no y"]),
    "two training splits": ([*GOOD, ("x_train.npy", npy(X))], ["one array for x of train, found two"]),
    "no npy inside": ([("x.npy", b"hello, this is text"), GOOD[1]], ["x: expected a .npy file"]),
    "zeros without end behind": ([("x.npy", npy(X) + bytes(1 << 26)), GOOD[1]], ["480 bytes", f"found {480 + 2**26}"]),
}


@pytest.mark.parametrize("fault", ZIPS)
def test_a_crafted_npz_is_refused(tmp_path, fault):
    members, words = ZIPS[fault]
    refused(zipped(tmp_path / "x.npz", members), *words)
    assert os.listdir(tmp_path) == ["x.npz"]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_inflate_without_a_bound_are_refused(tmp_path, method):
    refused(zipped(tmp_path / "x.npz", GOOD, method), "zip method 0 or 8")


def test_a_member_that_inflates_beyond_what_it_declares_is_refused(tmp_path):
    """The directory and the header of the array say 600 bytes, the compressed data are 64 MB."""
    path = zipped(tmp_path / "x.npz", [("x.npy", npy(X) + bytes(1 << 26)), GOOD[1]])
    true, false = struct.pack("<I", len(npy(X)) + 2**26), struct.pack("<I", len(npy(X)))
    assert path.read_bytes().count(true) == 2
    path.write_bytes(path.read_bytes().replace(true, false))
    refused(path, "Bad CRC-32")


def test_a_declared_size_that_cannot_be_is_refused(tmp_path):
    claim = header(says("(134217728,)"))  # a gibibyte
    path = zipped(tmp_path / "x.npz", [("x.npy", claim + bytes(80)), GOOD[1]])
    true, false = struct.pack("<I", len(claim) + 80), struct.pack("<I", len(claim) + 2**30)
    assert path.read_bytes().count(true) == 2
    path.write_bytes(path.read_bytes().replace(true, false))
    refused(path, f"found {len(claim) + 2**30} declared")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_flipped_byte_is_never_read_as_other_numbers(tmp_path, save):
    path = tmp_path / "x.npz"
    save(path, x=X, y=Y)
    whole = path.read_bytes()
    for position in range(0, len(whole), 3):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
        try:
            dataset = load_arrays(path)
        except DataError as error:
            assert "\n" not in str(error)
        else:  # a byte that says nothing, such as the time
            np.testing.assert_array_equal(dataset.train["x"], X.astype(np.float32))
            np.testing.assert_array_equal(dataset.train["y"], Y)


def test_a_cut_npz_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", x=X, y=Y)
    whole = (tmp_path / "x.npz").read_bytes()
    for end in range(0, len(whole), 7):
        (tmp_path / "x.npz").write_bytes(whole[:end])
        refused(tmp_path / "x.npz")


def test_what_is_no_ordinary_file_is_refused(tmp_path):
    refused(tmp_path / "absent.npz", "nothing there")
    os.mkfifo(tmp_path / "pipe.npz")
    refused(tmp_path / "pipe.npz", "a pipe")
    (tmp_path / "folder.npz").mkdir()
    refused(tmp_path / "folder.npz", "a folder")


def test_one_npz_or_two_npy(tmp_path):
    with pytest.raises(ValueError, match="load_arrays y: expected None"):
        load_arrays(tmp_path / "x.npz", tmp_path / "y.npy")
    with pytest.raises(ValueError, match="load_arrays y: expected the .npy file with y, found None"):
        load_arrays(tmp_path / "x.npy")


def test_what_a_data_set_refuses_is_refused(tmp_path):
    for y, error, words in [
        (Y[:-1], ValueError, "20 in x and 19 in y"),
        (Y - 1, ValueError, "labels from 0 to 2"),
        (Y + 10**7, ValueError, "not a likely one"),
        (np.where(Y == 1, np.nan, 1.0), ValueError, "finite"),
    ]:
        np.savez(tmp_path / "x.npz", x=X, y=y)
        with pytest.raises(error, match=words):
            load_arrays(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", x=X[:0], y=Y[:0])
    with pytest.raises(ValueError, match="empty"):
        load_arrays(tmp_path / "x.npz")
