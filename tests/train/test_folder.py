"""`out=` names a folder that holds the run afterwards, and that no other run is written over."""

from __future__ import annotations

import csv
import json
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dlcore as dl
from dlcore.json_form import from_json
from tests.compiles import counting

FILES = {".lock", "checkpoints", "config.json", "results.json", "metrics.csv", "curves.png", "report.html"}
MODEL = dl.models.mlp((6,), classes=3)


def fit(data, out, **options):
    return dl.fit(MODEL, data, **({"progress": False, "batch_size": 8, "epochs": 2, "out": out} | options))


def read_json(folder, name):
    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    return json.loads((folder / name).read_text(), parse_constant=refuse)


def read_config(folder):
    return read_json(folder, "config.json")["arguments"]


def read_metrics(folder):
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_files_of_a_run_are_written(data, tmp_path):
    run = fit(data, tmp_path / "deep" / "down", key=4)
    folder = tmp_path / "deep" / "down"
    assert {path.name for path in folder.iterdir()} == FILES
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    config, results = read_config(folder), read_json(folder, "results.json")
    assert config["key"] == 4 and config["batch_size"] == 8 and results["stopped"] == "finished"
    assert read_json(folder, "config.json")["hparams"] == run.hparams
    assert results["results"]["test_loss"] == pytest.approx(float(run.metrics["test_loss"]))


@pytest.mark.slow
def test_the_model_is_built_again_from_the_configuration(data, tmp_path):
    optimizer = dl.optim.adamw(0.01, weight_decay=0.1)
    fit(data, tmp_path / "run", optimizer=optimizer, loss=dl.losses.cross_entropy)
    config = read_config(tmp_path / "run")
    assert from_json(config["model"]) is MODEL
    assert from_json(config["optimizer"]) is optimizer
    assert from_json(config["loss"]) is dl.losses.cross_entropy


@pytest.mark.slow
def test_the_table_holds_every_value_that_was_measured(data, tmp_path):
    run = fit(data, tmp_path / "run", seeds=2)
    rows = read_metrics(tmp_path / "run")
    for name in ("loss", "accuracy", "validation_loss", "gradient_norm", "test_loss"):
        for lane in range(2):
            values = [np.float32(row["value"]) for row in rows if (row["metric"], row["lane"]) == (name, str(lane))]
            np.testing.assert_array_equal(values, np.ravel(run.metrics[name][lane]))
    assert [row["step"] for row in rows if (row["metric"], row["lane"]) == ("validation_loss", "0")] == ["5", "10"]
    assert [row["step"] for row in rows if row["metric"] == "test_loss"] == ["", ""]


@pytest.mark.slow
def test_a_run_without_a_single_number_is_written_as_json_too(tmp_path):
    def source(key, n):
        x = jax.random.normal(jax.random.fold_in(key, n), (4, 2))
        return {"x": jnp.where(n == 2, jnp.nan, x), "y": x[:, :1]}

    for seeds, steps in ((None, 5), (2, 5)):
        out = tmp_path / str(seeds)
        dl.fit(dl.models.linear(), source, steps=steps, seeds=seeds, out=out, progress=False)
        assert "non-finite at step 2" in np.atleast_1d(read_json(out, "results.json")["stopped"])
    dl.fit(dl.models.linear(), lambda key, n: source(key, n + 2), steps=5, out=tmp_path / "none", progress=False)
    assert read_json(tmp_path / "none", "results.json")["stopped"] == "non-finite at step 0"
    assert {path.name for path in (tmp_path / "none").iterdir()} == FILES


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_that_holds_a_run_is_left_as_it_is(data, tmp_path):
    fit(data, tmp_path / "run")
    before = contents(tmp_path / "run")
    with (
        counting() as compiles,
        pytest.raises(FileExistsError, match=r"out: .*run exists and is not empty; .*overwrite"),
    ):
        fit(data, tmp_path / "run", key=1)
    assert contents(tmp_path / "run") == before
    assert compiles.traces == compiles.backend == 0, compiles


def test_a_run_is_written_over_when_told_so(data, tmp_path):
    fit(data, tmp_path / "run")
    fit(data, tmp_path / "run", key=1, overwrite=True)
    assert read_config(tmp_path / "run")["key"] == 1
    assert {path.name for path in (tmp_path / "run").iterdir()} == FILES


def test_an_empty_folder_is_filled(data, tmp_path):
    fit(data, str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == FILES


@pytest.mark.parametrize("place", ["file", "file/run"])
def test_a_file_in_the_way_is_an_error(data, tmp_path, place):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(OSError, match=f"out: .*{place}"):
        fit(data, tmp_path / place, overwrite=True)
    assert (tmp_path / "file").read_text() == "precious"


def test_a_read_only_folder_is_an_error_before_the_run(data, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    with counting() as compiles, pytest.raises(PermissionError, match="out: .* is read-only; give another folder"):
        fit(data, tmp_path / "run")
    assert compiles.traces == compiles.backend == 0, compiles
