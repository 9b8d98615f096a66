"""Data sets by name, from files that are there, through the command line too."""

from __future__ import annotations

import numpy as np
import pytest

import dlcore as dl
from dlcore import cli, data
from dlcore.data import write_idx
from dlcore.errors import DataError


@pytest.fixture(scope="session")
def tiny_mnist(tmp_path_factory):
    """Files of MNIST's form with 10,064 + 8 images, of which 10,000 are for validation."""
    folder, draw = tmp_path_factory.mktemp("mnist"), np.random.default_rng(0)
    for part, count in (("train", 10_064), ("t10k", 8)):
        labels = np.arange(count) % 10
        images = np.zeros((count, 28, 28), np.uint8)
        images[np.arange(count), labels * 2 + 4] = draw.integers(128, 255, (count, 28))  # a bar for each digit
        write_idx(folder / f"{part}-images-idx3-ubyte", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte", labels.astype(np.uint8))
    return folder


def test_every_set_says_which_files_it_lies_in():
    for name in data.names():
        assert all(file.startswith(f"{name}/") for file in data.files(name))
        assert bool(data.files(name)) == (name not in data.names()[:5])
    with pytest.raises(ValueError, match="none called 'minst'; did you mean 'mnist'"):
        data.files("minst")


def test_files_that_are_there_are_used(tiny_mnist):
    dataset = data.load("mnist", folder=tiny_mnist)
    assert [len(dataset.splits[name]["x"]) for name in ("train", "validation", "test")] == [64, 10_000, 8]
    with pytest.raises(ValueError, match="folder: iris comes with scikit-learn and has no files"):
        data.load("iris", folder=tiny_mnist)
    with pytest.raises(DataError, match="train-images.*expected a file, also without .gz, found nothing there"):
        data.load("mnist", folder=tiny_mnist / "absent")


@pytest.mark.slow
def test_the_command_trains_on_them_with_augmentation(tiny_mnist, tmp_path, capsys):
    out = tmp_path / "run"
    options = ["--data", "mnist", "--data-dir", str(tiny_mnist), "--augment", "shift", "mixup", "--batch-size", "32"]
    cli.main(["train", "mlp", *options, "--epochs", "1", "--out", str(out)])
    assert "64 train / 10000 validation" in capsys.readouterr().out
    run = dl.load(out)
    assert run.metrics["loss"].shape == (2,)
    cli.main(["show", "mnist", "--data-dir", str(tiny_mnist), "--out", str(tmp_path / "sheet.png"), "--count", "8"])
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_names_an_augmentation_that_is_not_there(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["train", "mlp", "--augment", "shfit", "--out", str(tmp_path / "run")])
    assert caught.value.code == 2 and "did you mean 'shift'?" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
