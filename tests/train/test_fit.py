"""`fit` is a hand-written loop over the same batches; epochs, validation and test are what they are called."""

from __future__ import annotations

import zlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import dlcore as dl
from dlcore.data import Batches
from dlcore.train import _fleet, _loop


def fit(*args, **options):
    return dl.fit(*args, **({"progress": False, "batch_size": 8} | options))


def derive(key, name, index=0):
    return jax.random.fold_in(jax.random.fold_in(key, zlib.crc32(name.encode())), index)


def by_hand(model, data, steps, batch_size=8, seed=0):
    """The loop that somebody would write without dlcore's training room: optax, `value_and_grad`, and `for`."""
    key = jax.random.key(seed)
    arrays = data.train
    source = Batches(arrays, batch_size, len(arrays["x"]))
    params, state = model.init(derive(key, "init"), arrays["x"][:batch_size])

    def loss(params, state, batch, draw):
        logits, state = model.apply(params, state, batch["x"], key=draw, train=True)
        return optax.losses.softmax_cross_entropy_with_integer_labels(logits, batch["y"]).mean(), state

    @jax.jit
    def step(params, state, opt_state, n):
        batch, draw = source(derive(key, "data"), n), derive(key, "model", n)
        (value, state), gradient = jax.value_and_grad(loss, has_aux=True)(params, state, batch, draw)
        change, opt_state = optax.adam(1e-2).update(gradient, opt_state, params)
        return optax.apply_updates(params, change), state, opt_state, value

    opt_state, values = optax.adam(1e-2).init(params), []
    for n in range(steps):
        params, state, opt_state, value = step(params, state, opt_state, n)
        values.append(value)
    return params, state, np.array(values)


def evaluate_by_hand(model, params, state, arrays):
    logits, _ = model.apply(params, state, arrays["x"])
    losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, arrays["y"])
    return losses.mean(), (np.argmax(logits, -1) == arrays["y"]).mean()


def assert_close(one, other, atol):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=atol, rtol=0), one, other)


def assert_same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


ADAM = dl.optim.adam(1e-2)
SOFTMAX = dl.models.softmax_regression(3)  # where any model will do


def test_fit_is_a_loop_written_by_hand(model, data):
    run = fit(model, data, optimizer=ADAM, steps=50)
    params, state, values = by_hand(model, data, 50)
    # One program a step against one for all: XLA fuses them otherwise, and each of 50 steps rounds anew.
    assert_close((run.params, run.state), (params, state), atol=1e-5)
    np.testing.assert_allclose(run.metrics["loss"], values, atol=1e-5)


@pytest.mark.slow
def test_a_run_that_is_longer_than_a_chunk_is_a_loop_written_by_hand(model, data):
    whole = (data.train["x"], data.train["y"])  # without validation, so that chunks are as long as they can be
    run = fit(model, whole, optimizer=ADAM, steps=300)
    assert run.metrics["loss"].shape == (300,) and run.metrics["norm_step"].tolist() == [256, 300]
    _, _, values = by_hand(model, data, 300)
    # As above, over 300 steps; a wrong batch or draw would show as .1 at once.
    np.testing.assert_allclose(run.metrics["loss"], values, atol=2e-5)


def test_the_boundaries_of_chunks_change_no_bit(model, data, monkeypatch):
    whole = (data.train["x"], data.train["y"])
    run = fit(model, whole, optimizer=ADAM, steps=300)
    monkeypatch.setattr(_loop, "CAPACITY", 37)
    short = fit(model, whole, optimizer=ADAM, steps=300)
    assert short.metrics["norm_step"].tolist() == [*range(37, 300, 37), 300]
    assert_same((run.params, run.state, run.final.opt_state), (short.params, short.state, short.final.opt_state))
    np.testing.assert_array_equal(run.metrics["loss"], short.metrics["loss"])


def test_the_same_key_gives_the_same_bits_and_another_key_another_run(model, data):
    one, other = (fit(model, data, optimizer=ADAM, steps=20, key=key) for key in (3, jax.random.key(3)))
    assert_same((one.params, dict(one.metrics)), (other.params, dict(other.metrics)))
    assert not np.array_equal(one.metrics["loss"], fit(model, data, optimizer=ADAM, steps=20, key=4).metrics["loss"])


@pytest.mark.slow
def test_arrays_that_are_given_can_be_used_afterwards(model, data):
    x, y, key = jnp.asarray(data.train["x"]), jnp.asarray(data.train["y"]), jax.random.key(2)
    params, state = model.init(jax.random.key(1), x[:8])
    before = jax.tree.map(np.array, (params, state, x, y))
    for seeds in (None, 2):
        fit(model, (x, y), optimizer=ADAM, steps=20, params=params, state=state, key=key, seeds=seeds)
    assert_same((params, state, x, y), before)
    assert jax.random.key_data(key).tolist() == [0, 2]


def test_training_starts_from_the_params_that_are_given(data):
    model = SOFTMAX
    first = fit(model, data, optimizer=dl.optim.sgd(0.1), steps=20)
    start = {"out": {"kernel": np.full((4, 3), 2, np.float32), "bias": np.ones(3, np.float32)}}
    run = fit(model, data, optimizer=dl.optim.sgd(1e-6), steps=1, params=start)
    np.testing.assert_allclose(run.params["out"]["kernel"], 2, atol=1e-5)
    assert fit(model, data, optimizer=dl.optim.sgd(0.1), steps=5, params=first.params).metrics["loss"][0] < 1


# --- epochs, steps, batches ----------------------------------------------------------------------------------------


def batches_seen(data, steps, **options):
    """What the step is given, read back from a step that learns nothing and logs the first feature of its batch."""

    def step(carry, batch):
        rows = {f"row_{i}": batch["y"][i].astype(jnp.float32) for i in range(batch["y"].shape[0])}
        return carry.replace(step=carry.step + 1), {"loss": jnp.float32(0)} | rows

    run = fit(dl.models.linear(), data, loss=lambda p, t: 0 * (p[:, 0] + t), step=step, steps=steps, **options)
    return np.stack([run.metrics[f"row_{i}"] for i in range(options["batch_size"])], 1).astype(int)


def numbered(size):
    return np.zeros((size, 1), np.float32), np.arange(size, dtype=np.float32)


def test_an_epoch_sees_every_example_once():
    seen = batches_seen(numbered(12), 6, batch_size=4).reshape(2, 12)
    np.testing.assert_array_equal(np.sort(seen), [np.arange(12)] * 2)
    assert not np.array_equal(seen[0], seen[1])


def test_the_remainder_of_an_epoch_is_dropped():
    seen = batches_seen(numbered(14), 30, batch_size=4).reshape(10, 12)
    assert all(len(set(epoch.tolist())) == 12 for epoch in seen)
    assert set(seen.ravel().tolist()) == set(range(14))  # another remainder every epoch


def test_the_batches_are_those_of_the_source_under_the_data_key():
    x, y = numbered(12)
    seen = batches_seen((x, y), 7, batch_size=4, key=9)
    source = Batches({"x": x, "y": y}, 4, 12)
    expected = [source(derive(jax.random.key(9), "data"), n)["y"] for n in range(7)]
    np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize(("length", "steps"), [({"epochs": 3}, 15), ({"steps": 7}, 7), ({"epochs": 0.5}, 2), ({}, 100)])
def test_a_run_is_as_long_as_it_was_told(model, data, length, steps):
    run = fit(model, data, optimizer=ADAM, **length)  # 40 examples in batches of 8: 5 steps an epoch; 20 epochs
    assert run.final.step == steps and len(run.metrics["loss"]) == steps and run.stopped == "finished"


# --- validation and test -------------------------------------------------------------------------------------------


def test_validation_is_measured_after_every_epoch_and_at_the_end(model, data):
    run = fit(model, data, optimizer=ADAM, steps=17)
    assert run.metrics["validation_step"].tolist() == [5, 10, 15, 17]
    for at, loss, accuracy in zip(
        run.metrics["validation_step"],
        run.metrics["validation_loss"],
        run.metrics["validation_accuracy"],
        strict=True,
    ):
        # The validation split has 13 examples: the second batch of 8 is padded, and the padding must not count.
        there = fit(model, data, optimizer=ADAM, steps=int(at))
        expected = evaluate_by_hand(model, there.params, there.state, data.validation)
        np.testing.assert_allclose((loss, accuracy), expected, rtol=1e-5)


@pytest.mark.slow
def test_the_test_split_is_measured_once_at_the_end(model, data, monkeypatch):
    ranges = []
    measure = _fleet.Fleet.measure

    def watched(self, weights, active, arrays, start, size):
        ranges.append((start, size))
        return measure(self, weights, active, arrays, start, size)

    monkeypatch.setattr(_fleet.Fleet, "measure", watched)
    run = fit(model, data, optimizer=ADAM, epochs=3)
    assert ranges == [(40, 13)] * 3 + [(53, 11)]
    expected = evaluate_by_hand(model, run.params, run.state, data.test)
    np.testing.assert_allclose((run.metrics["test_loss"], run.metrics["test_accuracy"]), expected, rtol=1e-5)


def test_evaluating_changes_no_bit_of_the_training(model, data):
    watched = fit(model, data, optimizer=ADAM, steps=20)
    alone = fit(model, (data.train["x"], data.train["y"]), optimizer=ADAM, steps=20)
    assert_same(watched.params, alone.params)
    assert not any(name.startswith(("validation", "test")) for name in alone.metrics)


@pytest.mark.slow
def test_plain_numbers_of_an_objective_are_averaged_over_the_validation_split(data):
    model = dl.models.softmax_regression(3)

    def objective(params, state, batch, *, key, train, hparams):
        logits, state = model.apply(params, state, batch["x"], key=key, train=train)
        loss = dl.losses.cross_entropy(logits, batch["y"]).mean()
        return loss, (state, {"loss": loss})

    splits: dict[str, Any] = {
        name: {k: v[:10] for k, v in data.splits[name].items()} for name in ("validation", "test")
    }
    even = dl.data.Dataset("even", data.train, **splits, task="classification", classes=data.classes)
    run = fit(model, even, objective=objective, optimizer=ADAM, steps=5, batch_size=5)
    expected, _ = evaluate_by_hand(model, run.params, run.state, even.test)
    np.testing.assert_allclose(run.metrics["test_loss"], expected, rtol=1e-5)


# --- what is logged ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_learning_rate_is_logged_where_it_is_known(data):
    constant = fit(SOFTMAX, data, optimizer=ADAM, steps=5).metrics["learning_rate"]
    np.testing.assert_array_equal(constant, np.full(5, 1e-2, np.float32))
    schedule = optax.cosine_decay_schedule(0.1, 5)
    logged = fit(SOFTMAX, data, optimizer=dl.optim.adam(schedule), steps=5).metrics["learning_rate"]
    np.testing.assert_allclose(logged, np.array([schedule(n) for n in range(5)]), rtol=1e-6)
    assert "learning_rate" not in fit(SOFTMAX, data, optimizer=optax.adam(1e-2), steps=5).metrics


@pytest.mark.slow
def test_a_schedule_of_ones_own_may_branch_on_the_step(data):
    def schedule(step):
        return jax.lax.cond(step < 3, lambda: 0.1, lambda: 0.01)

    logged = fit(SOFTMAX, data, optimizer=dl.optim.sgd(schedule), steps=5).metrics["learning_rate"]
    np.testing.assert_allclose(logged, [0.1, 0.1, 0.1, 0.01, 0.01])


def test_loss_and_metrics_are_logged_at_every_step_and_the_norms_at_the_end_of_chunks(model, data):
    metrics = fit(model, data, optimizer=ADAM, steps=12).metrics
    assert metrics["loss"].shape == metrics["accuracy"].shape == (12,)
    assert metrics["norm_step"].tolist() == [5, 10, 12]
    assert all(np.all(metrics[name] > 0) for name in ("gradient_norm", "update_norm", "params_norm"))
    np.testing.assert_allclose(metrics["accuracy"] * 8, np.round(metrics["accuracy"] * 8), atol=1e-6)


# --- 64 bits -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_fit_works_where_jax_runs_in_64_bits(data):
    # Without dropout, which would draw other numbers in 64 bits.
    plain = fit(SOFTMAX, data, optimizer=ADAM, steps=6)
    with jax.enable_x64(True):
        run = fit(SOFTMAX, data, optimizer=ADAM, steps=6, patience=5)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(run.params))
    np.testing.assert_allclose(run.metrics["loss"], plain.metrics["loss"], atol=1e-6)
