"""Model, optimizer, loss and objective may be functions of hyperparameters, whose new values compile nothing."""

from __future__ import annotations

import jax
import numpy as np
import optax
import pytest

import dlcore as dl
from dlcore.train._hparams import is_builder
from tests.compiles import counting


def fit(model, data, **options):
    return dl.fit(model, data, **({"progress": False, "batch_size": 8, "steps": 10} | options))


def build_model(hparams):
    return dl.models.mlp((6,), classes=3, dropout=hparams["rate"])


def build_optimizer(hparams):
    return optax.chain(optax.clip(1.0), optax.sgd(hparams["learning_rate"]))


def build_loss(hparams):
    # Read inside the loss, not while it is built.
    return lambda predictions, targets: hparams["scale"] * dl.losses.cross_entropy(predictions, targets)


VALUES = {"rate": 0.1, "learning_rate": 0.05, "scale": 2.0}


def built(data, **changes):
    return fit(build_model, data, optimizer=build_optimizer, loss=build_loss, hparams=VALUES | changes)


def assert_close(one, other, atol=1e-6):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=atol, rtol=0), one, other)


@pytest.mark.slow
def test_functions_of_hyperparameters_train_what_they_build(data):
    fixed = fit(
        dl.models.mlp((6,), classes=3, dropout=0.1),
        data,
        optimizer=optax.chain(optax.clip(1.0), optax.sgd(0.05)),
        loss=lambda predictions, targets: 2.0 * dl.losses.cross_entropy(predictions, targets),
    )
    run = built(data)
    # A traced number and a constant are folded into neighbouring operations differently.
    assert_close((run.params, run.metrics["loss"]), (fixed.params, fixed.metrics["loss"]), atol=1e-5)
    assert {name: run.hparams[name] for name in VALUES} == VALUES


def test_new_values_trace_and_compile_nothing(data):
    before = built(data)
    with counting() as compiles:
        after = built(data, rate=0.3, learning_rate=0.01, scale=1.0)
    assert compiles.traces == compiles.lowerings == compiles.backend == 0, compiles
    assert not np.array_equal(before.metrics["loss"], after.metrics["loss"])


def test_an_objective_may_be_built_of_hyperparameters(data):
    model = dl.models.softmax_regression(3)

    def build_objective(hparams):
        def objective(params, state, batch, *, key, train, hparams):
            loss = dl.losses.cross_entropy(model.apply(params, state, batch["x"])[0], batch["y"]).mean()
            return loss, (state, {"loss": loss, "scaled": hparams["scale"] * loss})

        return objective

    run = fit(model, data, objective=build_objective, hparams={"scale": 3.0})
    np.testing.assert_allclose(run.metrics["scaled"], 3 * run.metrics["loss"], rtol=1e-6)
    np.testing.assert_allclose(run.metrics["test_scaled"], 3 * run.metrics["test_loss"], rtol=1e-6)


def test_hyperparameters_of_a_bundled_optimizer_are_known(data):
    run = fit(dl.models.softmax_regression(3), data, optimizer=dl.optim.adamw(0.01, b1=0.8))
    assert run.hparams == {"learning_rate": 0.01, "b1": 0.8, "b2": 0.999, "eps": 1e-8, "weight_decay": 1e-4}


def test_the_users_value_wins_over_the_optimizers(data):
    model = dl.models.softmax_regression(3)
    run = fit(model, data, optimizer=dl.optim.sgd(0.5), hparams={"learning_rate": 0.1})
    other = fit(model, data, optimizer=dl.optim.sgd(0.1))
    assert run.hparams["learning_rate"] == 0.1
    np.testing.assert_array_equal(run.metrics["loss"], other.metrics["loss"])


@pytest.mark.slow
def test_a_hyperparameter_may_be_read_by_a_schedule_alone(data):
    model = dl.models.softmax_regression(3)
    falling = lambda hp: optax.sgd(lambda count: hp["rate"] / (1 + count))
    run = fit(model, data, optimizer=falling, hparams={"rate": 0.5})
    other = fit(model, data, optimizer=optax.sgd(lambda count: 0.5 / (1 + count)))
    # A traced rate and a constant differ in the last bit.
    np.testing.assert_allclose(run.metrics["loss"], other.metrics["loss"], rtol=1e-5)


def test_a_misspelt_name_gets_a_suggestion(data):
    with pytest.raises(ValueError, match="nothing reads 'learning_rte'; did you mean 'learning_rate'"):
        fit(dl.models.softmax_regression(3), data, hparams={"learning_rte": 0.1})
    with pytest.raises(ValueError, match="'rate' is wanted and was not given"):
        fit(build_model, data)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rate": 1.5}, r"rate: expected the probability of dropping, in \[0, 1\), found 1.5"),
        ({"rate": -0.1}, "rate: expected the probability"),
    ],
)
def test_values_are_checked_before_anything_is_compiled(data, changes, words):
    with counting() as compiles, pytest.raises(ValueError, match=words):
        built(data, **changes)
    assert compiles.traces == compiles.backend == 0, compiles


@pytest.mark.parametrize("rate", [-0.1, 0, float("nan"), float("inf")])
def test_a_learning_rate_among_the_hyperparameters_is_checked(data, rate):
    with counting() as compiles, pytest.raises(ValueError, match="learning_rate: expected a positive number"):
        fit(dl.models.softmax_regression(3), data, optimizer=dl.optim.adam(), hparams={"learning_rate": rate})
    assert compiles.backend == 0, compiles


@pytest.mark.parametrize("value", ["0.1", True, None, np.ones(2)])
def test_what_is_no_number_is_no_hyperparameter(data, value):
    with pytest.raises(TypeError, match=r"hparams\['learning_rate'\]: expected a number"):
        fit(dl.models.softmax_regression(3), data, hparams={"learning_rate": value})


def test_what_counts_as_a_function_of_the_hyperparameters():
    assert is_builder(lambda hparams: None) and is_builder(build_model)
    assert not is_builder(dl.models.mlp()) and not is_builder(dl.optim.adam()) and not is_builder(None)
    assert not is_builder(dl.losses.cross_entropy)
    assert not is_builder(dl.models.softmax_regression)  # a factory that was not called
