"""`seeds` trains lanes of one program: each is the lone run with its key, and what is printed has a spread."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import dlcore as dl
from dlcore.compose import derive

ADAM = dl.optim.adam(1e-2)


def fit(model, data, **options):
    return dl.fit(model, data, **({"progress": False, "batch_size": 8, "steps": 12, "optimizer": ADAM} | options))


def lane_of(tree, lane):
    return jax.tree.map(lambda leaf: leaf[lane], tree)


def assert_same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.few(1)
@pytest.mark.parametrize(("seeds", "keys"), [(3, [5, 6, 7]), ([3, 7], [3, 7])])
def test_every_lane_has_the_bits_of_the_lone_run(model, data, seeds, keys):
    run = fit(model, data, seeds=seeds, key=5)
    for lane, key in enumerate(keys):
        lone = fit(model, data, key=key)
        assert_same(lane_of((run.params, run.state), lane), (lone.params, lone.state))
        for name in ("loss", "accuracy", "validation_loss", "test_accuracy", "gradient_norm"):
            np.testing.assert_array_equal(run.metrics[name][lane], lone.metrics[name], err_msg=name)


@pytest.mark.slow
def test_lanes_side_by_side_agree_with_the_loop(model, data):
    loop = fit(model, data, seeds=3)
    side_by_side = fit(model, data, seeds=3, lanes="vmap")
    assert (loop.lanes, side_by_side.lanes) == ("loop", "vmap")
    # Batched products add in another order: one rounding a step, over 12 of them.
    for name in ("loss", "validation_loss", "test_loss"):
        np.testing.assert_allclose(side_by_side.metrics[name], loop.metrics[name], atol=1e-5)
    np.testing.assert_allclose(side_by_side.predict(data.test["x"]), loop.predict(data.test["x"]), atol=1e-5)


def test_lanes_of_a_jax_key_are_folds_of_it(model, data):
    key = jax.random.key(11)
    run = fit(model, data, seeds=2, key=key)
    lone = fit(model, data, key=jax.random.fold_in(key, 1))
    assert_same(lane_of(run.params, 1), lone.params)


def test_arrays_of_a_run_with_seeds_have_a_lane_axis(model, data):
    run = fit(model, data, seeds=3)
    shapes = {name: values.shape for name, values in run.metrics.items()}
    assert shapes["loss"] == (3, 12) and shapes["validation_loss"] == (3, 3) and shapes["test_loss"] == (3,)
    assert run.params["out"]["kernel"].shape == (3, 6, 3)
    assert run.predict(data.test["x"]).shape == (3, 11, 3)
    found = run.evaluate("test")["loss"]
    assert found.shape == (3,)
    assert run.stopped.tolist() == ["finished"] * 3
    np.testing.assert_array_equal(found, run.metrics["test_loss"])


def test_what_is_printed_has_mean_and_spread(model, data):
    run = fit(model, data, seeds=3)
    values = run.metrics["test_loss"]
    assert f"{values.mean():.4g} ± {values.std(ddof=1):.2g}" in repr(run)
    assert "3 seeds" in repr(run) and "±" in run._repr_html_()
    assert "±" not in repr(fit(model, data))


@pytest.mark.slow
def test_lanes_start_from_the_params_that_are_given(data):
    model = dl.models.softmax_regression(3)
    params, _ = model.init(jax.random.key(0), data.train["x"])
    run = fit(model, data, seeds=2, params=params)
    lone = fit(model, data, key=1, params=params)
    assert_same(lane_of(run.params, 1), lone.params)


def test_the_seed_before_zero_is_a_key_like_any_other(data):
    model = dl.models.softmax_regression(3)
    run = fit(model, data, seeds=2, key=-1)
    assert_same(lane_of(run.params, 0), fit(model, data, key=-1).params)


@pytest.mark.parametrize(
    ("seeds", "error"),
    [(0, ValueError), (-2, ValueError), ([], ValueError), (True, ValueError), ("ab", TypeError), ([0.5], TypeError)],
)
def test_other_seeds_are_refused(model, data, seeds, error):
    with pytest.raises(error, match="seeds: expected"):
        fit(model, data, seeds=seeds)


@pytest.mark.slow
def test_a_lane_that_is_not_finite_stops_alone(data):
    """Only the lane of seed 1 meets the NaN, which its own batches bring."""
    first = jax.random.key_data(derive(jax.random.key(1), "data"))

    def source(key, n):
        x = jax.random.normal(jax.random.fold_in(key, n), (8, 2))
        bad = (n == 4) & (jax.random.key_data(key) == first).all()
        return {"x": jax.numpy.where(bad, jax.numpy.nan, x), "y": x[:, :1]}

    run = fit(dl.models.linear(), source, seeds=3, steps=9)
    assert run.stopped.tolist() == ["finished", "non-finite at step 4", "finished"]
    assert run.final.step.tolist() == [9, 4, 9]
    np.testing.assert_array_equal(np.isnan(run.metrics["loss"]), np.arange(9) >= np.array([[9], [4], [9]]))
    assert np.isfinite(run.params["out"]["kernel"]).all()
    clean = fit(dl.models.linear(), source, key=2, steps=9)
    assert_same(lane_of(run.params, 2), clean.params)
    assert "4 to 9 steps" in repr(run)
