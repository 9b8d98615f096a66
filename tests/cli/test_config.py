"""Options from a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlcore.cli import _config, main
from dlcore.cli._sweep import sweep
from dlcore.cli._train import train
from dlcore.errors import DataError


def written(folder: Path, text: str, name: str = "c.toml") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_a_file_gives_options_and_the_command_line_wins(tmp_path, capsys):
    file = written(tmp_path, 'preset = "iris"\nlearning-rate = "1e-2"\nbatch_size = 32\nepochs = 3\nseed = 5\n')
    main(["train", "--config", str(file), "--epochs", "2", "--out", str(tmp_path / "run")])
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["hparams"]["learning_rate"] == 0.01
    arguments = config["arguments"]
    assert (arguments["batch_size"], arguments["key"], arguments["epochs"]) == (32, 5, 2)
    assert capsys.readouterr().out.startswith("softmax regression on iris")


def test_json_and_an_equals_sign_do_the_same(tmp_path, capsys):
    file = written(tmp_path, '{"epochs": 1, "overwrite": true, "out": null}', "c.json")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("mine")
    main(["train", "iris", f"--config={file}", "--out", str(tmp_path / "run")])
    assert "epoch 1/1" in capsys.readouterr().out


def test_a_sweep_takes_lists(tmp_path):
    text = 'grid = ["learning_rate=1e-3,1e-2", "width=4,8"]\nrungs = [1, "2"]\nseeds = 2\nepochs = 3.0'
    options = _config.options_of(sweep, written(tmp_path, text))
    assert options == {"grid": ("learning_rate=1e-3,1e-2", "width=4,8"), "rungs": (1, 2), "seeds": 2, "epochs": 3}
    assert type(options["epochs"]) is int


@pytest.mark.parametrize("text", ['{"learning_rate": 1e-3}', '{"learning-rate": "1e-3"}', '{"learning_rate": "0.001"}'])
def test_a_number_is_a_number_in_every_dress(text, tmp_path):
    assert _config.options_of(train, written(tmp_path, text, "c.json")) == {"learning_rate": 1e-3}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lerning_rate = 1", ["'lerning_rate'", "did you mean 'learning_rate'?"]),
        ('config = "x.toml"', ["there is no option 'config'"]),
        ('epochs = "many"', ["epochs: expected a whole number, found 'many'"]),
        ("epochs = 2.5", ["epochs: expected a whole number, found 2.5"]),
        ("epochs = inf", ["epochs: expected a whole number, found inf"]),
        ("epochs = true", ["epochs: expected a whole number, found True"]),
        ("epochs = [1]", ["epochs: expected a whole number, found [1]"]),
        ("learning_rate = false", ["learning_rate: expected a number, found False"]),
        ("overwrite = 1", ["overwrite: expected true or false, found 1"]),
        ("data = 3", ["data: expected a text, found 3"]),
        ("out = 3", ["out: expected a path, found 3"]),
        ("[optimizer]\nname = 1", ["optimizer: expected a text, found a nested table; options are flat"]),
        ("batch_size = 1\nbatch-size = 2", ["batch-size", "found it twice"]),
        ("epochs = 1\nepochs = 2", ["expected TOML"]),
        ("epochs", ["expected TOML"]),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_key_expected_and_found(text, words, tmp_path, refused):
    said = refused("train", "--config", written(tmp_path, text))
    assert "c.toml: " in said and all(word in said for word in words), said


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("c.json", b'{"epochs": 1, "epochs": 2}', "the key 'epochs' more than once"),
        ("c.json", b"[1]", "expected a table of options, found list"),
        ("c.json", b"\xff\xfe", "expected JSON, found"),
        ("c.json", b"[" * 100_000, "expected JSON, found"),
        ("c.json", b"", "expected JSON, found"),
        ("c.yaml", b"epochs: 1", "ends in .json or .toml, found '.yaml'"),
    ],
)
def test_a_file_that_is_none_is_said_in_one_line(name, content, words, tmp_path, refused):
    (tmp_path / name).write_bytes(content)
    said = refused("train", "--config", tmp_path / name)
    assert name in said and words in said


def test_other_commands_take_no_file(tmp_path):
    commands = {"train": train, "other": lambda: None}
    assert _config.with_config(commands, ["other", "--config", "nowhere.json"]) == commands
    with pytest.raises(DataError, match="found nothing"):
        _config.with_config(commands, ["train", "--config", "nowhere.json"])


def test_defaults_can_be_others():
    def command(a: int = 1, /, b: int = 2, *, c: int = 3) -> tuple[int, int, int]:
        return a, b, c

    other = _config.with_defaults(command, {"a": 4, "c": 5})  # pyright: ignore[reportArgumentType]
    assert (other(), command()) == ((4, 2, 5), (1, 2, 3))
