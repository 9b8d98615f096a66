"""A run that was stopped and goes on is the run that never stopped, in every bit."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import pytest

import dlcore as dl
from dlcore.train import _fit, _progress, _rewind
from dlcore.train._store import Store

OPTIONS: dict[str, Any] = {"progress": False, "batch_size": 8, "epochs": 6, "optimizer": dl.optim.adam(0.02)}


def fit(model, data, **options) -> dl.Run:
    return dl.fit(model, data, **(OPTIONS | options))


def bits(tree):
    leaves = jax.tree.leaves(tree)
    plain = [jax.random.key_data(x) if jax.numpy.issubdtype(x.dtype, jax.dtypes.prng_key) else x for x in leaves]
    return [np.asarray(leaf).tobytes() for leaf in plain]


def assert_same_run(one, other):
    assert bits((one.params, one.state, one.final)) == bits((other.params, other.state, other.final))
    assert list(one.metrics) == list(other.metrics)
    for name in other.metrics:
        np.testing.assert_array_equal(one.metrics[name], other.metrics[name], err_msg=name)
    np.testing.assert_array_equal(one.stopped, other.stopped)


class Killed(BaseException):
    """Stands for a process that is gone."""


@pytest.fixture
def at(monkeypatch):
    """`at(step, action)` has something happen when the display hears of a step; None takes it away again."""
    plain = _progress.Silent.update

    def plan(step, action=None):
        def update(self, done, values):
            if done == step and action is not None:
                action()

        monkeypatch.setattr(_progress.Silent, "update", update if action else plain)

    return plan


def kill():
    raise Killed


def send(number):
    return lambda: os.kill(os.getpid(), number)


# --- killed ----------------------------------------------------------------------------------------------------------


@pytest.mark.few(1)
@pytest.mark.parametrize("seeds", [None, 3])
@pytest.mark.parametrize("patience", [None, 2])
def test_a_run_that_was_killed_goes_on_to_the_same_bits(model, data, tmp_path, at, seeds, patience):
    options: dict[str, Any] = {"seeds": seeds, "patience": patience, "epochs": 12, "key": 2}
    whole = fit(model, data, **options)
    for step in (5, 20, 35):  # the first is before there is a checkpoint
        out = tmp_path / str(step)
        at(step, kill)
        with pytest.raises(Killed):
            fit(model, data, out=out, save_every=2, **options)
        at(step)
        assert_same_run(fit(model, data, out=out, save_every=2, resume=True, **options), whole)


@pytest.mark.slow
def test_a_run_that_is_too_large_to_be_copied_goes_on_as_well(model, data, tmp_path, at, monkeypatch):
    monkeypatch.setattr(_rewind, "SMALL", -1)
    whole = fit(model, data)
    at(20, kill)
    with pytest.raises(Killed):
        fit(model, data, out=tmp_path, save_every=1)
    at(0)
    assert_same_run(fit(model, data, out=tmp_path, save_every=1, resume=True), whole)


@pytest.mark.slow
def test_a_run_may_be_killed_again_and_again(model, data, tmp_path, at):
    whole = fit(model, data)
    for step in (10, 15, 15, 25):
        at(step, kill)
        with pytest.raises(Killed):
            fit(model, data, out=tmp_path, save_every=1, resume=True)
    at(0)
    assert_same_run(fit(model, data, out=tmp_path, resume=True), whole)


@pytest.mark.slow
def test_a_run_that_is_over_is_read_and_not_trained(model, data, tmp_path):
    whole = fit(model, data, out=tmp_path)
    assert_same_run(fit(model, data, out=tmp_path, resume=True), whole)


@pytest.mark.slow
def test_a_run_that_failed_stays_as_it_was(data, tmp_path):
    model = dl.models.softmax_regression(3)
    rate = lambda hparams: optax.sgd(lambda count: 0.1 / (hparams["at"] - count))
    options: dict[str, Any] = {"optimizer": rate, "hparams": {"at": 13.0}, "out": tmp_path}
    failed = fit(model, data, **options)
    assert failed.stopped == "non-finite at step 13"
    assert_same_run(fit(model, data, resume=True, **options), failed)


def test_an_iterator_is_read_again_from_its_start(tmp_path, at):
    def batches(count=100):
        random = np.random.default_rng(0)
        for _ in range(count):
            x = random.normal(size=(4, 2)).astype(np.float32)
            yield x, x[:, :1]

    options: dict[str, Any] = {"epochs": None, "optimizer": dl.optim.adam(0.01), "save_every": 1}
    whole = fit(dl.models.linear(), batches(), **options)
    at(64, send(signal.SIGINT))
    stopped = fit(dl.models.linear(), batches(), out=tmp_path, **options)
    assert stopped.stopped == "interrupted" and stopped.final.step == 64
    at(0)
    assert_same_run(fit(dl.models.linear(), batches(), out=tmp_path, resume=True, **options), whole)
    with pytest.raises(ValueError, match="the run has seen 100 batches already, and the iterator has only 2"):
        fit(dl.models.linear(), batches(2), out=tmp_path, resume=True, **options)


# --- stopped by a signal ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "word"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")])
def test_a_signal_ends_the_chunk_saves_and_gives_the_run_so_far(model, data, tmp_path, at, number, word):
    handlers = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    at(10, send(number))
    run = fit(model, data, out=tmp_path)
    at(0)
    assert run.stopped == word and 10 <= run.final.step < 30
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert Store(tmp_path / "checkpoints").steps() == [int(run.final.step)]
    assert not any(name.startswith("test_") for name in run.metrics)
    whole = fit(model, data)
    assert_same_run(run.resume(progress=False), whole)
    assert_same_run(dl.load(tmp_path, data=data), whole)  # it went on in its folder


def test_a_second_sigterm_leaves_at_once(model, data, at):
    at(10, lambda: [send(signal.SIGTERM)(), send(signal.SIGTERM)()])
    with pytest.raises(SystemExit) as caught:
        fit(model, data)
    assert caught.value.code == 143


# --- longer, and otherwise -------------------------------------------------------------------------------------------


def test_a_run_is_trained_for_longer(model, data, tmp_path):
    longer = fit(model, data, epochs=9)
    assert_same_run(fit(model, data).resume(epochs=9, progress=False), longer)
    fit(model, data, out=tmp_path)
    assert_same_run(fit(model, data, out=tmp_path, epochs=9, resume=True), longer)
    assert_same_run(dl.load(tmp_path, data=data).resume(steps=60, progress=False), fit(model, data, epochs=12))


@pytest.mark.slow
def test_a_changed_configuration_is_shown_and_needs_a_flag(model, data, tmp_path):
    fit(model, data, out=tmp_path, epochs=2)
    words = (
        r"made with another configuration: optimizer: adam\(learning_rate=0.02\) -> adam\(learning_rate=0.1\); .*allow"
    )
    with pytest.raises(ValueError, match=words):
        fit(model, data, out=tmp_path, resume=True, optimizer=dl.optim.adam(0.1))
    with pytest.raises(ValueError, match="data: "):
        fit(model, dl.data.iris(), out=tmp_path, resume=True)
    changed = dataclasses.replace(data, train={"x": data.train["x"] + 1, "y": data.train["y"]})
    with pytest.raises(ValueError, match="data: the arrays are others than before"):
        fit(model, changed, out=tmp_path, resume=True)
    run = fit(model, data, out=tmp_path, resume=True, allow_changes=True, optimizer=dl.optim.adam(0.1))
    assert run.final.step == 30 and run.metrics["learning_rate"][-1] == np.float32(0.1)


def test_a_fork_shares_the_batches_and_differs_in_what_was_changed(model, data, tmp_path):
    run = fit(model, data, out=tmp_path, save_every=1, keep_last=None)
    same = run.fork(15, progress=False)
    assert_same_run(same, run)
    other = run.fork(15, learning_rate=0.05, progress=False)
    assert other.forked_at == 15 and other.parent is run
    np.testing.assert_array_equal(other.metrics["loss"][:16], run.metrics["loss"][:16])
    assert np.all(other.metrics["loss"][16:] != run.metrics["loss"][16:])
    figure = other.plot_difference()
    drawn = [line for axes in figure.axes for line in axes.get_lines() if len(line.get_xdata()) == 30]
    assert any(np.allclose(line.get_ydata(), other.metrics["loss"] - run.metrics["loss"]) for line in drawn)


def test_a_fork_with_another_optimizer_starts_its_state_anew(model, data):
    run = fit(model, data, epochs=2)
    other = run.fork(optimizer=dl.optim.momentum(0.01), epochs=3, progress=False)
    assert other.final.step == 15 and np.isfinite(other.metrics["loss"]).all()


def test_a_fork_goes_on_after_the_patience_has_run_out(model, data):
    run = fit(model, data, epochs=20, patience=1, key=2)
    assert run.stopped == "patience"
    other = run.fork(patience=None, epochs=20, progress=False)
    assert other.stopped == "finished" and other.final.step == 100


def test_a_run_with_nothing_left_to_do_is_not_resumed(model, data):
    run = fit(model, data, epochs=2)
    for options in ({}, {"epochs": 1}, {"steps": 10}):
        with pytest.raises(ValueError, match="resume: the run has 10 steps already, of .*give more epochs or steps"):
            run.resume(progress=False, **options)
    tired = fit(model, data, epochs=20, patience=1, key=2)
    with pytest.raises(ValueError, match=r"resume: the run has stopped \(patience\); see fork"):
        tired.resume(epochs=30, progress=False)


def test_forks_that_make_no_sense_are_refused(model, data, tmp_path):
    run = fit(model, data, epochs=1)
    with pytest.raises(ValueError, match="fork: a run without a folder has no checkpoints"):
        run.fork(5)
    with pytest.raises(ValueError, match="hparams: nothing reads 'lerning_rate'; did you mean 'learning_rate'"):
        run.fork(lerning_rate=0.1)
    with pytest.raises(ValueError, match="plot_difference: this run has no parent"):
        run.plot_difference()
    kept = fit(model, data, epochs=2, out=tmp_path)
    with pytest.raises(dl.CheckpointError, match="7: no such checkpoint; there are: 10"):
        kept.fork(7)


# --- from disk -------------------------------------------------------------------------------------------------------


def test_a_run_is_loaded_with_everything(model, data, tmp_path):
    run = fit(model, data, out=tmp_path, patience=3, seeds=2)
    loaded = dl.load(tmp_path, data=data)
    assert_same_run(loaded, run)
    np.testing.assert_array_equal(loaded.predict(data.test["x"]), run.predict(data.test["x"]))
    assert loaded.evaluate("validation").keys() == run.evaluate("validation").keys()
    assert_same_run(loaded.lane(1), run.lane(1))


@pytest.mark.slow
def test_bundled_data_and_recipes_need_nothing(tmp_path):
    model = dl.models.mlp((4,), classes=3)
    options: dict[str, Any] = {"batch_size": 16, "progress": False}
    run = dl.fit(model, dl.data.iris(key=3), epochs=2, out=tmp_path, **options)
    loaded = dl.load(tmp_path)
    assert loaded.model is model and repr(loaded.data) == repr(run.data)
    assert_same_run(
        loaded.resume(epochs=4, progress=False),
        dl.fit(model, dl.data.iris(key=3), epochs=4, batch_size=16, progress=False),
    )


def test_best_weights_are_loaded_without_the_data_too(model, data, tmp_path):
    run = fit(model, data, out=tmp_path, patience=2, key=2, epochs=12)
    assert_same_run(dl.load(tmp_path), run)


@pytest.mark.slow
def test_what_has_no_recipe_has_to_be_given(data, tmp_path):
    def build(hparams):
        return dl.models.mlp((4,), classes=3, dropout=hparams["rate"])

    run = fit(build, data, out=tmp_path, hparams={"rate": 0.1})
    with pytest.raises(dl.CheckpointError, match="model = .*build.*give model="):
        dl.load(tmp_path, data=data)
    without = dl.load(tmp_path, model=build)
    assert_same_run(without, run)
    x, y = data.test["x"], data.test["y"]
    np.testing.assert_array_equal(without.predict(x), run.predict(x))
    assert without.evaluate((x, y))["loss"] == run.metrics["test_loss"]
    for needs_data in (without.resume, without.fork):
        with pytest.raises(ValueError, match=r"loaded without its data: dl.load\(..., data=...\)"):
            needs_data(epochs=9)
    with pytest.raises(dl.CheckpointError, match="data that are not here: give data="):
        dl.verify(tmp_path, model=build)
    with pytest.raises(TypeError, match="no argument 'modle'; did you mean 'model'"):
        dl.load(tmp_path, modle=build)
    assert_same_run(dl.load(tmp_path, model=build, data=data), run)
    with pytest.raises(dl.CheckpointError, match="made with other data"):
        dl.load(tmp_path, model=build, data=(data.train["x"] * 2, data.train["y"]))


@pytest.mark.slow
def test_the_weights_of_another_model_are_listed(model, data, tmp_path):
    fit(model, data, out=tmp_path)
    other = dl.serial(hidden=dl.dense(7), out=dl.dense(3))
    with pytest.raises(dl.CheckpointError) as caught:
        dl.load(tmp_path, model=other, data=data)
    said = str(caught.value)
    assert "carry/params/hidden/bias is missing" in said
    assert "carry/params/norm/scale is not in this run" in said
    assert "carry/params/hidden/kernel is (4, 6) float32 and should be (4, 7) float32" in said


@pytest.mark.few(2)
@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": "1"}'])
def test_a_damaged_configuration_is_one_line(model, data, tmp_path, content):
    fit(model, data, out=tmp_path, epochs=1)
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(dl.CheckpointError, match="config.json"):
        dl.load(tmp_path)


def test_a_newer_schema_is_refused_by_number(model, data, tmp_path):
    fit(model, data, out=tmp_path, epochs=1)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"schema": 99}))
    with pytest.raises(dl.CheckpointError, match="schema 99, this one reads up to 1"):
        dl.load(tmp_path)


def test_a_folder_without_a_run_is_said(tmp_path):
    with pytest.raises(dl.CheckpointError, match="holds no run"):
        dl.load(tmp_path)


def damage(checkpoint: Path) -> None:
    largest = max((path for path in checkpoint.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 0xFF
    largest.write_bytes(content)


def test_a_damaged_checkpoint_is_passed_over_and_that_is_said(model, data, tmp_path):
    whole = fit(model, data, out=tmp_path, save_every=2)
    assert Store(tmp_path / "checkpoints").steps() == [10, 20, 30]
    damage(tmp_path / "checkpoints" / "30")
    with pytest.warns(UserWarning, match="30 is damaged: .*; using step 20"):
        earlier = dl.load(tmp_path, data=data)
    assert earlier.final.step == 20 and earlier.stopped == "interrupted"
    with pytest.warns(UserWarning, match="30 is damaged"):
        assert_same_run(fit(model, data, out=tmp_path, save_every=2, resume=True), whole)
    assert_same_run(dl.load(tmp_path, data=data), whole)  # the damaged one has made room


def test_where_all_checkpoints_are_damaged_it_is_an_error(model, data, tmp_path):
    fit(model, data, out=tmp_path, save_every=3)
    for step in (15, 30):
        damage(tmp_path / "checkpoints" / str(step))
    with pytest.raises(dl.CheckpointError, match="30 is damaged.*15 is damaged"):
        fit(model, data, out=tmp_path, resume=True)


def test_verify_runs_the_chunks_again(model, data, tmp_path):
    run = fit(model, data, out=tmp_path, save_every=2, seeds=2, patience=9)
    found = dl.verify(tmp_path, data=data)
    assert found.ok and [interval[:2] for interval in found.intervals] == [(0, 10), (10, 20), (20, 30)]
    store = Store(tmp_path / "checkpoints")
    stored = store.load(20)
    changed = {name: array.copy() for name, array in stored.arrays.items()}
    changed["carry/params/out/bias"][0, 0] += np.float32(1e-7)
    with store:
        store.save(20, changed, stored.meta)
    found = dl.verify(tmp_path, data=data)
    assert not found.ok and "carry/params/out/bias" in repr(found).splitlines()[1]
    assert run.final.step.tolist() == [30, 30]


# --- one writer ------------------------------------------------------------------------------------------------------


def test_a_second_writer_is_refused_with_the_number_of_the_first(model, data, tmp_path, at):
    def second():
        with pytest.raises(dl.CheckpointError, match=f"is being written by process {os.getpid()}"):
            _fit.fit(model, data, **OPTIONS, out=tmp_path, resume=True)

    at(10, second)
    run = fit(model, data, out=tmp_path)
    assert run.stopped == "finished"


def test_arguments_that_do_not_fit_leave_no_folder(model, data, tmp_path):
    with pytest.raises(ValueError, match="batch_size"):
        fit(model, data, out=tmp_path / "run", batch_size=1000)
    with pytest.raises(ValueError, match="save_every: expected a positive whole number"):
        fit(model, data, out=tmp_path / "other", save_every=0)
    with pytest.raises(ValueError, match="resume: give the folder"):
        fit(model, data, resume=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_leaves_the_last_good_checkpoint(tmp_path):
    script = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
import dlcore as dl
from dlcore.train import _progress
def update(self, step, values):
    if step == 12:  # of 3 steps an epoch
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
_progress.Silent.update = update
try:
    dl.fit(dl.models.mlp((64,), classes=3), dl.data.iris(), epochs=50, batch_size=32, out=sys.argv[1], save_every=1,
           progress=False)
except dl.CheckpointError as error:
    print(error)
"""
    paths = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path], env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1 and "cannot be written" in done.stdout, done.stdout
    assert dl.load(tmp_path).final.step >= 3
