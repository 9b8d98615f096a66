"""Everything public is listed, documented and tested."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from dlcore import cli, index

ROOT = Path(__file__).parent.parent


def test_the_page_of_names_is_what_the_code_has():
    page = (ROOT / "API.md").read_text()
    assert page == index.as_markdown() + "\n", "`dlcore list --markdown > API.md` makes it anew"


def test_every_room_with_public_names_is_listed():
    rooms = {
        path.stem for path in (ROOT / "dlcore").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    inner = {"cli", "compose", "core", "checks", "debugging", "errors", "files", "index", "json_form", "presets"}
    inner |= {"places", "recipe"}
    assert rooms - inner - {"__init__", "_version", "__pycache__"} == {room.split(".")[0] for room in index.ROOMS} - {
        "dlcore"
    }


def test_everything_public_says_what_it_is_in_a_line():
    for room, names in index.index().items():
        for name, line in names.items():
            assert len(line) > 12 and not line.startswith(("str(", "dict(")), f"{room}.{name}: {line!r}"
            assert len(line) <= 130, f"{room}.{name}: {line!r}"


def test_everything_public_is_named_in_a_test():
    text = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py") if path.name != "test_index.py")
    words = set(re.findall(r"\w+", text))
    public = [(room, name) for room, names in index.index().items() for name in names if room != "dlcore"]
    rooms = {room: importlib.import_module(f"dlcore.{room}") for room in index.ROOMS if room != "dlcore"}
    # Results are named by what gives them.
    functions = [(room, name) for room, name in public if not isinstance(getattr(rooms[room], name), type)]
    assert not [f"{room}.{name}" for room, name in functions if name not in words]


@pytest.mark.parametrize("arguments", [["list", "--all"], ["list", "--markdown"], ["list"]])
def test_the_command_prints_them(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    cli.main(arguments)
    printed = capsys.readouterr().out
    assert ("mse" in printed) == (len(arguments) > 1) and ("lenet5" in printed)
