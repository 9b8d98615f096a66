"""`out="gs://bucket/run"`: a run in Google Cloud Storage is the run on a disk, as far as a bucket allows."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import dlcore as dl
from dlcore.cli import main
from dlcore.errors import CheckpointError
from dlcore.places import children, place
from dlcore.train._folder import RunFolder
from dlcore.train._store import Store
from tests.gcs_server import Bucket, serving

MODEL = dl.models.mlp((6,), classes=3)
FILES = {"checkpoints", "config.json", "results.json", "metrics.csv", "curves.png", "report.html"}
SEAL = "commit_success.txt"


@pytest.fixture(scope="module")
def server() -> Iterator[Bucket]:
    """One for all tests: the clients keep the address that they have read first."""
    if importlib.util.find_spec("gcsfs") is None:  # importing it would have it read the environment now
        pytest.skip("needs gcsfs")
    with serving() as bucket, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", bucket.url)  # read by gcsfs and google-cloud-storage
        patch.setenv("TENSORSTORE_GCS_HTTP_URL", bucket.url)
        patch.setenv("NO_GCE_CHECK", "true")  # whether this is a machine of Google's, it would ask the network
        patch.setenv("GCE_METADATA_ROOT", bucket.url.removeprefix("http://"))
        patch.setenv("GOOGLE_CLOUD_PROJECT", "test")
        patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # asks by gRPC
        yield bucket


@pytest.fixture
def bucket(server: Bucket) -> Iterator[Bucket]:
    """Empty."""
    server.objects.clear()
    server.log.clear()
    yield server
    server.broken, server.writes_left = "", None


def fit(data, out, **options):
    return dl.fit(MODEL, data, **({"progress": False, "batch_size": 8, "epochs": 2, "out": out} | options))


def same(one, other) -> bool:
    a, b = one.snapshot.arrays, other.snapshot.arrays
    return a.keys() == b.keys() and all(a[name].tobytes() == b[name].tobytes() for name in a)


def state(step: int, seed: int = 0) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng([step, seed]).standard_normal(100)}


def fill(*steps: int, seed: int = 0, **options) -> None:
    with Store("gs://bucket/run", **options) as store:
        for step in steps:
            store.save(step, state(step, seed), {"seed": seed})


def is_whole(found) -> bool:
    return found.arrays["x"].tobytes() == state(found.step, found.meta["seed"])["x"].tobytes()


def test_a_run_is_kept_in_a_bucket_read_from_it_and_gone_on_with(data, bucket):
    run = fit(data, "gs://bucket/deep/run")
    assert bucket.names("bucket/deep/run") == FILES
    assert bucket.names("bucket/deep/run/checkpoints") == {"10"}
    assert json.loads(bucket.objects["bucket/deep/run/results.json"][0])["stopped"] == "finished"
    assert bucket.objects["bucket/deep/run/curves.png"][0].startswith(b"\x89PNG")

    loaded = dl.load("gs://bucket/deep/run", data=data)
    x = data.test["x"]
    assert np.asarray(loaded.predict(x)).tobytes() == np.asarray(run.predict(x)).tobytes()
    assert str(loaded.folder) == "gs://bucket/deep/run"

    assert same(loaded.resume(epochs=3, progress=False), fit(data, None, epochs=3))
    assert bucket.names("bucket/deep/run/checkpoints") == {"10", "15"}


@pytest.mark.slow
def test_a_run_whose_bucket_is_taken_away_goes_on_to_the_same_bits(data, bucket):
    bucket.writes_left = 40
    with pytest.raises(CheckpointError, match="gs://bucket/run/.* cannot be (reached|written): Forbidden"):
        fit(data, "gs://bucket/run", epochs=8, save_every=1)
    bucket.writes_left = None
    steps = Store("gs://bucket/run/checkpoints").steps()
    assert steps and steps[-1] < 40
    assert same(fit(data, "gs://bucket/run", epochs=8, save_every=1, resume=True), fit(data, None, epochs=8))


def test_a_folder_that_holds_a_run_is_left_as_it_is_until_told_otherwise(data, bucket):
    for name in ("config.json", "report.html", "checkpoints/99/_CHECKPOINT_METADATA", f"checkpoints/99/{SEAL}"):
        bucket.put(f"bucket/run/{name}", b"precious")
    before = dict(bucket.objects)
    with pytest.raises(FileExistsError, match=r"out: gs://bucket/run exists and is not empty; .*overwrite"):
        fit(data, "gs://bucket/run")
    assert bucket.objects == before
    fit(data, "gs://bucket/run", overwrite=True)
    assert bucket.names("bucket/run/checkpoints") == {"10"}
    assert all(content != b"precious" for content, _ in bucket.objects.values())


def test_an_object_in_the_way_is_an_error_and_an_empty_folder_none(bucket):
    bucket.put("bucket/file", b"precious")
    bucket.put("bucket/empty/", b"")  # as the console makes a folder
    with pytest.raises(FileExistsError, match="out: gs://bucket/file is a file"):
        RunFolder("gs://bucket/file", overwrite=True)
    with RunFolder("gs://bucket/empty") as folder:
        folder.put("config.json", "{}")
    assert bucket.objects["bucket/empty/config.json"][0] == b"{}"


def test_what_others_write_meanwhile_is_seen(bucket):
    folder = place("gs://bucket/run")
    for name in ("one", "two"):  # a listing that was remembered would have the first alone
        bucket.put(f"bucket/run/{name}", b"")
        assert {one.name for one in children(folder)} == bucket.names("bucket/run")


def test_the_last_and_the_best_stay_and_what_goes_loses_its_seal_first(bucket):
    fill(1, 2)
    bucket.log.clear()
    fill(3, 10, keep_last=2, keep_best=0)
    assert bucket.names("bucket/run") == {"3", "10"}
    for step in (1, 2):
        gone = [path for method, path in bucket.log if method == "DELETE" and f"/run/{step}/" in path]
        assert gone[0].endswith(f"/o/run/{step}/{SEAL}") and len(gone) > 5
    assert is_whole(Store("gs://bucket/run").load())


def test_a_checkpoint_that_was_not_written_to_the_end_is_passed_over_and_cleared_away(bucket):
    fill(1, 2)
    del bucket.objects[f"bucket/run/2/{SEAL}"]
    store = Store("gs://bucket/run")
    assert store.steps() == [1] and store.load().step == 1
    fill(3)
    assert bucket.names("bucket/run") == {"1", "3"}


@pytest.mark.slow
def test_a_damaged_checkpoint_is_told_and_moved_aside(data, bucket):
    fit(data, "gs://bucket/run", save_every=1)
    name = next(name for name in bucket.objects if name.startswith("bucket/run/checkpoints/10/default/d/"))
    content = bytearray(bucket.objects[name][0])
    content[len(content) // 2] ^= 1
    bucket.put(name, content)
    with pytest.warns(UserWarning, match=r"gs://bucket/run/checkpoints/10 is damaged: .*; using step 5"):
        assert int(dl.load("gs://bucket/run", data=data).final.step) == 5
    with pytest.warns(UserWarning, match="using step 5"):
        assert same(fit(data, "gs://bucket/run", resume=True), fit(data, None))
    assert bucket.names("bucket/run/checkpoints") == {"5", "10", "damaged-10"}


def test_a_bucket_that_cannot_be_reached_is_no_damage(bucket):
    fill(1, 2)
    for what in ("GET .*/2/_CHECKPOINT_METADATA", "GET .*/2/default/d/", "GET .*prefix=run/&"):
        before, bucket.broken = dict(bucket.objects), what
        with pytest.raises(CheckpointError, match="gs://bucket/run.* cannot be reached: .*"):
            Store("gs://bucket/run").load()
        with pytest.raises(CheckpointError, match="gs://bucket/run.* cannot be (reached|written): .*"):
            fill(3)
        assert bucket.objects == before
        bucket.broken = ""


@pytest.mark.parametrize("stride", [9, pytest.param(1, marks=pytest.mark.slow)])
def test_a_step_that_is_written_again_is_there_at_every_instant(bucket, stride):
    fill(7)
    before, bucket.writes_left = dict(bucket.objects), 1000
    fill(7, seed=1)
    count = 1000 - bucket.writes_left
    seeds = set()
    for left in range(stride - 1, count, stride):
        bucket.objects = dict(before)
        bucket.writes_left = left
        with contextlib.suppress(CheckpointError):
            fill(7, seed=1)
        found = Store("gs://bucket/run").load()
        assert found.step == 7 and is_whole(found) and not found.skipped, left
        seeds.add(found.meta["seed"])
        bucket.writes_left = None
        fill(8)
        assert Store("gs://bucket/run").steps() == [7, 8] and bucket.names("bucket/run") == {"7", "8"}, left
        assert is_whole(Store("gs://bucket/run").load(7))
    assert seeds == {0, 1}


def test_the_first_look_at_the_test_split_is_remembered_in_the_bucket(data, bucket):
    fit(data, "gs://bucket/run").evaluate("test")
    assert bucket.objects["bucket/run/test_look.txt"][0].endswith(b"at step 10\n")
    with pytest.warns(UserWarning, match="was looked at before, first on .* at step 10"):
        dl.load("gs://bucket/run", data=data).evaluate("test")


@pytest.mark.slow
def test_a_sweep_is_kept_in_a_bucket_and_gone_on_with(data, bucket):
    build = lambda hparams: dl.models.mlp((hparams["width"],), classes=3)
    options = {"space": {"width": [3, 4], "learning_rate": [1e-3, 1e-2]}, "batch_size": 8, "progress": False}
    dl.sweep(build, data, **options, epochs=1, out="gs://bucket/sweep")
    assert {"checkpoints", "config.json", "lanes.csv", "lanes.json", "report.html"} == bucket.names("bucket/sweep")
    assert bucket.names("bucket/sweep/checkpoints") == {"group-0", "group-1"}
    whole = dl.sweep(build, data, **options, epochs=2)
    resumed = dl.sweep(build, data, **options, epochs=2, out="gs://bucket/sweep", resume=True, allow_changes=True)
    assert resumed.table.plain_rows == whole.table.plain_rows


@pytest.mark.slow
def test_the_command_line_takes_the_address_of_a_bucket(bucket, capsys):
    main(["train", "iris", "--epochs", "1", "--out", "gs://bucket/run"])
    assert "report: gs://bucket/run/report.html" in capsys.readouterr().out
    bucket.put("bucket/run/report.html", b"")
    main(["report", "gs://bucket/run"])
    assert bucket.objects["bucket/run/report.html"][0].startswith(b"<!")
    main(["evaluate", "gs://bucket/run"])
    main(["verify", "gs://bucket/run"])
    main(["train", "--resume", "--epochs", "2", "--out", "gs://bucket/run"])
    assert "epoch 2/2" in capsys.readouterr().out


def test_without_gcsfs_it_is_said_what_to_install(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    for path in ("gs://bucket/run", Path("gs://bucket/run")):
        with pytest.raises(ImportError, match=r"out: gs://bucket/run needs gcsfs, .*: pip install 'dlcore\[gcs\]'"):
            fit(data, path)
    with pytest.raises(ImportError, match="path: gs://bucket/run needs gcsfs"):
        dl.load("gs://bucket/run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["s3://bucket/run", Path("s3://bucket/run"), "https://host/run", "gs://", "gs:///run"])
def test_other_addresses_are_refused(data, tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="out: expected a folder, or gs://BUCKET/FOLDER, found '.*'; mount"):
        fit(data, path)
    assert list(tmp_path.iterdir()) == []
