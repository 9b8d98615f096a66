"""The short form of `experiments/fuzz.py`, what its long form once found, and whether it sees what it is to find."""

from __future__ import annotations

import json
import random
import struct
import time
import types
import warnings

import numpy as np
import pytest

import dlcore as dl
from dlcore.errors import CheckpointError, DataError, one_line
from dlcore.json_form import from_json
from dlcore.train import _checkpoint
from dlcore.train._config import changes, read_arguments
from dlcore.train._first_look import NAME as LOOK
from dlcore.train._first_look import FirstLook
from dlcore.train._folder import CONFIG, read_config
from dlcore.train._saver import open_snapshot
from experiments import fuzz
from experiments.fuzz_readers import Reader, _configuration, readers

EACH = 300  # inputs a reader, some 3,000 in all
NAMES = (
    "read_idx",
    "read_idx, gzip",
    "bounded gzip",
    "load_arrays .npy",
    "load_arrays .npz",
    "cifar10",
    "Tokenizer.load",
    "run configuration",
    "checkpoint metadata",
    "first look at the test split",
)


def test_every_reader_is_fuzzed():
    assert tuple(readers()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_damaged_files_are_read_or_refused_in_one_line(name):
    result = fuzz.fuzz(readers()[name], EACH, seed=1)
    assert not result.findings, "\n".join(one.problem for one in result.findings)
    assert result.inputs == EACH == result.refused + result.accepted
    assert result.accepted and (result.refused > EACH / 4 or name == NAMES[-1])


def test_an_input_is_the_same_in_any_share():
    reader = readers()["cifar10"]
    assert [fuzz.make_input(reader, 3, 40) for _ in range(2)] == [fuzz.make_input(reader, 3, 40)] * 2
    assert fuzz.make_input(reader, 3, 40) != fuzz.make_input(reader, 4, 40)
    parts = fuzz.fuzz(reader, 30, 3) + fuzz.fuzz(reader, 30, 3, 30)
    whole = fuzz.fuzz(reader, 60, 3)
    assert (parts.inputs, parts.refused, parts.accepted) == (60, whole.refused, whole.accepted)


def escapes(path):
    {}[path.name]


def forgets_the_path(path):
    raise DataError("expected a file, found damage")


def breaks_the_line(path):
    raise DataError(f"{path}: expected a name, found 'a\nb'")


def colours_the_screen(path):
    raise DataError(f"{path}: expected a name, found \x1b[31m")


def goes_on_and_on(path):
    raise DataError(f"{path}: {'x' * 5000}")


def is_too_slow(path):
    start = time.process_time()
    while time.process_time() < start + 0.2:
        pass


def hangs(path):
    while True:
        try:
            time.sleep(0.01)
        except Exception:
            continue


def swells(path):
    np.ones(40 << 20, np.uint8)


def asks_for_a_petabyte(path):
    try:
        np.empty(1 << 50, np.uint8)
    except Exception as error:
        raise DataError(f"{path}: {type(error).__name__}") from None


def warns(path):
    warnings.warn("a cast", RuntimeWarning, stacklevel=1)


def gives_what_is_wrong(path):
    assert path.read_bytes() == b"something else"


PLANTED = {
    escapes: "lets an error escape: KeyError",
    forgets_the_path: "refuses without the path",
    breaks_the_line: "more than one line",
    colours_the_screen: "one line that can be printed",
    goes_on_and_on: "characters",
    is_too_slow: "takes 0.",
    hangs: "takes longer than",
    swells: " MiB for ",
    asks_for_a_petabyte: "asks for more memory than there is",
    warns: "lets an error escape: RuntimeWarning",
    gives_what_is_wrong: "gives what is wrong",
}


def planted(bug):
    """A reader that takes one word, and does what it should not with another."""

    def call(path):
        if path.read_bytes() != b"good":
            bug(path)

    return Reader("planted", "some.txt", [b"good"], lambda *_: b"bad", call, (DataError,))


@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_found_and_replayed(bug, tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz, "MOST_SECONDS", 0.15)
    monkeypatch.setattr(fuzz, "MOST_MEMORY", 20 << 20)
    monkeypatch.setattr(fuzz, "HANGS", 0.3 if bug is hangs else 20)
    result = fuzz.fuzz(planted(bug), 2, seed=8)
    (finding,) = result.findings
    assert PLANTED[bug] in finding.problem and (finding.number, finding.seed, finding.content) == (1, 8, b"bad")
    kept = fuzz.write(finding, tmp_path)
    assert PLANTED[bug] in fuzz.replay(kept, {"planted": planted(bug)})
    assert fuzz.replay(kept, {"planted": planted(lambda path: None)}) == ""


def test_a_valid_file_that_is_refused_is_found():
    def call(path):
        if (path.parent / "again").exists():
            raise DataError(f"{path}: expected a file, found another")
        (path.parent / "again").touch()

    reader = Reader("planted", "some.txt", [b"good"], lambda *_: b"bad", call, (DataError,))
    assert "refuses a valid file" in fuzz.fuzz(reader, 1).findings[0].problem


def test_the_table_has_a_line_a_reader():
    lines = fuzz.table({"a": fuzz.Result("a", 10, 7, 3, 1.5, 4, 1 << 20, 2.0)}).splitlines()
    assert lines[1].split() == ["a", "10", "7", "3", "1.5", "1.0", "5", "0"] and lines[2].split() == [
        "total",
        "10",
        "7",
        "3",
    ]


# What it has found.


def refused(call, path, *words, error: type[Exception] = DataError):
    with pytest.raises(error) as caught:
        call(path)
    message = str(caught.value)
    assert str(path) in message and message.isprintable() and len(message) < len(str(path)) + 500, message
    for word in words:
        assert word in message, message


def test_a_tokenizer_whose_tokens_swell_is_refused_before_they_are_made(tmp_path):
    doubled = [[97, 97], *([number, number] for number in range(256, 316))]
    kept = dl.data.bpe_tokenizer("low", 256).to_json() | {"merges": doubled}
    (tmp_path / "t.json").write_text(json.dumps(kept))
    refused(dl.data.Tokenizer.load, tmp_path / "t.json", "67108864 bytes in all, found more at place 2")
    large = dl.data.bpe_tokenizer("a" * 100_000, 280)  # what can be learnt can be kept
    large.save(tmp_path / "t.json")
    assert dl.data.Tokenizer.load(tmp_path / "t.json") == large and len(large.token(large.size - 1)) >= 1 << 15


@pytest.mark.parametrize(
    "change", [{"a\nb\x1b[31m": 1}, {"merges": [["x" * 5000, 1]]}, {"specials": ["\ud800" * 5000]}]
)
def test_what_a_tokenizer_file_says_cannot_break_the_message(tmp_path, change):
    kept = dl.data.bpe_tokenizer("low", 256).to_json() | change
    (tmp_path / "t.json").write_text(json.dumps(kept))
    refused(dl.data.Tokenizer.load, tmp_path / "t.json")


X, Y = np.arange(12, dtype=np.float32).reshape(6, 2), np.array([0, 1, 2, 0, 1, 2])
SIGNALLING = np.array([0x7FF0000000000001] * 6, np.uint64).view(np.float64)[:, None]


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (X[:4], Y, "as many rows"),
        (X[:, 0], Y, "pass x[:, None]"),
        (X, Y + 2_000_000, "not a likely one"),
        (SIGNALLING, Y, "finite float32"),
        (np.float32(1), Y, "scalar"),
    ],
)
def test_arrays_that_make_no_data_set_are_refused_with_the_path(tmp_path, x, y, words):
    np.savez(tmp_path / "some.npz", x=x, y=y)
    refused(dl.data.load_arrays, tmp_path / "some.npz", words, error=ValueError)


@pytest.mark.parametrize("shape", [f"(0x{'f' * 5000},)", f"(0, 0x{'f' * 4000})", f"({', '.join(['9' * 30] * 200)})"])
def test_a_header_with_numbers_that_python_does_not_write_is_refused(tmp_path, shape):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header)
    np.save(tmp_path / "y.npy", Y)
    refused(lambda path: dl.data.load_arrays(path, tmp_path / "y.npy"), tmp_path / "x.npy", ".npy header")


CONFIGURATION = _configuration()


@pytest.mark.parametrize(
    "change",
    [
        {"schema": True},
        {"schema": "a\nb"},
        {"kind": 1},
        {"arguments": []},
        {"digests": {"data": None}},
        {"digests": {"data": None, "params": 1}},
        {"batch": {"x": [[-1], "float32"]}},
        {"batch": {"x": [[1], "a\nb"]}},
        {"batch": {"x": 1}},
        {"batch": []},
        {"total": "many"},
        {"total": -1},
    ],
)
def test_a_configuration_that_no_run_wrote_is_refused(tmp_path, change):
    (tmp_path / CONFIG).write_text(json.dumps(CONFIGURATION | change))
    refused(read_config, tmp_path, "is damaged", error=CheckpointError)


@pytest.mark.parametrize("name", ["schema", "kind", "arguments", "digests", "batch", "total"])
def test_a_configuration_that_lacks_something_says_what(tmp_path, name):
    (tmp_path / CONFIG).write_text(json.dumps({key: value for key, value in CONFIGURATION.items() if key != name}))
    refused(read_config, tmp_path, f"it has no '{name}'", error=CheckpointError)


@pytest.mark.parametrize("depth", [300, 100_000])
def test_a_configuration_nested_too_deep_is_refused(tmp_path, depth):
    text = json.dumps(CONFIGURATION | {"arguments": {"model": "@"}}).replace('"@"', "[" * depth + "]" * depth)
    (tmp_path / CONFIG).write_text(text)
    refused(read_config, tmp_path, "nested", error=CheckpointError)


@pytest.mark.parametrize(
    "form",
    [
        {"array": [1], "dtype": "S2000000000"},
        {"array": [1], "dtype": "(1000,1000,1000)f8"},
        {"opaque": "a\nb\x1b[31m" + "x" * 5000},
        {"key": [1, 2, 3], "impl": "threefry2x32"},
        {"key": [2**70, 1], "impl": "threefry2x32"},
        {"recipe": "dlcore.layers.dense", "arguments": {"a\nb": 1}},
        {"recipe": "os.system", "arguments": {"command": "false"}},
    ],
)
def test_an_argument_that_cannot_be_built_is_told_in_one_line(tmp_path, form):
    config = CONFIGURATION | {"arguments": {"model": form}}
    refused(lambda path: read_arguments(config, {}, path), tmp_path, "give model=...", error=CheckpointError)
    assert all(line.isprintable() for line in changes(CONFIGURATION, config))


def test_arrays_of_numbers_still_come_back():
    assert from_json({"array": [1.5, 2], "dtype": "float32"}).dtype == np.float32
    assert from_json({"dtype": "bfloat16"}).name == "bfloat16"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A checkpoint whose metadata can be written anew, with a right digest."""
    reader, folder = readers()["checkpoint metadata"], tmp_path_factory.mktemp("run")
    path = folder / reader.file
    path.parent.mkdir(parents=True)
    reader.prepare(folder)

    def forge(**change):
        outer = json.loads(reader.valid[0])
        text = json.dumps(json.loads(outer["custom_metadata"][_checkpoint.KEY]) | change)
        outer["custom_metadata"] = {_checkpoint.KEY: text, "digest": _checkpoint.digest(text.encode())}
        path.write_text(json.dumps(outer))

    return types.SimpleNamespace(read=lambda: reader.call(path), forge=forge, folder=path.parent.parent)


def test_forged_metadata_that_say_the_same_are_read(saved):
    saved.forge()
    saved.read()


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "a\nb"},
        {"schema": True},
        {"step": "7"},
        {"score": []},
        {"digest": 1},
        {"arrays": []},
        {"arrays": {"a": 1}},
        {"arrays": {"a": ["float32", [-1]]}},
        {"arrays": {"a": ["O", [1]]}},
        {"arrays": {"a": ["a\nb", [1]]}},
        {"arrays": {"a": ["x" * 5000, [1]]}},
        {"arrays": {"a": ["float32", [2]]}},
        {"arrays": {"a": ["float32", [10**30]]}},
        {"meta": []},
        {"meta": {}},
        {"meta": {"reasons": [1]}},
        {"meta": {"reasons": "finished"}},
    ],
)
def test_forged_metadata_are_refused_in_one_line(saved, change):
    saved.forge(**change)
    refused(lambda path: saved.read(), saved.folder, "7 is damaged", error=CheckpointError)
    with pytest.raises(CheckpointError):
        open_snapshot(saved.folder, 7)


@pytest.mark.parametrize("content", [b"\xff\xfe\x85", b"a\nb\x1b[31m", b"x" * 10_000, b""])
def test_a_note_of_the_first_look_can_hold_anything(tmp_path, content):
    (tmp_path / LOOK).write_bytes(content)
    with pytest.warns(UserWarning, match="looked at before") as said:
        FirstLook(tmp_path).look("digits", 3)
    assert str(said[0].message).isprintable() and len(str(said[0].message)) < 500


def test_one_line_is_printable_and_short_whatever_it_is_given():
    rng = random.Random(0)
    for _ in range(300):
        text = "".join(chr(rng.choice((rng.randrange(256), rng.randrange(0x110000)))) for _ in range(rng.randrange(60)))
        assert one_line(text, 40).isprintable() and len(one_line(text, 40)) <= 43
    assert one_line("as it is") == "as it is" and one_line(ValueError("é\n\tb")) == "é b"
