"""A batch in parts gives the update of the whole batch."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import dlcore as dl
from dlcore import layers, losses, metrics, optim
from dlcore.compose import derive
from dlcore.train import LossScale, TrainState, gradient_step, supervised
from dlcore.train._accumulate import cut_rows
from dlcore.train._setup import prepare

ROWS, PARTS = 16, 4
MODEL = layers.serial(hidden=layers.dense(8), tanh=jnp.tanh, out=layers.dense(3))
OBJECTIVE = supervised(MODEL, losses.cross_entropy, (metrics.accuracy,))
CLIPPED = optim.chain(optim.clip_by_norm(0.5), optim.adam(0.01))

close = functools.partial(jax.tree.map, functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5))


def make_batch(masked=True) -> Any:
    random = np.random.default_rng(0)
    x = random.normal(size=(ROWS, 5)).astype(np.float32)
    mask = (random.uniform(size=ROWS) < 0.6).astype(np.float32)
    mask[::PARTS] = 0  # the rows of the first part: it weighs nothing
    return {"x": x, "y": np.arange(ROWS) % 3} | ({"mask": mask} if masked else {})


BATCH = make_batch(masked=False)


@jax.tree_util.Partial
def source(key, n):
    """Batches in which other rows are masked each time."""
    x = jax.random.normal(jax.random.fold_in(key, n), (ROWS, 5))
    y = jnp.argmax(x[:, :3], 1)
    return {"x": x, "y": y, "mask": (x[:, 3] > (jnp.arange(ROWS) % PARTS - 1.5)).astype(jnp.float32)}


def start(optimizer, model=MODEL) -> Any:
    params, state = model.init(jax.random.key(0), jnp.zeros((ROWS, 5)))
    return TrainState(jnp.int32(0), params, state, optimizer.init(params), jax.random.key(3), {})


def take(accumulate, batch, optimizer=None, objective=OBJECTIVE, carry=None):
    optimizer = optimizer or optax.sgd(1.0)
    return jax.jit(gradient_step(objective, optimizer, accumulate))(carry or start(optimizer), batch)


# --- the same update -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", [optim.adam(0.01), CLIPPED], ids=["adam", "clipped"])
def test_many_steps_in_parts_are_as_many_steps_of_whole_batches(optimizer):
    def run(accumulate):
        step = gradient_step(OBJECTIVE, optimizer, accumulate)
        body = lambda carry, _: step(carry, source(jax.random.key(1), carry.step))
        return jax.jit(lambda carry: jax.lax.scan(body, carry, length=10))(start(optimizer))

    (whole, told), (parts, told_too) = run(1), run(PARTS)
    close((parts.params, told_too), (whole.params, told))
    assert np.ptp(told["loss"][1]) > 0  # other rows were masked each time


@pytest.mark.slow
def test_fit_cuts_the_batches_of_a_source():
    options: dict[str, Any] = {"steps": 10, "batch_size": ROWS, "progress": False}
    model = dl.models.softmax_regression(3)
    whole, parts = (dl.fit(model, source, accumulate=count, **options) for count in (1, PARTS))
    close(parts.params, whole.params)
    for name in ("loss", "accuracy"):
        np.testing.assert_allclose(parts.metrics[name], whole.metrics[name], rtol=1e-5)
    assert np.any(parts.metrics["loss"] != whole.metrics["loss"])  # sums in another order


@pytest.mark.few(1)
@pytest.mark.parametrize("count", [2, 16])
def test_however_many_parts_the_gradient_is_that_of_the_whole(count):
    whole, told = take(1, make_batch())
    parts, told_too = take(count, make_batch())
    close((parts.params, told_too), (whole.params, told))


def test_parts_of_equal_weight_are_what_optax_gathers():
    batch, inner = make_batch(masked=False), optax.chain(optax.clip_by_global_norm(0.5), optax.adam(0.1))
    gathering = optax.MultiSteps(inner, PARTS)
    carry = start(inner)
    params, state = carry.params, gathering.init(carry.params)

    def mean_loss(params, rows):
        logits = MODEL.apply(params, {}, jnp.asarray(batch["x"])[rows])[0]
        return optax.losses.softmax_cross_entropy_with_integer_labels(logits, jnp.asarray(batch["y"])[rows]).mean()

    @jax.jit
    def gather(params, state, rows):
        update, state = gathering.update(jax.grad(mean_loss)(params, rows), state, params)
        return optax.apply_updates(params, update), state

    for part in range(PARTS):
        params, state = gather(params, state, np.arange(part, ROWS, PARTS))
    close(take(PARTS, batch, inner)[0].params, params)


@pytest.mark.slow
def test_losses_and_metrics_that_are_numbers_weigh_as_much_as_their_rows():
    def objective(params, state, batch, *, key, train, hparams):
        values = losses.cross_entropy(MODEL.apply(params, state, batch["x"])[0], batch["y"])
        mask = batch.get("mask", jnp.ones(len(values)))
        mean = (values * mask).sum() / mask.sum()  # no number, and its slope neither, where nothing counts
        return mean, (state, {"loss": mean, "twice": 2 * mean})

    for batch in (BATCH, make_batch()):
        whole, told = take(1, batch, objective=objective)
        parts, told_too = take(PARTS, batch, objective=objective)
        assert np.ndim(told_too["loss"]) == 0
        close((parts.params, told_too), (whole.params, told))


def test_a_batch_that_is_masked_whole_changes_nothing():
    batch = make_batch() | {"mask": np.zeros(ROWS, np.float32)}
    after, told = take(PARTS, batch)
    jax.tree.map(np.testing.assert_array_equal, after.params, start(optax.sgd(1.0)).params)
    assert told["loss"] == (0, 0)


def test_the_gradient_elsewhere_that_sam_asks_for_is_that_of_the_whole_batch():
    optimizer = optim.sam(optim.sgd(1.0), radius=0.5)
    close(take(PARTS, make_batch(), optimizer)[0].params, take(1, make_batch(), optimizer)[0].params)
    assert not np.allclose(
        take(1, make_batch(), optimizer)[0].params["out"]["kernel"], take(1, make_batch())[0].params["out"]["kernel"]
    )


@pytest.mark.slow
def test_an_augmentation_sees_the_whole_batch():
    options: dict[str, Any] = {"batch_size": ROWS, "augment": dl.augment.noise(0.5), "optimizer": optax.sgd(1.0)}
    steps = [prepare(MODEL, (BATCH["x"], BATCH["y"]), accumulate=count, **options).step for count in (1, PARTS)]
    whole, parts = (jax.jit(step)(start(optax.sgd(1.0)), BATCH)[0] for step in steps)
    close(parts.params, whole.params)
    assert not np.allclose(whole.params["out"]["kernel"], take(1, BATCH)[0].params["out"]["kernel"])


# --- parts -----------------------------------------------------------------------------------------------------------


def test_row_i_goes_to_part_i_modulo_their_number():
    parts = cut_rows({"x": np.arange(12).reshape(6, 2), "rate": np.float32(0.5)}, 3)
    assert parts["x"][:, :, 0].tolist() == [[0, 6], [2, 8], [4, 10]]
    assert parts["rate"].tolist() == [0.5] * 3


def test_statistics_go_from_part_to_part():
    norm = layers.batch_norm(momentum=0.5)
    model = layers.serial(norm=norm, out=layers.dense(3))
    batch, optimizer = make_batch(masked=False), optax.sgd(0.0)
    carry = start(optimizer, model)
    after, _ = take(PARTS, batch, optimizer, supervised(model, losses.cross_entropy), carry)
    state = carry.state["norm"]
    for part in range(PARTS):
        _, state = norm.apply(carry.params["norm"], state, batch["x"][part::PARTS], train=True)
    close(after.state["norm"], state)


def test_each_part_draws_its_own_numbers():
    def objective(params, state, batch, *, key, train, hparams):
        draw = jax.random.uniform(key)
        return draw * params["out"]["bias"].sum(), (state, {"draw": draw})

    key = derive(jax.random.key(3), "model", 0)
    draws = [float(jax.random.uniform(derive(key, "part", i))) for i in range(PARTS)]
    assert len(set(draws)) == PARTS
    np.testing.assert_allclose(
        take(PARTS, make_batch(masked=False), objective=objective)[1]["draw"], np.mean(draws), 1e-6
    )


@pytest.mark.slow
def test_memory_is_that_of_a_part():
    x, y = jnp.zeros((1024, 64)), jnp.zeros((1024, 1))
    model = layers.serial(layers.dense(256), jnp.tanh, layers.dense(256), jnp.tanh, layers.dense(1))
    params, state = model.init(jax.random.key(0), x)
    carry: Any = TrainState(jnp.int32(0), params, state, (optax.EmptyState(),) * 2, jax.random.key(0), {})

    def needed(accumulate):
        step = gradient_step(supervised(model, losses.mse), optax.sgd(0.1), accumulate)
        analysis: Any = jax.jit(step).lower(carry, {"x": x, "y": y}).compile().memory_analysis()
        return analysis.temp_size_in_bytes

    assert needed(16) < needed(1) / 3


def test_a_step_that_is_not_cut_has_neither_a_loop_nor_a_check():
    def step(*how):
        objective = supervised(MODEL, losses.mse)
        batch = {"x": jnp.zeros((ROWS, 5)), "y": jnp.zeros((ROWS, 3))}
        carry = start(optax.sgd(1.0)).replace(extra=LossScale.first())
        return str(jax.make_jaxpr(gradient_step(objective, optax.sgd(1.0), *how))(carry, batch))

    assert "scan[" not in step() and "is_finite" not in step()
    assert "scan[" in step(PARTS) and "is_finite" in step(1, True)


MESH = """
import jax, jax.numpy as jnp
from dlcore import scale
from dlcore.train._accumulate import cut_rows
from dlcore.train._setup import prepare
assert len(jax.devices()) == 4
laid = scale.layout({"data": 4})
def moved(cut):
    def total(x):
        parts = cut(laid.constrain_batch({"x": x}))["x"]
        return jax.lax.scan(lambda s, part: (s + jnp.sin(part), None), jnp.zeros(parts.shape[1:]), parts)[0]
    text = jax.jit(total).lower(jnp.zeros((32, 8))).compile().as_text()
    return [word for word in ("all-to-all", "all-gather", "collective-permute") if word in text]
assert not moved(lambda batch: cut_rows(batch, 2)), moved(lambda batch: cut_rows(batch, 2))
assert moved(lambda batch: {"x": batch["x"].reshape(2, 16, 8)})
"""


@pytest.mark.slow
def test_no_row_leaves_its_device():
    paths = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    several = {"JAX_NUM_CPU_DEVICES": "4", "JAX_PLATFORMS": "cpu", "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", MESH], env=os.environ | several, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- what is refused -------------------------------------------------------------------------------------------------


def test_a_batch_that_cannot_be_cut_is_refused():
    with pytest.raises(ValueError, match="accumulate: expected a number that divides the batch of 16 rows, found 3"):
        dl.fit(MODEL, (BATCH["x"], BATCH["y"]), batch_size=16, accumulate=3)
    with pytest.raises(ValueError, match="divides the batch of 16 rows, found 5"):
        take(5, BATCH)


@pytest.mark.parametrize("accumulate", [0, -1, 2.0, True, "4", None])
def test_only_positive_whole_numbers_of_parts_are_taken(accumulate):
    with pytest.raises(ValueError, match="accumulate: expected a positive whole number of parts, found"):
        dl.fit(MODEL, (BATCH["x"], BATCH["y"]), batch_size=16, accumulate=accumulate)


def test_a_step_of_ones_own_is_not_cut():
    step = gradient_step(OBJECTIVE, optim.sgd(0.1))
    with pytest.raises(ValueError, match="accumulate: a step of your own .*step=gradient_step"):
        dl.fit(MODEL, (BATCH["x"], BATCH["y"]), step=step, batch_size=16, accumulate=2)


def test_what_cannot_run_on_a_part_is_said_before_anything_is_compiled():
    model = layers.serial(layers.batch_norm(), layers.dense(3))
    with pytest.raises(ValueError, match="batch norm in training needs two or more values"):
        prepare(model, (BATCH["x"], BATCH["y"]), batch_size=16, accumulate=16)
