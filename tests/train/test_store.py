"""Checkpoints: every bit comes back, or the store says that it does not."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from dlcore.errors import CheckpointError
from dlcore.train import _store
from dlcore.train._store import Store

DTYPES = ["bool", "int8", "uint8", "int32", "uint32", "int64", "float16", "float32", "float64", "complex64"]
NARROW = [ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn]


def state(step: int, size: int = 64) -> dict[str, np.ndarray]:
    """Return arrays that only this step has."""
    return {
        "carry/params/dense/kernel": np.random.default_rng(step).standard_normal((size, 8)).astype(np.float32),
        "carry/step": np.asarray(step, np.int32),
        "steps/loss": np.arange(step, dtype=np.float32),
    }


def same(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    """Compare names, types, shapes and bits."""
    described = [{k: (v.dtype, v.shape, v.tobytes()) for k, v in arrays.items()} for arrays in (found, expected)]
    return described[0] == described[1]


def fill(path: Path, *steps: int, **options: Any) -> None:
    """Save some steps."""
    with Store(path, **options) as store:
        for step in steps:
            store.save(step, state(step), {"step": step})


def files(folder: Path) -> list[Path]:
    """Return what a checkpoint consists of."""
    return sorted(one for one in folder.rglob("*") if one.is_file())


def run(code: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own."""
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_every_type_and_shape_comes_back_bit_by_bit(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    arrays = {}
    for dtype in [*map(np.dtype, DTYPES), *map(np.dtype, NARROW)]:
        for shape in [(), (0,), (3, 0, 2), (5,), (2, 3)]:
            bits = np.random.default_rng(1).integers(0, 256, int(np.prod(shape)) * dtype.itemsize, dtype=np.uint8)
            if dtype.kind == "b":
                bits %= 2
            arrays[f"{dtype.name}/{shape}"] = bits.view(dtype).reshape(shape)
    arrays["transposed"] = np.arange(12.0).reshape(3, 4).T
    arrays["ünïcode/a.b['c']"] = np.array([np.nan, -0.0, np.inf])
    meta = {"reasons": ["", "finished"], "rate": 0.1, "nothing": None, "text": "ü\n", "big": 2**70}
    with Store(tmp_path / "run") as store:
        store.save(7, arrays, meta)
    found = Store(tmp_path / "run").load()
    assert (found.step, found.meta, found.skipped) == (7, meta, ())
    assert same(found.arrays, arrays)
    assert all(array.flags.writeable and array.flags.aligned for array in found.arrays.values())
    assert capfd.readouterr() == ("", "")


def test_no_arrays_at_all_are_a_checkpoint_too(tmp_path: Path):
    with Store(tmp_path) as store:
        store.save(0, {}, {})
    assert store.load().arrays == {}


def test_large_arrays_are_written_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_store, "PIECE", 1000)
    fill(tmp_path, 5)
    assert same(Store(tmp_path).load().arrays, state(5))


def test_plain_orbax_reads_the_folder(tmp_path: Path):
    import orbax.checkpoint as ocp

    fill(tmp_path.absolute(), 3, 12)
    with ocp.CheckpointManager(tmp_path.absolute()) as manager:
        assert sorted(manager.all_steps()) == [3, 12]
        tree: Any = manager.restore(12, args=ocp.args.StandardRestore())
        metadata: Any = manager.metadata(12).custom_metadata
    header = json.loads(metadata["dlcore"])
    kernel = state(12)["carry/params/dense/kernel"]
    assert header["arrays"]["carry/params/dense/kernel"] == ["float32", [64, 8]]
    assert tree["bytes-00000"][1 : 1 + kernel.nbytes].tobytes() == kernel.tobytes()


@pytest.mark.parametrize("kind", ["numpy", "jax", "view of jax"])
def test_what_the_caller_does_with_the_arrays_afterwards_does_not_matter(tmp_path: Path, kind: str):
    add = jax.jit(lambda x: x + 1, donate_argnums=0)
    with Store(tmp_path, keep_last=None) as store:
        x: Any = jnp.zeros(100_000)
        for step in range(8):
            given = np.array(x) if kind == "numpy" else x if kind == "jax" else np.asarray(x)
            store.save(step, {"x": given}, meta := {"list": [step]})
            meta["list"].append("later")
            if kind == "numpy":
                given[:] = -1
            del given
            x = add(x)
    for step in range(8):
        found = store.load(step)
        assert found.meta == {"list": [step]}
        np.testing.assert_array_equal(found.arrays["x"], np.full(100_000, step, np.float32))


@pytest.mark.parametrize(
    "array", [np.array([{}]), np.array(["text"]), np.array([(1, 2.0)], "i4,f4"), np.zeros(2, ">f4")]
)
def test_what_is_not_numbers_is_refused_and_nothing_is_written(tmp_path: Path, array: np.ndarray):
    with (
        Store(tmp_path / "run") as store,
        pytest.raises(TypeError, match="arrays: expected numbers, found 'x' of dtype"),
    ):
        store.save(0, {"x": array}, {})
    with Store(tmp_path / "run") as store, pytest.raises(TypeError, match="JSON"):
        store.save(0, {}, {"x": object()})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("options", [{"keep_last": 0}, {"keep_best": -1}])
def test_impossible_numbers_to_keep_are_refused(tmp_path: Path, options: dict[str, int]):
    with pytest.raises(ValueError, match=f"{next(iter(options))}: expected"):
        Store(tmp_path, **options)


def test_the_newest_and_the_best_stay(tmp_path: Path):
    scores = [5.0, float("nan"), 1.0, None, 3.0, 2.0, 9.0, float("nan")]
    with Store(tmp_path, keep_last=2, keep_best=2) as store:
        for step, score in enumerate(scores):
            store.save(step, state(step), {}, score)
    assert store.steps() == [2, 5, 6, 7]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["2", "5", "6", "7"]
    with Store(tmp_path, keep_last=2, keep_best=2) as store:  # the scores are known again
        store.save(8, state(8), {}, 1.5)
        store.save(9, state(9), {}, 7.0)
    assert store.steps() == [2, 8, 9]


def test_all_stay_where_none_is_to_go(tmp_path: Path):
    fill(tmp_path, *range(6), keep_last=None, keep_best=0)
    assert Store(tmp_path).steps() == list(range(6))


def test_a_missing_step_is_answered_with_those_there_are(tmp_path: Path):
    fill(tmp_path, 3, 10)
    with pytest.raises(CheckpointError, match=r"4: no such checkpoint; there are: 3, 10$"):
        Store(tmp_path).load(4)
    with pytest.raises(CheckpointError, match="nowhere: expected a checkpoint, found none"):
        Store(tmp_path / "nowhere").load()
    assert Store(tmp_path / "nowhere").steps() == []


def test_a_flipped_byte_is_never_read_as_if_it_were_right(tmp_path: Path):
    fill(tmp_path, 1, 2)
    chance, found_damage = random.Random(0), 0
    for file in files(tmp_path / "2"):
        content = file.read_bytes()
        for place in chance.sample(range(len(content)), min(12, len(content))):
            file.write_bytes(
                content[:place] + bytes([content[place] ^ (1 << chance.randrange(8))]) + content[place + 1 :]
            )
            stored = Store(tmp_path).load()
            assert (
                stored.step in (1, 2)
                and same(stored.arrays, state(stored.step))
                and stored.meta == {"step": stored.step}
            )
            if stored.step == 1:
                found_damage += 1
                assert len(stored.skipped) == 1 and stored.skipped[0].startswith(f"{tmp_path / '2'} is damaged: ")
        file.write_bytes(content)
    assert found_damage > 20
    assert Store(tmp_path).load().step == 2


@pytest.mark.parametrize("damage", ["remove", "truncate", "empty"])
def test_a_file_that_is_cut_short_or_missing_is_found(tmp_path: Path, damage: str):
    fill(tmp_path, 1, 2)
    found_damage = set()
    for file in files(tmp_path / "2"):
        content = file.read_bytes()
        if damage == "remove":
            file.unlink()
        else:
            file.write_bytes(content[: len(content) // 2] if damage == "truncate" else b"")
        found = Store(tmp_path).load()
        assert same(found.arrays, state(found.step)) and found.meta == {"step": found.step}
        if found.step == 1:  # else a file that nobody reads
            found_damage.add(file.name)
            assert len(found.skipped) == 1
            with pytest.raises(CheckpointError, match="2 is damaged: "):
                Store(tmp_path).load(2)
        file.write_bytes(content)
    assert {"_CHECKPOINT_METADATA", "_METADATA", "manifest.ocdbt"} <= found_damage
    assert Store(tmp_path).load().skipped == ()


def test_where_none_is_good_all_are_named(tmp_path: Path):
    fill(tmp_path, 1, 2)
    for step in (1, 2):
        shutil.rmtree(tmp_path / str(step) / "default")
    with pytest.raises(CheckpointError) as caught:
        Store(tmp_path).load()
    assert f"{tmp_path / '1'} is damaged" in str(caught.value) and f"{tmp_path / '2'} is damaged" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_newer_schema_is_told_by_number_and_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fill(tmp_path, 1)
    monkeypatch.setattr(_store, "SCHEMA", 2)
    fill(tmp_path, 2)
    monkeypatch.undo()
    message = "2 was written by a newer dlcore: schema 2, this one reads up to 1; update dlcore$"
    with pytest.raises(CheckpointError, match=message):
        Store(tmp_path).load()
    with pytest.raises(CheckpointError, match=message), Store(tmp_path) as store:
        store.save(2, state(2), {})
    assert Store(tmp_path).load(1).step == 1


def test_what_was_left_half_done_is_neither_listed_nor_read_and_goes_with_the_next_save(tmp_path: Path):
    fill(tmp_path, 1, 2, 3)
    os.rename(tmp_path / "3", tmp_path / "3.orbax-checkpoint-tmp")  # killed while it was written
    shutil.copytree(tmp_path / "1", tmp_path / "deleted-0")  # killed while it was deleted
    (tmp_path / "2" / "commit_success.txt").unlink()  # half deleted by another hand
    (tmp_path / "notes").mkdir()
    assert Store(tmp_path).steps() == [1]
    found = Store(tmp_path).load()
    assert found.step == 1 and "2 is damaged: it was not written to the end" in found.skipped[0]
    fill(tmp_path, 4)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["1", "4", "notes"]


def test_a_replaced_checkpoint_counts_until_its_successor_is_there(tmp_path: Path):
    fill(tmp_path, 1, 2)
    os.rename(tmp_path / "2", tmp_path / "replaced-2")
    assert Store(tmp_path).steps() == [1, 2] and Store(tmp_path).load().step == 2
    fill(tmp_path, 3)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["1", "2", "3"]
    shutil.copytree(tmp_path / "2", tmp_path / "replaced-2")  # killed before it was removed
    assert Store(tmp_path).steps() == [1, 2, 3]
    fill(tmp_path, 4)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["2", "3", "4"]


def test_the_same_step_again_is_left_alone_or_replaced_and_keeps_its_score(tmp_path: Path):
    with Store(tmp_path, keep_last=1) as store:
        store.save(1, state(1), {"a": 1}, 0.5)
        store.wait()
        born = (tmp_path / "1").stat().st_ino
        store.save(1, state(1), {"a": 1})
        store.wait()
        assert (tmp_path / "1").stat().st_ino == born
        store.save(1, state(2), {"a": 2})
        store.wait()
        found = store.load()
        assert same(found.arrays, state(2)) and found.meta == {"a": 2}
        store.save(2, state(2), {}, 0.6)
        store.save(3, state(3), {}, 0.7)
    assert store.steps() == [1, 3]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["1", "3"]


@pytest.mark.parametrize("is_open", [True, False])
def test_a_damaged_checkpoint_is_moved_aside_when_its_step_comes_again(tmp_path: Path, is_open: bool):
    store = Store(tmp_path)
    for repeat in range(3):
        store.save(12, state(12), {"repeat": repeat})
        store.wait()
        if repeat < 2:
            (tmp_path / "12" / "default" / "manifest.ocdbt").unlink()
        if not is_open:
            store.close()
            store = Store(tmp_path)
    store.close()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["12", "damaged-12", "damaged-12-2"]
    found = Store(tmp_path).load()
    assert (found.step, found.meta, found.skipped) == (12, {"repeat": 2}, ())


def test_damaged_checkpoints_ahead_of_the_run_do_not_push_out_good_ones(tmp_path: Path):
    fill(tmp_path, 10, 20, 30)
    for step in (20, 30):
        shutil.rmtree(tmp_path / str(step) / "default")
    fill(tmp_path, 11, keep_last=1, keep_best=0)
    assert Store(tmp_path).steps() == [11]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["11", "damaged-20", "damaged-30"]


def test_a_damaged_checkpoint_behind_the_run_does_not_push_out_a_good_one(tmp_path: Path):
    fill(tmp_path, 10, 20)
    shutil.rmtree(tmp_path / "20" / "default")
    fill(tmp_path, 30, keep_last=2, keep_best=0)
    assert Store(tmp_path).steps() == [10, 30]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["10", "30", "damaged-20"]


def test_the_one_just_saved_stays_even_if_others_are_ahead(tmp_path: Path):
    fill(tmp_path, 10, 20, 30)
    fill(tmp_path, 11, keep_last=1, keep_best=0)
    assert Store(tmp_path).steps() == [11, 30]


FAILS = """
import os, resource, shutil, signal, sys
from pathlib import Path
import numpy as np
from dlcore.errors import CheckpointError
from dlcore.train._store import Store

path, how = Path(sys.argv[1]), sys.argv[2]
state = lambda step: {"x": np.random.default_rng(step).standard_normal(50_000)}
store = Store(path, keep_last=1)
store.save(1, state(1), {}); store.wait()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
if how == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
elif how == "read-only":
    path.chmod(0o555)
    if os.geteuid() == 0:  # root may write all the same: be nobody
        os.seteuid(65534)
elif how == "removed":
    shutil.rmtree(path)
elif how == "file":
    shutil.rmtree(path); path.write_text("")
for ask in (store.wait, lambda: store.save(3, state(3), {}), store.close):
    store.save(2, state(2), {})
    try:
        ask()
    except CheckpointError as error:
        print(error)
if how == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert store.load().step == 1
    assert [one.name for one in path.iterdir()] == ["1"], list(path.iterdir())
    with Store(path, keep_last=1) as store:
        store.save(4, state(4), {})
    assert store.steps() == [4]
"""


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("limit", "File too large"),
        ("read-only", "Permission denied"),
        ("removed", "{path} was removed"),
        ("file", "{path} was removed"),
    ],
)
def test_what_cannot_be_written_is_one_line_and_what_was_there_stays(tmp_path: Path, how: str, reason: str):
    path = tmp_path / "run"
    done = run(FAILS, path, how)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.splitlines() == [f"{path / '2'} cannot be written: {reason.format(path=path)}"] * 3
    if how == "read-only":
        path.chmod(0o755)
        assert Store(path).load().step == 1


def test_a_full_disk_is_said_by_close_and_a_first_error_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28), "somewhere")

    monkeypatch.setattr(Store, "_put", full)
    message = f"{tmp_path / '1'} cannot be written: No space left on device$"
    with pytest.raises(CheckpointError, match=message), Store(tmp_path) as store:
        store.save(1, state(1), {})
    with pytest.raises(ZeroDivisionError), Store(tmp_path) as store:
        store.save(1, state(1), {})
        raise ZeroDivisionError
    store.close()


def test_a_failed_replacement_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise ValueError("RESOURCE_EXHAUSTED: Failed to write\nfile [os_error_code='28']")

    with Store(tmp_path) as store:
        store.save(1, state(1), {})
        store.wait()
        monkeypatch.setattr(Store, "_put", full)
        store.save(1, state(2), {})
        with pytest.raises(CheckpointError, match="1 cannot be written: No space left on device$"):
            store.wait()
        assert [one.name for one in tmp_path.iterdir()] == ["1"]
        monkeypatch.undo()
        store.save(1, state(3), {})
    assert same(store.load().arrays, state(3))


LOGS = """
import logging, sys, threading
import numpy as np
from dlcore.train._store import Store

log, root = logging.getLogger("absl"), logging.getLogger()
before = (log.level, list(log.filters), list(log.handlers), root.level, list(root.handlers))
store = Store(sys.argv[1])
store.save(1, {"x": np.zeros(1000)}, {})
store.wait()
readers = [threading.Thread(target=store.load) for _ in range(4)]
store.save(2, {"x": np.zeros(1000)}, {})  # written while others read
for reader in readers: reader.start()
logging.getLogger("mine").warning("seen")
for reader in readers: reader.join()
store.close()
assert (log.level, list(log.filters), list(log.handlers), root.level, list(root.handlers)) == before
logging.basicConfig(level=logging.INFO)  # does nothing where a handler is there already
logging.getLogger("mine").info("seen too")
"""


def test_other_loggers_and_absl_are_as_they_were(tmp_path: Path):
    done = run(LOGS, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "" and done.stderr.splitlines() == ["seen", "INFO:mine:seen too"]


SAVES = """
import sys
import numpy as np
from dlcore.train._store import Store

store = Store(sys.argv[1], keep_last=2, keep_best=1)
step = (store.steps() or [0])[-1]
while True:
    step += 1
    arrays = {"x": np.full(1000, step), "y": np.random.default_rng(step).standard_normal(500)}
    store.save(step, arrays, {"s": step}, 1 / step)
    store.save(step, arrays, {"s": -step})  # replaces it
    print(step, flush=True)
"""


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_always_leaves_a_good_checkpoint(tmp_path: Path):
    chance, newest = random.Random(0), 0
    for _ in range(12):
        process = subprocess.Popen([sys.executable, "-c", SAVES, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None and process.stdout.readline()
        time.sleep(chance.uniform(0, 0.1))
        assert process.poll() is None
        process.kill()
        process.communicate()
        found = Store(tmp_path).load()
        assert found.skipped == () and found.step > newest
        newest = found.step
        for step in Store(tmp_path).steps():
            stored = Store(tmp_path).load(step)
            y = np.random.default_rng(step).standard_normal(500)
            assert same(stored.arrays, {"x": np.full(1000, step), "y": y}) and abs(stored.meta["s"]) == step
