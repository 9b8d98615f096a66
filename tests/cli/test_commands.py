"""The commands that look at data, at what was trained, and at the machine."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import dlcore as dl
from dlcore.cli import _augment, _doctor, _show, main
from dlcore.cli._list import data_lines


@pytest.mark.slow
def test_evaluate_says_what_the_run_does(runs, capsys):
    main(["evaluate", str(runs / "iris"), "--json"])
    found = json.loads(capsys.readouterr().out)
    expected = dl.load(runs / "iris").evaluate("validation")
    assert found == pytest.approx({name: float(value) for name, value in expected.items()})
    main(["evaluate", str(runs / "iris")])
    out = capsys.readouterr().out
    assert "on iris" in out.splitlines()[0] and f"{float(expected['loss']):.4g}" in out


def test_evaluate_gives_a_value_a_seed(own, capsys):
    main(["evaluate", str(own("diabetes")), "--json", "--split", "test"])
    assert len(json.loads(capsys.readouterr().out)["loss"]) == 2


@pytest.mark.filterwarnings("default")
def test_a_second_look_at_the_test_split_is_reported(own, capsys):
    folder = own("iris")
    for _ in range(2):
        main(["evaluate", str(folder), "--split", "test"])
    assert "looked at before" in capsys.readouterr().err


def test_evaluate_refuses_what_holds_no_run(tmp_path, refused):
    assert "holds no run" in refused("evaluate", tmp_path)


def test_report_writes_the_page_again(own, tmp_path):
    folder = own("iris")
    before = (folder / "report.html").read_text(encoding="utf-8")
    (folder / "report.html").unlink()
    main(["report", str(folder)])
    main(["report", str(folder), "--out", str(tmp_path / "other.html")])
    for file in (folder / "report.html", tmp_path / "other.html"):
        text = file.read_text(encoding="utf-8")
        assert "Confusion matrix" in text and len(text) == pytest.approx(len(before), rel=0.2)
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_show_writes_a_sheet_of_gray_images(tmp_path, capsys):
    main(["show", "digits", "--count", "10", "--out", str(tmp_path / "d.png")])
    assert capsys.readouterr().out.startswith("digits: ")
    pixels = np.asarray(Image.open(tmp_path / "d.png"))
    plain = dl.report.contact_sheet(dl.data.digits().train["x"][:10])  # pyright: ignore[reportAttributeAccessIssue]
    factor = pixels.shape[0] // plain.shape[0]
    assert factor > 1
    np.testing.assert_array_equal(pixels[::factor, ::factor], plain)


@pytest.mark.slow
def test_a_sheet_in_colour_is_changed_by_augmentations():
    images = np.random.default_rng(0).random((8, 16, 16, 3), np.float32)
    plain = _show.sheet(images)
    for name in ("flip", "shift", "noise"):
        changed = _show.sheet(images, [name])
        assert changed.shape == plain.shape and (changed != plain).any(), name
    batch = {"x": images, "y": np.zeros(8, np.int32)}
    for name in _augment.STRENGTHS:
        assert _augment.make([name], 2)(jax.random.key(0), batch)["x"].shape == images.shape
    assert (_show.sheet(images, ["flip", "shift"]) != _show.sheet(images, ["flip"])).any()
    assert Image.open(io.BytesIO(_show.png(plain))).size == plain.shape[1::-1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["digit"], "did you mean 'digits'?"),
        (["digits", "--augment", "flipp"], "did you mean 'flip'?"),
        (["iris", "--augment", "flip"], "--augment: expected a data set of images, found iris"),
        (["digits", "--count", "0"], "count: expected a positive whole number, found 0"),
        (["digits", "--out", "nowhere/x.png"], "expected an existing folder nowhere, found nothing"),
    ],
)
def test_show_refuses_what_it_cannot_draw(arguments, words, tmp_path, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    assert words in refused("show", *arguments)
    assert list(tmp_path.iterdir()) == []


def test_show_prints_the_first_rows_of_a_table(capsys):
    main(["show", "wine", "--split", "test", "--count", "3"])
    out = capsys.readouterr().out
    test = dl.data.wine().test
    assert test is not None and f"{test['x'][2, 0]:.4g}" in out.splitlines()[-1] and "alcohol" in out
    assert len(out.splitlines()) == 8 + 1 + 3  # the card, the head, the rows


def test_list_says_which_data_sets_are_here(tmp_path):
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "a.gz").write_bytes(b"1")
    sets = {"iris": (), "mnist": ("mnist/a.gz",), "cifar10": ("cifar10/a.bin",), "kmnist": ("mnist/a.gz", "mnist/b.gz")}
    found = {line.split()[0]: line for line in data_lines(sets, tmp_path)}
    assert " not here " not in found["iris"] and " not here " not in found["mnist"]
    assert " not here " in found["cifar10"] and " not here " in found["kmnist"] and "70,000" in found["mnist"]


def test_the_doctor_finds_nothing_where_all_is_well(capsys):
    main(["doctor"])
    out = capsys.readouterr().out
    assert out.endswith("all is well\n") and "WRONG" not in out
    for name in ("python", "jax", "jaxlib", "flax", "optax", "orbax", "devices", "compile cache", "self-test"):
        assert f"\nok     {name}" in f"\n{out}"


def broken(*_: object) -> tuple[float, float]:
    raise RuntimeError("no kernel image\nis available")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("LEAST", {"jax": (99, 1)}, "-> pip install --upgrade 'jax>=99.1'"),
        ("LEAST", {"not-there-at-all": (1,)}, "not installed"),
        ("LEAST_PYTHON", (99, 0), "-> install Python 99.0 or newer"),
        ("tiny_run", lambda: (1.0, 1.0), "the device computes wrongly"),
        ("tiny_run", broken, "no kernel image\n"),
        ("ROOM", 1 << 80, "-> make room"),
    ],
)
def test_the_doctor_says_what_to_do_about_what_is_wrong(name, value, words, monkeypatch, capsys):
    monkeypatch.setattr(_doctor, name, value)
    if name != "tiny_run":
        monkeypatch.setattr(_doctor, "tiny_run", lambda: (1.0, 0.1))
    with pytest.raises(SystemExit) as caught:
        main(["doctor"])
    out = capsys.readouterr().out
    assert caught.value.code == 1 and words in out and "checks found something wrong" in out


def test_the_doctor_looks_at_the_folders(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("DLCORE_CACHE", str(blocked / "cache"))
    monkeypatch.setenv("DLCORE_DATA", str(blocked))
    cache, data, _ = _doctor.folders()
    assert "set DLCORE_CACHE" in cache.repair and "set DLCORE_DATA" in data.repair
    monkeypatch.setenv("DLCORE_CACHE", "off")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_bytes(bytes(2_000_000))
    monkeypatch.setenv("DLCORE_DATA", str(tmp_path / "data"))
    cache, data, _ = _doctor.folders()
    assert (cache.found, cache.repair, data.repair) == ("off: DLCORE_CACHE=off", "", "")
    assert data.found.endswith("1 files, 2.0 MB")


def test_completion_prints_a_script_that_the_shell_accepts(capsys, tmp_path):
    for shell in ("bash", "zsh"):
        with pytest.raises(SystemExit) as caught:
            main(["completion", shell])
        text = capsys.readouterr().out
        assert not caught.value.code and "evaluate" in text and "--learning-rate" in text
        if found := shutil.which(shell):
            script = tmp_path / shell
            script.write_text(text)
            assert subprocess.run([found, "-n", str(script)], capture_output=True, check=False).returncode == 0


def test_the_help_tells_exit_statuses_and_completion(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    for word in (
        "evaluate",
        "predict",
        "doctor",
        "2    bad input",
        "130  interrupted",
        "143  terminated",
        "completion",
    ):
        assert word in out


def test_nothing_of_a_command_is_written_before_all_is_known(runs, tmp_path, refused):
    bad = tmp_path / "bad.csv"
    bad.write_text("a\n1\n")
    out = Path(tmp_path, "out.csv")
    refused("predict", runs / "iris", bad, "--out", out)
    assert not out.exists()
