"""`make_run` is `fit` as a pure function: the same params, under jit, vmap and grad."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dlcore as dl

ADAM = dl.optim.adam(1e-2)
OPTIONS = {"optimizer": ADAM, "steps": 20, "batch_size": 8}


def assert_close(one, other, atol):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=atol, rtol=0), one, other)


@pytest.fixture(scope="module")
def run(model, data):
    return jax.jit(dl.make_run(model, data, **OPTIONS))


def test_it_trains_what_fit_trains(run, model, data):
    fitted = dl.fit(model, data, key=3, progress=False, **OPTIONS)
    result = run(jax.random.key(3))
    # fit's loop ends on a traced condition and this one after 20 steps: XLA fuses the two bodies differently.
    assert_close((result.params, result.state), (fitted.params, fitted.state), atol=1e-5)
    for name in ("loss", "accuracy"):
        np.testing.assert_allclose(result.metrics[name], fitted.metrics[name], atol=1e-5)
    assert result.metrics["finite"].all() and set(result.metrics) == {"loss", "accuracy", "finite"}


def test_it_is_a_function_of_the_key(run):
    jax.tree.map(np.testing.assert_array_equal, run(jax.random.key(3)), run(jax.random.key(3)))
    assert not np.array_equal(run(jax.random.key(3)).metrics["loss"], run(jax.random.key(4)).metrics["loss"])


@pytest.mark.slow
def test_it_runs_side_by_side_for_keys_and_learning_rates(data):
    train = dl.make_run(dl.models.softmax_regression(3), data, **OPTIONS)
    rates, keys = jnp.array([1e-3, 1e-2, 1e-1]), jax.vmap(jax.random.key)(jnp.arange(3))
    lanes = jax.jit(jax.vmap(lambda key, rate: train(key, {"learning_rate": rate})))(keys, rates)
    assert lanes.metrics["loss"].shape == (3, 20)
    lone = jax.jit(train)(jax.random.key(2), {"learning_rate": 1e-1})
    # Batched products add in another order: one rounding a step, over 20 of them.
    np.testing.assert_allclose(lanes.metrics["loss"][2], lone.metrics["loss"], atol=1e-5)


@pytest.mark.slow
def test_the_gradient_by_the_learning_rate_agrees_with_finite_differences():
    # Everything is smooth here, and in float64: the difference quotient is good to eight digits.
    with jax.enable_x64(True):
        random = np.random.default_rng(0)
        x = jnp.asarray(random.normal(size=(16, 3)))
        y = jnp.sin(x.sum(1, keepdims=True))

        def source(key, n):
            rows = jax.random.randint(jax.random.fold_in(key, n), (8,), 0, 16)
            return {"x": x[rows], "y": y[rows]}

        model = dl.models.mlp((4,), classes=1, activation=jnp.tanh)
        train = dl.make_run(model, source, steps=12, optimizer=dl.optim.adam())

        @jax.jit
        def final_loss(rate):
            params = train(jax.random.key(0), {"learning_rate": rate}).params
            return jnp.square(model.apply(params, {}, x)[0] - y).mean()

        rate, step = 2.0**-5, 2.0**-14  # exact in float32, which hyperparameters are
        slope = float(jax.jit(jax.grad(final_loss))(rate))
        quotient = float((final_loss(rate + step) - final_loss(rate - step)) / (2 * step))
    assert abs(slope) > 1e-2
    np.testing.assert_allclose(slope, quotient, rtol=1e-5)  # the step's square, times a third derivative


def test_nothing_changes_any_more_after_a_step_that_is_not_finite():
    def source(key, n):
        x = jax.random.normal(jax.random.fold_in(key, n), (4, 2))
        return {"x": jnp.where(n == 3, jnp.nan, x), "y": x[:, :1]}

    result = jax.jit(dl.make_run(dl.models.linear(), source, steps=8, optimizer=ADAM))(jax.random.key(0))
    np.testing.assert_array_equal(result.metrics["finite"], np.arange(8) < 3)
    before = jax.jit(dl.make_run(dl.models.linear(), source, steps=3, optimizer=ADAM))(jax.random.key(0))
    assert_close(result.params, before.params, atol=1e-7)


def test_unknown_hyperparameters_are_named(run):
    with pytest.raises(ValueError, match="'learning_rte'"):
        run(jax.random.key(0), {"learning_rte": 0.1})


def test_an_iterator_is_no_pure_function():
    batches = iter([(np.zeros((2, 1), np.float32), np.zeros((2, 1), np.float32))])
    with pytest.raises(TypeError, match="not a pure function"):
        dl.make_run(dl.models.linear(), batches)
