"""Names and things that nobody expects where a file or a folder should be."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest

import dlcore as dl
from dlcore.cli import main


def test_a_run_lives_in_a_folder_of_any_name(iris, tmp_path, capsys):
    main(["evaluate", str(iris), "--json"])
    assert set(json.loads(capsys.readouterr().out)) == {"loss", "accuracy"}
    file = tmp_path / "ein paar\nЦветы.npy"
    np.save(file, dl.data.iris().train["x"][:2])
    out = tmp_path / "aus\ngabe ü.csv"
    main(["predict", str(iris), str(file), "--out", str(out)])
    assert "Цветы" in out.read_text(encoding="utf-8")
    main(["report", str(iris), "--out", str(tmp_path / "über\nsicht.html")])
    assert sorted(os.listdir(tmp_path)) == sorted(["ein paar\nЦветы.npy", "aus\ngabe ü.csv", "über\nsicht.html"])


def test_what_is_said_of_a_path_is_one_line(tmp_path, refused):
    strange = tmp_path / "a\nb\x1b[31mü"
    for command in (["evaluate"], ["verify"], ["report"]):
        assert r"a\nb\x1b[31mü" in refused(*command, strange)
    assert r"a\nb" in refused("train", "--config", f"{strange}.toml")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["a pipe", "a folder"])
def test_a_pipe_or_a_folder_where_a_file_should_be(make, iris, tmp_path, refused, request):
    kind = request.node.callspec.id
    for name in ("c.json", "x.npy", "x.csv", "x.png"):
        make(tmp_path / name)
    assert f"c.json: expected a JSON file, found {kind}" in refused("train", "--config", tmp_path / "c.json")
    for name in ("x.npy", "x.csv", "x.png"):
        assert f"{name}: expected a file, found {kind}" in refused("predict", iris, tmp_path / name)
    x = np.save(tmp_path / "good.npy", dl.data.iris().train["x"][:2]) or tmp_path / "good.npy"
    assert f"found {kind}" in refused("predict", iris, x, "--out", tmp_path / "x.csv")
    assert f"found {kind}" in refused("show", "digits", "--out", tmp_path / "x.png")
    assert f"found {kind}" in refused("report", iris, "--out", tmp_path / "x.png")
    broken = tmp_path / "run"
    shutil.copytree(iris, broken)
    (broken / "config.json").unlink()
    make(broken / "config.json")
    for command in (["evaluate"], ["verify"], ["report"]):
        assert f"config.json: expected a file, found {kind}" in refused(*command, broken)
    assert "config.json is damaged: expected a file" in refused("train", "--resume", "--out", broken)


def test_a_pipe_or_a_file_where_a_run_should_be(tmp_path, refused):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("")
    for name, kind in (("pipe", "a pipe"), ("file", "a file")):
        for command in ("evaluate", "verify", "report"):
            assert f"{name}: expected the folder of a run, found {kind}" in refused(command, tmp_path / name)
        assert "give the name of a folder" in refused("train", "iris", "--out", tmp_path / name)


def test_a_null_byte_and_a_name_that_is_too_long(tmp_path, refused):
    for name in ("a\0b", "x" * 300):
        for command in (["evaluate", name], ["train", "--config", f"{name}.toml"], ["show", "digits", "--out", name]):
            refused(*command)
