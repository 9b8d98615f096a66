"""Ctrl-C ends a run in order and leaves the process as it was."""

from __future__ import annotations

import os
import signal
import threading

import numpy as np
import pytest

import dlcore as dl
from dlcore.train._fleet import Fleet
from dlcore.train._signals import Interrupt

MODEL = dl.models.linear()


def batches(count, interrupt_at=()):
    """Host batches; SIGINT arrives while batch number `interrupt_at` is fetched, so always at the same place."""
    for n in range(count):
        for _ in range(interrupt_at.count(n)):
            os.kill(os.getpid(), signal.SIGINT)
        yield np.full((4, 2), n, np.float32), np.ones((4, 1), np.float32)


def fit(data, **options):
    # Batches are fetched in this thread: a thread ahead of it would send the signal at some moment or other.
    return dl.fit(MODEL, data, progress=False, optimizer=dl.optim.sgd(1e-6), prefetch=0, **options)


@pytest.mark.parametrize(("at", "steps"), [(40, 64), (64, 96)])
def test_an_interrupt_returns_the_run_so_far(at, steps):
    before = signal.getsignal(signal.SIGINT)
    run = fit(batches(1000, [at]))
    assert run.stopped == "interrupted" and "stopped: interrupted" in repr(run)
    # The stack of batches that was being fetched is still trained on.
    assert run.final.step == steps and len(run.metrics["loss"]) == steps
    np.testing.assert_array_equal(run.metrics["loss"], fit(batches(steps)).metrics["loss"])
    assert run.predict(np.ones((3, 2), np.float32)).shape == (3, 1)
    assert signal.getsignal(signal.SIGINT) is before


def test_lanes_are_interrupted_together():
    run = fit(batches(1000, [40]), seeds=2)
    assert run.stopped.tolist() == ["interrupted"] * 2 and run.final.step.tolist() == [64, 64]


def test_an_interrupt_before_the_first_step_gives_an_empty_run(tmp_path):
    run = fit(batches(1000, [0]), out=tmp_path / "run")  # the first batch is fetched before anything is compiled
    assert run.stopped == "interrupted" and run.final.step == 0
    assert "loss" not in run.metrics and repr(run) and run._repr_html_()
    assert (tmp_path / "run" / "config.json").exists() and not (tmp_path / "run" / "curves.png").exists()


def test_no_test_split_is_measured_after_an_interrupt(data):
    sent = []

    def loss(predictions, targets):
        if not sent:  # once, while the program is traced
            sent.append(os.kill(os.getpid(), signal.SIGINT))
        return dl.losses.cross_entropy(predictions, targets)

    run = dl.fit(dl.models.softmax_regression(3), data, loss=loss, progress=False, batch_size=8)
    assert run.stopped == "interrupted" and not any(name.startswith("test_") for name in run.metrics)


def test_no_signal_is_lost_while_processes_agree_on_whether_one_came(monkeypatch):
    agree, asked = Fleet.agree, []

    def signalled(self, numbers):
        agreed = agree(self, numbers)
        if numbers == [0]:  # no signal yet
            asked.append(numbers)
            if len(asked) == 3:
                os.kill(os.getpid(), signal.SIGINT)
        return agreed

    monkeypatch.setattr(Fleet, "agree", signalled)
    assert fit(batches(1000)).stopped == "interrupted"


def test_a_second_interrupt_stops_at_once():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(batches(1000, [40, 40]))
    assert signal.getsignal(signal.SIGINT) is before


def test_the_handler_is_restored_after_an_error():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ValueError, match="batch_size"):
        fit((np.ones((4, 2)), np.ones((4, 1))), batch_size=9)
    assert signal.getsignal(signal.SIGINT) is before


def test_fit_works_in_a_thread_that_is_not_the_main_one():
    runs = []
    thread = threading.Thread(target=lambda: runs.append(fit(batches(40))))
    thread.start()
    thread.join()
    assert runs and runs[0].final.step == 40 and runs[0].stopped == "finished"


def test_an_ignored_interrupt_is_ignored_again_afterwards():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupt():
            pass
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_shell_is_told_which_signal_it_was():
    assert [dl.train.exit_status(reason) for reason in ("finished", "interrupted", "terminated")] == [0, 130, 143]
