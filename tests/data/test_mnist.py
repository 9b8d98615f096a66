"""MNIST and its kin from folders of small files: what is read is what was written, and mixed-up files are refused."""

from __future__ import annotations

import hashlib
import http.server
import os
import re
import threading
from pathlib import Path

import numpy as np
import pytest

from dlcore.data import _mnist, fashion_mnist, kmnist, mnist, write_idx
from dlcore.errors import DataError
from dlcore.recipe import recipe_of

EVERY = {"mnist": mnist, "fashion_mnist": fashion_mnist, "kmnist": kmnist}
GENERATOR = np.random.default_rng(0)
X = {
    "train": GENERATOR.integers(0, 256, (60, 28, 28), np.uint8),
    "t10k": GENERATOR.integers(0, 256, (10, 28, 28), np.uint8),
}
Y = {"train": np.repeat(np.arange(10, dtype=np.uint8), 6), "t10k": np.arange(10, dtype=np.uint8)}


def written(folder: Path, suffix=".gz") -> Path:
    folder.mkdir(exist_ok=True)
    for part in X:
        write_idx(folder / f"{part}-images-idx3-ubyte{suffix}", X[part])
        write_idx(folder / f"{part}-labels-idx1-ubyte{suffix}", Y[part])
    return folder


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("name", EVERY)
def test_the_last_training_rows_are_the_validation_rows(tmp_path, name, suffix):
    dataset = EVERY[name](folder=written(tmp_path, suffix), validation=20)
    assert dataset.name == name and len(dataset.classes) == 10
    expected = {"train": (X["train"][:40], Y["train"][:40]), "validation": (X["train"][40:], Y["train"][40:])}
    expected["test"] = (X["t10k"], Y["t10k"])
    for split, (x, y) in expected.items():
        found = dataset.splits[split]
        assert found["x"].shape == (len(x), 28, 28, 1) and found["x"].dtype == np.float32
        np.testing.assert_array_equal(found["x"][..., 0], (x / 255).astype(np.float32))
        np.testing.assert_array_equal(found["y"], y)


def test_stratified_validation_rows_have_every_class_in_proportion(tmp_path):
    folder = written(tmp_path)
    first, again, other = (mnist(folder=folder, validation=20, stratify=True, key=key) for key in (1, 1, 2))
    assert np.bincount(first.splits["validation"]["y"]).tolist() == [2] * 10
    assert np.bincount(first.train["y"]).tolist() == [4] * 10
    np.testing.assert_array_equal(first.train["x"], again.train["x"])
    assert not np.array_equal(first.train["x"], other.train["x"])
    together = np.concatenate([first.train["x"], first.splits["validation"]["x"]])[..., 0] * 255
    whole = sorted(image.tobytes() for image in X["train"])
    assert sorted(image.tobytes() for image in together.round().astype(np.uint8)) == whole


def test_no_validation_rows_leave_every_row_for_training(tmp_path):
    dataset = mnist(folder=written(tmp_path), validation=0, stratify=True)
    assert dataset.validation is None and len(dataset.train["x"]) == 60


def test_validation_rows_must_leave_some_for_training(tmp_path):
    folder = written(tmp_path)
    for count in (60, -1):
        with pytest.raises(ValueError, match=f"mnist validation: expected 0 to 59 of the 60 rows, found {count}"):
            mnist(folder=folder, validation=count)
    with pytest.raises(ValueError, match="0 to 59 of the 60 rows, found 10000"):
        mnist(folder=folder)
    with pytest.raises(TypeError, match="expected an int, found float"):
        mnist(folder=folder, validation=0.1)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="mnist validation: 5 rows cannot be stratified"):
        mnist(folder=folder, validation=5, stratify=True)


def test_it_remembers_how_it_was_made(tmp_path):
    dataset = mnist(folder=str(written(tmp_path)), validation=20)
    assert "validation=20" in repr(recipe_of(dataset))


def refused(folder, *words):
    with pytest.raises(DataError) as caught:
        mnist(folder=folder, validation=1)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", ["train", "t10k"])
def test_files_that_do_not_belong_together_are_refused(tmp_path, part):
    images, labels = f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz"
    for name, array, words in [
        (labels, Y[part][:-1], [f"expected {len(X[part])} labels", f"found {len(X[part]) - 1}"]),
        (labels, Y[part] + np.uint8(1), ["expected uint8 labels from 0 to 9", "up to 10"]),
        (labels, Y[part].astype(np.int32), ["found int32"]),
        (labels, X[part], ["of 1 axes, found 3"]),
        (images, Y[part], ["of 3 axes, found 1"]),
        (images, X[part][:, :27], ["28 by 28 pixels", "(27, 28)"]),
        (images, X[part].astype(np.float32), ["found float32"]),
    ]:
        write_idx(written(tmp_path) / name, array)
        refused(tmp_path, str(tmp_path / name), *words)


def test_a_missing_file_is_named_with_where_to_get_it(tmp_path):
    (written(tmp_path) / "t10k-labels-idx1-ubyte.gz").unlink()
    url = "https://ossci-datasets.s3.amazonaws.com/mnist/t10k-labels-idx1-ubyte.gz"
    refused(tmp_path, f"{tmp_path}/t10k-labels-idx1-ubyte.gz: expected a file", "found nothing there", url)


@pytest.mark.parametrize("origin", [_mnist._MNIST, _mnist._FASHION, _mnist._KUZUSHIJI])
def test_what_is_published_is_told_completely(origin):
    assert list(origin.files) == [f"{part}-{kind}-ubyte.gz" for part in X for kind in ("images-idx3", "labels-idx1")]
    assert all(size > 0 and re.fullmatch("[0-9a-f]{64}", sha256) for size, sha256 in origin.files.values())
    assert len({sha256 for _, sha256 in origin.files.values()}) == 4
    assert all(re.fullmatch("https?://.*/", mirror) for mirror in origin.mirrors)
    assert len(set(origin.classes)) == 10


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_without_a_folder_the_files_are_downloaded_once_into_the_cache(tmp_path, monkeypatch):
    served = written(tmp_path / "served")
    monkeypatch.delenv("http_proxy", raising=False)
    monkeypatch.setenv("DLCORE_DATA", str(tmp_path / "cache"))
    handler = lambda *arguments: Handler(*arguments, directory=str(served))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        contents = {name: (served / name).read_bytes() for name in _mnist._MNIST.files}
        files = {name: (len(c), hashlib.sha256(c).hexdigest()) for name, c in contents.items()}
        mirrors = (f"http://127.0.0.1:{server.server_port}/nowhere/", f"http://127.0.0.1:{server.server_port}/")
        monkeypatch.setattr(_mnist, "_MNIST", _mnist._Origin(mirrors, files, _mnist._MNIST.classes))
        first = mnist(validation=20)
        server.shutdown()
        thread.join()
    again = mnist(validation=20)  # nobody serves any more
    np.testing.assert_array_equal(first.train["x"], again.train["x"])
    assert sorted(os.listdir(tmp_path / "cache/mnist")) == sorted(contents)
