"""A `Run` predicts, evaluates, sums itself up and draws itself."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dlcore as dl
from dlcore.train._first_look import FirstLook


@pytest.fixture(scope="module")
def runs(model, data):
    options = {"progress": False, "batch_size": 8, "epochs": 2, "optimizer": dl.optim.adam(1e-2)}
    return {seeds: dl.fit(model, data, seeds=seeds, **options) for seeds in (None, 2)}


@pytest.fixture(scope="module")
def run(runs):
    return runs[None]


@pytest.fixture
def unseen(run):
    """The run as if nobody had looked at its test split."""
    return dataclasses.replace(run, first_look=FirstLook())


@pytest.mark.few(2)
@pytest.mark.parametrize("count", [1, 7, 8, 9, 20])
def test_predictions_are_those_of_the_model_for_any_number_of_examples(run, data, model, count):
    x = np.tile(data.test["x"], (2, 1))[:count]
    expected, _ = model.apply(run.params, run.state, x)
    found = run.predict(x)
    assert found.shape == (count, 3)
    np.testing.assert_allclose(found, expected, atol=1e-6)  # a product over another batch adds in another order


@pytest.mark.parametrize("count", [1, 11])
def test_every_lane_predicts(runs, data, model, count):
    x, run = data.test["x"][:count], runs[2]
    found = run.predict(x)
    assert found.shape == (2, count, 3)
    for lane in range(2):
        params, state = jax.tree.map(lambda leaf, lane=lane: leaf[lane], (run.params, run.state))
        np.testing.assert_allclose(found[lane], model.apply(params, state, x)[0], atol=1e-6)


@pytest.mark.few(1)
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_evaluation_is_the_mean_over_the_whole_split(unseen, data, model, split):
    arrays = data.splits[split]
    logits, _ = model.apply(unseen.params, unseen.state, arrays["x"])
    found = unseen.evaluate(split)
    np.testing.assert_allclose(found["loss"], dl.losses.cross_entropy(logits, arrays["y"]).mean(), rtol=1e-5)
    np.testing.assert_allclose(found["accuracy"], (logits.argmax(-1) == arrays["y"]).mean(), rtol=1e-5)


def test_a_pair_of_arrays_is_evaluated_like_a_split(unseen, data):
    pair = (jnp.asarray(data.test["x"]), data.test["y"])
    before = unseen.evaluate("test")
    with pytest.warns(UserWarning, match="looked at before"):
        assert unseen.evaluate(pair) == before == unseen.evaluate()


def test_what_cannot_be_evaluated_is_refused(run, data):
    with pytest.raises(ValueError, match="no 'tests' split here; did you mean 'test'"):
        run.evaluate("tests")
    with pytest.raises(ValueError, match="the data have 5 classes .* and the model 3 outputs"):
        run.evaluate((data.test["x"], data.test["y"] + 2))
    with pytest.raises(ValueError, match="another number of channels"):
        run.evaluate((data.test["x"][:, :2], data.test["y"]))


def test_what_cannot_be_predicted_is_refused(run, data):
    with pytest.raises(ValueError, match="another number of channels"):
        run.predict(data.test["x"][:, :2])
    for nothing in (data.test["x"][:0], np.float32(1)):
        with pytest.raises(ValueError, match="x: expected one or more examples"):
            run.predict(nothing)


def test_the_summary_holds_the_last_values(run):
    found, metrics = run.summary(), run.metrics
    assert list(found) == [
        "loss",
        "accuracy",
        "validation_loss",
        "validation_accuracy",
        "test_loss",
        "test_accuracy",
    ]
    np.testing.assert_allclose(found["loss"], metrics["loss"][-5:].mean(), rtol=1e-6)  # an epoch has 5 steps
    assert found["validation_loss"] == metrics["validation_loss"][-1] and found["test_loss"] == metrics["test_loss"]


def test_a_run_says_what_it_is(run):
    text, page = repr(run), run._repr_html_()
    assert text.startswith("serial(...) on clouds: 10 steps in ") and "to compile" in text.splitlines()[0]
    for name, value in run.summary().items():
        assert f"{name.replace('_', ' '):<20} {float(value):.4g}" in text
        assert f"<td>{name.replace('_', ' ')}</td>" in page
    assert "stopped" not in text


def test_a_run_draws_a_panel_a_metric(run):
    assert [axes.get_title() for axes in run.plot().axes] == ["loss", "accuracy"]
    assert [axes.get_title() for axes in run.plot("accuracy").axes] == ["accuracy"]


def test_times_are_told_apart(run):
    assert run.compile_seconds > 0 and run.run_seconds > 0


@pytest.mark.parametrize("at", [0, 7])
def test_a_run_that_is_not_finite_says_where_and_keeps_finite_params(at):
    def source(key, n):
        x = jax.random.normal(jax.random.fold_in(key, n), (4, 2))
        return {"x": jnp.where(n == at, jnp.inf, x), "y": x[:, :1]}

    run = dl.fit(dl.models.linear(), source, steps=600, progress=False)
    assert run.stopped == f"non-finite at step {at}" and run.final.step == at
    assert f"stopped: non-finite at step {at}" in repr(run)
    assert len(run.metrics["loss"]) == at and np.isfinite(run.metrics["loss"]).all()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((run.params, run.final.opt_state)))
    assert np.isnan(run.metrics.get("gradient_norm", np.nan)).all()  # there was no last step to measure
    assert run.plot().axes and run._repr_html_()


@pytest.mark.slow
def test_a_rate_that_overflows_the_update_stops_the_run(data):
    run = dl.fit(
        dl.models.softmax_regression(3),
        data,
        optimizer=dl.optim.sgd(lambda step: 1 / (step - 3)),
        steps=20,
        batch_size=8,
        progress=False,
    )
    assert run.stopped == "non-finite at step 3" and np.isfinite(run.params["out"]["kernel"]).all()
