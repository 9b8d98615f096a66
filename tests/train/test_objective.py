"""The ordinary objective sums under a mask; the ordinary step is jax.grad of the mean, and optax's update."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dlcore import layers, losses, metrics, optim
from dlcore.compose import derive
from dlcore.train import TrainState, gradient_step, supervised
from dlcore.train._chunk import all_finite, take, take_guarded

RANDOM = np.random.default_rng(0)
MODEL = layers.serial(hidden=layers.dense(5), relu=layers.relu(), out=layers.dense(3))
BATCH = {"x": RANDOM.normal(size=(8, 4)).astype(np.float32), "y": np.arange(8) % 3}
PARAMS, _ = MODEL.init(jax.random.key(0), BATCH["x"])
OBJECTIVE = supervised(MODEL, losses.cross_entropy, (metrics.accuracy,))
MASK = np.array([1, 1, 0, 1, 0, 1, 1, 0], np.float32)

close = functools.partial(jax.tree.map, functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6))
equal = functools.partial(jax.tree.map, np.testing.assert_array_equal)


def measure(batch, objective=OBJECTIVE, params=PARAMS):
    return objective(params, {}, batch, key=None, train=False, hparams={})


def start(optimizer, params=PARAMS, state=None) -> Any:
    return TrainState(jnp.int32(0), params, state or {}, optimizer.init(params), jax.random.key(3), {})


def mean_loss(params, batch=BATCH):
    """Written without anything of the training room."""
    logits = jax.nn.relu(batch["x"] @ params["hidden"]["kernel"] + params["hidden"]["bias"])
    logits = logits @ params["out"]["kernel"] + params["out"]["bias"]
    return optax.losses.softmax_cross_entropy_with_integer_labels(logits, jnp.asarray(batch["y"])).mean()


def test_loss_and_metrics_are_pairs_of_sum_and_weight():
    (total, weight), (_, pairs) = measure(BATCH)
    assert weight == 8 and set(pairs) == {"loss", "accuracy"}
    np.testing.assert_allclose(total / weight, mean_loss(PARAMS), rtol=1e-6)
    assert pairs["accuracy"][1] == 8 and 0 <= pairs["accuracy"][0] <= 8


@pytest.mark.slow
def test_a_masked_batch_measures_what_the_smaller_batch_does():
    rows = MASK > 0
    smaller = {name: array[rows] for name, array in BATCH.items()}
    close(measure(BATCH | {"mask": MASK})[1][1], measure(smaller)[1][1])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_masked_may_be_no_number_at_all(bad):
    x = np.where(MASK[:, None] > 0, BATCH["x"], bad).astype(np.float32)
    close(measure({"x": x, "y": BATCH["y"], "mask": MASK})[1][1], measure(BATCH | {"mask": MASK})[1][1])


def test_a_batch_that_is_masked_whole_weighs_nothing():
    (total, weight), _ = measure(BATCH | {"mask": np.zeros(8, np.float32)})
    assert total == 0 and weight == 0


@pytest.mark.slow
def test_a_mask_of_examples_masks_all_their_positions():
    model = layers.dense(3)
    x = RANDOM.normal(size=(4, 5, 2)).astype(np.float32)
    params, _ = model.init(jax.random.key(0), x)
    objective = supervised(model, losses.cross_entropy)
    batch = {"x": x, "y": np.zeros((4, 5), int), "mask": np.array([1, 0, 1, 0], np.float32)}
    total, weight = measure(batch, objective, params)[0]
    kept = {name: array[::2] for name, array in batch.items() if name != "mask"}
    assert weight == 10
    np.testing.assert_allclose(total, measure(kept, objective, params)[0][0], rtol=1e-6)


def test_metrics_go_by_the_names_that_a_dict_gives_them():
    objective = supervised(MODEL, losses.cross_entropy, {"right": metrics.accuracy, "nats": losses.cross_entropy})
    pairs = measure(BATCH, objective)[1][1]
    assert list(pairs) == ["loss", "right", "nats"]
    equal(pairs["nats"], pairs["loss"])


def test_the_gradient_is_that_of_the_mean_loss():
    # A rate of one turns the update into the gradient.
    after, _ = jax.jit(gradient_step(OBJECTIVE, optax.sgd(1.0)))(start(optax.sgd(1.0)), BATCH)
    close(jax.tree.map(jnp.subtract, PARAMS, after.params), jax.grad(mean_loss)(PARAMS))


@pytest.mark.slow
def test_the_gradient_of_a_masked_batch_is_that_of_the_smaller_batch():
    step = jax.jit(gradient_step(OBJECTIVE, optax.sgd(1.0)))
    masked = step(start(optax.sgd(1.0)), BATCH | {"mask": MASK})[0].params
    smaller = {name: array[MASK > 0] for name, array in BATCH.items()}
    close(jax.tree.map(jnp.subtract, PARAMS, masked), jax.grad(mean_loss)(PARAMS, smaller))


def test_the_step_makes_the_optimizers_update():
    optimizer = optax.adam(0.1)
    after, measured = jax.jit(gradient_step(OBJECTIVE, optimizer))(start(optimizer), BATCH)
    change, opt_state = optimizer.update(jax.grad(mean_loss)(PARAMS), optimizer.init(PARAMS), PARAMS)
    close(after.params, optax.apply_updates(PARAMS, change))
    close(after.opt_state, opt_state)
    assert after.step == 1 and set(measured) == {"loss", "accuracy", "gradient"}


@pytest.mark.slow
def test_the_step_draws_from_key_and_step_number():
    model = layers.serial(drop=layers.dropout(0.5), out=layers.dense(1))
    batch = {"x": np.ones((4, 6), np.float32), "y": np.zeros((4, 1), np.float32)}
    params, _ = model.init(jax.random.key(0), batch["x"])
    carry = start(optax.sgd(0.1), params)
    measured = gradient_step(supervised(model, losses.mse), optax.sgd(0.1))(carry.replace(step=jnp.int32(7)), batch)[1]
    key = derive(jax.random.key(3), "model", 7)
    expected = jnp.square(model.apply(params, {}, batch["x"], key=key, train=True)[0]).sum()
    np.testing.assert_allclose(measured["loss"][0], expected, rtol=1e-6)


def test_the_step_hands_out_the_gradient_of_the_mean_loss():
    optimizer = optim.sgd(0.5)
    _, measured = jax.jit(gradient_step(OBJECTIVE, optimizer))(start(optimizer), BATCH)
    close(measured["gradient"], jax.grad(mean_loss)(PARAMS))
    equal({name: measured[name] for name in ("loss", "accuracy")}, jax.jit(measure)(BATCH)[1][1])


def test_an_objective_may_give_plain_numbers():
    def objective(params, state, batch, *, key, train, hparams):
        loss = mean_loss(params, batch)
        return loss, (state, {"loss": loss, "twice": 2 * loss})

    optimizer = optim.sgd(0.1)
    ours, measured = jax.jit(gradient_step(objective, optimizer))(start(optimizer), BATCH)
    pairs, _ = jax.jit(gradient_step(OBJECTIVE, optimizer))(start(optimizer), BATCH)
    close(ours.params, pairs.params)
    np.testing.assert_allclose(measured["twice"], 2 * mean_loss(PARAMS), rtol=1e-6)


# --- what is not finite --------------------------------------------------------------------------------------------


def nan_batch():
    x = BATCH["x"].copy()
    x[2, 1] = np.nan
    return BATCH | {"x": x}


def gradient_that_overflows(params, state, batch, *, key, train, hparams):
    loss = jnp.sqrt(params["out"]["bias"].sum())  # 0, where its slope is infinite
    return loss, (state, {"loss": loss})


def zero_loss(params, state, batch, *, key, train, hparams):
    loss = 0 * mean_loss(params)
    return loss, (state, {"loss": loss})


def state_that_overflows(params, state, batch, *, key, train, hparams):
    loss = mean_loss(params, batch)
    return loss, ({"seen": state["seen"] * 1e30}, {"loss": loss})


def square_that_overflows(params, state, batch, *, key, train, hparams):
    loss = 1e25 * params["out"]["bias"].sum()  # its slope is a number; Adam's mean of squares is not
    return loss, (state, {"loss": loss})


NOT_FINITE = pytest.mark.parametrize(
    ("objective", "optimizer", "batch"),
    [
        (OBJECTIVE, optax.adam(0.1), nan_batch()),
        (gradient_that_overflows, optax.adam(0.1), BATCH),
        (OBJECTIVE, optax.sgd(lambda count: 1.0 / count), BATCH),
        (zero_loss, optax.adam(0.1, eps=0.0), BATCH),
        (state_that_overflows, optax.adam(0.1), BATCH),
        (square_that_overflows, optax.adam(0.1), BATCH),
    ],
    ids=["loss", "gradient", "update: rate 1 / 0", "update: 0 / 0", "state", "state of the optimizer"],
)


def before_and_after(taking, objective, optimizer, batch):
    before = start(optimizer, state={"seen": jnp.float32(1e20)} if objective is state_that_overflows else {})
    step = gradient_step(objective, optimizer)
    return before, *jax.jit(lambda carry: taking(step, carry, batch))(before)


@pytest.mark.few(4)
@NOT_FINITE
def test_what_is_not_finite_updates_nothing_under_guard(objective, optimizer, batch):
    before, after, measured, _ = before_and_after(take_guarded, objective, optimizer, batch)
    assert not measured["finite"]
    key = (before.key, after.key)
    equal(before.replace(key=None), after.replace(key=None))
    assert jax.random.key_data(key[0]).tolist() == jax.random.key_data(key[1]).tolist()


@NOT_FINITE
def test_without_guard_the_update_is_made_and_only_the_loss_is_looked_at(objective, optimizer, batch):
    _, after, measured, _ = before_and_after(take, objective, optimizer, batch)
    assert after.step == 1 and measured["finite"] == np.isfinite(measured["loss"])
    assert not all_finite((after.params, after.state, after.opt_state))


@pytest.mark.parametrize("taking", [take, take_guarded])
def test_what_is_finite_is_updated(taking):
    optimizer = optax.adam(0.1)
    before, after, measured, gradient = before_and_after(taking, OBJECTIVE, optimizer, BATCH)
    assert measured["finite"] and set(measured) == {"loss", "accuracy", "finite"}
    stepped, _ = jax.jit(gradient_step(OBJECTIVE, optimizer))(before, BATCH)
    close((after.step, after.params, after.opt_state), (stepped.step, stepped.params, stepped.opt_state))
    close(gradient, jax.grad(mean_loss)(PARAMS))
