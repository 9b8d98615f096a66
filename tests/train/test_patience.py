"""Early stopping: every lane by itself, and always with the best weights back."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import dlcore as dl

# A rate at which training soon overfits the 40 examples, and validation goes up and down.
OPTIMIZER = dl.optim.adam(0.05)


def fit(model, data, **options):
    settings = {"progress": False, "batch_size": 8, "epochs": 12, "optimizer": OPTIMIZER, "patience": 3, "key": 2}
    return dl.fit(model, data, **(settings | options))


def stop_of(values, patience, min_delta=0.0):
    """The rule in a few lines: (number of evaluations made, index of the best)."""
    best, at, waited = np.inf, 0, 0
    for n, value in enumerate(values):
        waited += 1
        if value < best - min_delta:
            best, at, waited = value, n, 0
        if waited >= patience:
            return n + 1, at
    return len(values), at


def assert_same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize("min_delta", [0.0, 0.02])
def test_a_run_stops_when_its_patience_is_over(model, data, min_delta):
    whole = fit(model, data, patience=None).metrics["validation_loss"]
    evaluations, best = stop_of(whole, 3, min_delta)
    assert evaluations < 12, "the data must make it stop early"
    run = fit(model, data, min_delta=min_delta)
    assert run.stopped == "patience" and run.final.step == 5 * evaluations
    np.testing.assert_array_equal(run.metrics["validation_loss"], whole[:evaluations])
    assert len(run.metrics["loss"]) == 5 * evaluations
    there = fit(model, data, patience=None, epochs=best + 1)
    assert_same((run.params, run.state), (there.params, there.state))


def test_the_best_weights_come_back_also_where_the_patience_never_runs_out(model, data):
    run = fit(model, data, patience=100)
    values = run.metrics["validation_loss"]
    assert run.stopped == "finished" and len(values) == 12 and values.argmin() < 11
    np.testing.assert_array_equal(run.evaluate("validation")["loss"], values.min())
    there = fit(model, data, patience=None, epochs=int(values.argmin()) + 1)
    assert_same((run.params, run.state), (there.params, there.state))


def test_the_test_split_is_measured_with_the_best_weights(model, data):
    run = fit(model, data)
    np.testing.assert_array_equal(run.evaluate("test")["loss"], run.metrics["test_loss"])


@pytest.mark.parametrize("monitor", ["accuracy", "validation_accuracy"])
def test_the_largest_accuracy_is_the_best(model, data, monitor):
    run = fit(model, data, patience=100, monitor=monitor)
    values = run.metrics["validation_accuracy"]
    assert run.evaluate("validation")["accuracy"] == values.max()
    there = fit(model, data, patience=None, epochs=int(values.argmax()) + 1)
    assert_same(run.params, there.params)


@pytest.mark.slow
def test_every_lane_stops_by_itself(model, data):
    run = fit(model, data, seeds=4, key=0)
    ends = []
    for seed in range(4):
        lone = fit(model, data, key=seed)
        ends.append(int(lone.final.step))
        assert run.stopped[seed] == lone.stopped
        assert_same(jax.tree.map(lambda leaf, lane=seed: leaf[lane], run.params), lone.params)
        assert np.isfinite(run.metrics["loss"][seed]).sum() == ends[-1]
        known = np.isfinite(run.metrics["validation_loss"][seed])
        np.testing.assert_array_equal(run.metrics["validation_loss"][seed][known], lone.metrics["validation_loss"])
    assert run.final.step.tolist() == ends and len(set(ends)) > 1


def test_a_run_that_is_never_a_number_keeps_its_first_weights(data):
    def loss(predictions, targets):
        return dl.losses.cross_entropy(predictions, targets) * jax.numpy.nan

    run = fit(dl.models.softmax_regression(3), data, loss=loss)
    assert run.stopped == "non-finite at step 0" and not np.any(run.params["out"]["kernel"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"patience": 0}, "patience, min_delta: expected 1 or more"),
        ({"min_delta": -0.1}, "patience, min_delta: expected"),
        ({"monitor": "acuracy"}, "monitor: there is no 'acuracy'; did you mean 'accuracy'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(model, data, options, words):
    with pytest.raises(ValueError, match=words):
        fit(model, data, **options)


def test_data_without_validation_cannot_stop_early(model, data):
    with pytest.raises(ValueError, match="the data have none"):
        fit(model, (data.train["x"], data.train["y"]))
