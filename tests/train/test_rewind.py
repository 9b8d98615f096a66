"""A run that ceases to be finite at step N is the run of N steps, however it happened and however it is checked."""

from __future__ import annotations

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import dlcore as dl
from dlcore.compose import derive
from dlcore.train import TrainState, _loop, _rewind, gradient_step, supervised
from dlcore.train._chunk import make_chunk
from dlcore.train._hparams import as_arrays
from dlcore.train._inputs import Shapes
from tests.compiles import counting

CAPACITY, TOTAL, NEVER = 8, 20, 10**6
PLACES = {
    0: "first step",
    3: "middle",
    7: "last of a chunk",
    8: "first of the next",
    13: "middle of it",
    19: "very last",
}
ANYWHERE = pytest.mark.parametrize("at", PLACES, ids=PLACES.values())
LINE = dl.models.linear()
ADAM = dl.optim.adam(0.05)
KEYS = jnp.stack([jax.random.key_data(derive(jax.random.key(seed), "data")) for seed in range(3)])
SQUARED = supervised(LINE, dl.losses.mse)


@pytest.fixture(params=["chunk by chunk", "step by step"], autouse=True)
def checked(request, monkeypatch) -> str:
    """Small runs are checked chunk by chunk, large ones step by step; here all are large."""
    if request.param == "step by step":
        monkeypatch.setattr(_rewind, "SMALL", -1)
    monkeypatch.setattr(_loop, "CAPACITY", CAPACITY)
    return request.param


def batches(at, key, n):
    """Batches that know whether they are the bad one: `at` holds its step for each of the keys 0, 1, 2."""
    mine = jnp.where((jax.random.key_data(key) == KEYS).all(-1), at, NEVER).min()
    x = jax.random.normal(jax.random.fold_in(key, n), (4, 2))
    return {"x": x, "y": x[:, :1] + 1, "bad": n == mine, "later": n >= mine + 2}


def source_of(*at):
    return jax.tree_util.Partial(batches, np.array(at + (NEVER,) * (3 - len(at)), np.int32))


def fit(data, model=LINE, **options) -> dl.Run:
    return dl.fit(model, data, **({"progress": False, "steps": TOTAL, "batch_size": 4, "optimizer": ADAM} | options))


def run_of(steps, data, model=LINE, inputs: Any = None, **options) -> TrainState:
    """What a run of so many steps leaves; of none, what it starts with."""
    if steps:
        return fit(data, model, steps=steps, **options).final
    run = fit(data, model, steps=1, **options)
    key, shapes = jax.random.key(options.get("key", 0)), Shapes.of((jax.ShapeDtypeStruct((4, 2), jnp.float32),))
    return run.programs(None).init((key, as_arrays(run.hparams)), None, None, inputs=inputs or shapes)


def lane_of(tree, lane):
    return jax.tree.map(lambda leaf: leaf[lane], tree)


def assert_same(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        plain = [jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x for x in (a, b)]
        np.testing.assert_array_equal(plain[0], plain[1])


def assert_finite(carry):
    for leaf in jax.tree.leaves((carry.params, carry.state, carry.opt_state)):
        assert np.isfinite(leaf).all()


def assert_stopped_at(at, run, expected):
    """That the run is the run of `at` steps in every bit, and has measured those steps and no others."""
    assert run.stopped == f"non-finite at step {at}"
    assert_same(run.final, expected)
    assert_same((run.params, run.state), (expected.params, expected.state))
    assert_finite(run.final)
    assert run.final.step == at and run.metrics["loss"].shape == (at,) and np.isfinite(run.metrics["loss"]).all()


# --- the ways to go wrong --------------------------------------------------------------------------------------------
# Each is an objective on batches that know whether they are bad, and an optimizer.


def measured(params, batch, key):
    return SQUARED(params, {}, batch, key=key, train=True, hparams={})


def loss_is_nan(params, state, batch, *, key, train, hparams):
    return measured(params, batch | {"x": jnp.where(batch["bad"], jnp.nan, batch["x"])}, key)


def loss_overflows(params, state, batch, *, key, train, hparams):
    return measured(params, batch | {"y": jnp.where(batch["bad"], 1e30, batch["y"])}, key)


def gradient_is_nan(params, state, batch, *, key, train, hparams):
    (total, weight), (state, pairs) = measured(params, batch, key)
    # The square root of 0, whose slope is infinite: 0 * inf on the way back.
    length = jnp.sqrt(jnp.where(batch["bad"], 0.0, 1.0) * jnp.square(params["out"]["kernel"] + 1).sum())
    return (total + 0.01 * length, weight), (state, pairs)


def gradient_is_nan_and_nobody_reads_it(params, state, batch, *, key, train, hparams):
    """The bias goes bad, and the loss reads it again two steps later."""
    offset = jnp.sqrt(jnp.where(batch["bad"], 0.0, 1.0) * jnp.square(params["out"]["bias"] + 1).sum())
    read = jnp.where(batch["later"], params["out"]["bias"], 0)
    total = jnp.square(batch["x"] @ params["out"]["kernel"] + read - batch["y"]).sum()
    return total + offset, (state, {"loss": total})


def square_overflows(params, state, batch, *, key, train, hparams):
    """Loss and gradient are finite, and Adam's mean of squares is not: dividing by it leaves finite params."""
    (total, weight), (state, pairs) = measured(params, batch, key)
    return (total + jnp.where(batch["bad"], 1e25, 0.0) * params["out"]["bias"].sum(), weight), (state, pairs)


OBJECTIVES = [loss_is_nan, loss_overflows, gradient_is_nan, gradient_is_nan_and_nobody_reads_it, square_overflows]


@pytest.mark.few(4)
@ANYWHERE
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_run_stops_after_the_last_step_that_was_finite(objective, at):
    run = fit(source_of(at), objective=objective)
    assert_stopped_at(at, run, run_of(at, source_of(at), objective=objective))


@pytest.mark.few(1)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_run_that_stays_finite_ends(objective):
    run = fit(source_of(NEVER), objective=objective)
    assert run.stopped == "finished" and run.final.step == TOTAL
    assert_finite(run.final)


def rate_divides_by_zero(hparams):
    return optax.sgd(lambda count: 0.1 / (hparams["at"] - count))


def rate_overflows(hparams):
    """Every factor is a number, and their product is not."""
    spike = optax.scale_by_schedule(lambda count: jnp.where(count == hparams["at"], 1e38, 1.0))
    return optax.chain(optax.sgd(0.1), spike, optax.scale(1e10), spike, optax.scale(1e-10))


def update_is_infinite(hparams):
    def update(updates, state, params=None):
        return jax.tree.map(lambda g: jnp.where(state == hparams["at"], jnp.inf, -0.1 * g), updates), state + 1

    return optax.GradientTransformation(lambda params: jnp.int32(0), update)


def state_is_infinite(hparams):
    """An optimizer that adds up what it has divided by, and whose params stay finite."""

    def update(updates, state, params=None):
        count, total = state
        return jax.tree.map(lambda g: -0.1 * g, updates), (count + 1, total + 1 / (hparams["at"] - count))

    return optax.GradientTransformation(lambda params: (jnp.float32(0), jnp.float32(0)), update)


@pytest.mark.few(1)
@ANYWHERE
@pytest.mark.parametrize("optimizer", [rate_divides_by_zero, rate_overflows, update_is_infinite, state_is_infinite])
def test_an_update_that_is_not_finite_is_taken_back(optimizer, at):
    options: dict[str, Any] = {"optimizer": optimizer, "hparams": {"at": float(at)}, "objective": loss_is_nan}
    run = fit(source_of(), **options)
    # The loss of the step itself was still finite, and does not count.
    assert_stopped_at(at, run, run_of(at, source_of(), **options))


def test_a_gradient_that_the_optimizer_repairs_stops_nothing():
    optimizer = optax.chain(optax.zero_nans(), optax.sgd(0.1))
    run = fit(source_of(CAPACITY - 1), objective=gradient_is_nan, optimizer=optimizer)
    assert run.stopped == "finished" and run.final.step == TOTAL
    np.testing.assert_array_equal(run.metrics["norm_step"], [8, 16, 20])
    np.testing.assert_array_equal(np.isfinite(run.metrics["gradient_norm"]), [False, True, True])
    assert np.isfinite(run.metrics["update_norm"]).all()


TABLE = dl.serial(table=dl.layers.embed(4, 3), out=dl.dense(1))


def words(at, key, n):
    return {"x": jnp.where(n < at + 6, jnp.array([0, 1, 2]), jnp.array([0, 1, 3])), "bad": n == at}


def row_goes_bad(params, state, batch, *, key, train, hparams):
    outputs, state = TABLE.apply(params, state, batch["x"], key=key, train=train)
    row = jnp.sqrt(jnp.where(batch["bad"], 0.0, 1.0) * jnp.square(params["table"]["embedding"][3] + 1).sum())
    loss = jnp.square(outputs - 1).mean()
    return loss + 0.01 * row, (state, {"loss": loss})


@pytest.mark.few(1)
@ANYWHERE
def test_a_row_of_an_embedding_goes_bad_long_before_it_is_looked_up(at):
    source = jax.tree_util.Partial(words, np.int32(at))
    options: dict[str, Any] = {"model": TABLE, "objective": row_goes_bad}
    # Only that row is bad, and the loss of the next six steps does not see it.
    inputs = Shapes.of((jax.ShapeDtypeStruct((3,), jnp.int32),))
    assert_stopped_at(at, fit(source, **options), run_of(at, source, inputs=inputs, **options))


@pytest.mark.parametrize("at", [254, 255, 256, 300])
def test_the_place_is_found_in_chunks_of_full_length(monkeypatch, at):
    monkeypatch.setattr(_loop, "CAPACITY", 256)
    run = fit(source_of(at), objective=gradient_is_nan, steps=600)
    assert_stopped_at(at, run, run_of(at, source_of(at), objective=gradient_is_nan))


def test_params_that_are_not_finite_from_the_start_take_no_step(checked):
    params = {"out": {"kernel": jnp.zeros((2, 1)), "bias": jnp.full(1, jnp.nan)}}
    run = fit(source_of(), objective=gradient_is_nan_and_nobody_reads_it, params=params)
    assert run.stopped == "non-finite at step 0" and run.final.step == 0
    assert_same(run.params, params)


def test_norms_are_those_of_the_chunks_that_were_whole():
    run = fit(source_of(13), objective=gradient_is_nan)
    clean = fit(source_of(NEVER), objective=gradient_is_nan)
    assert run.metrics["norm_step"].tolist() == [8, 13] and clean.metrics["norm_step"].tolist() == [8, 16, 20]
    for name in ("gradient_norm", "update_norm", "params_norm"):
        assert run.metrics[name][0] == clean.metrics[name][0] and np.isnan(run.metrics[name][1])


# --- lanes -----------------------------------------------------------------------------------------------------------


@pytest.mark.few(1)
@ANYWHERE
@pytest.mark.parametrize("objective", [loss_is_nan, gradient_is_nan_and_nobody_reads_it])
def test_a_lane_that_fails_is_alone(objective, at):
    run = fit(source_of(NEVER, at), objective=objective, seeds=3)
    without = fit(source_of(), objective=objective, seeds=[0, 2])
    assert run.stopped.tolist() == ["finished", f"non-finite at step {at}", "finished"]
    assert run.final.step.tolist() == [TOTAL, at, TOTAL]
    for lane, own in ((0, 0), (2, 1)):
        assert_same(lane_of(run.final, lane), lane_of(without.final, own))
        for name in ("loss", "gradient_norm", "update_norm", "params_norm"):
            np.testing.assert_array_equal(run.metrics[name][lane], without.metrics[name][own], err_msg=name)
    lone = fit(source_of(NEVER, at), objective=objective, key=1)
    assert_same(lane_of(run.final, 1), lone.final)
    assert_same(lone.final, run_of(at, source_of(NEVER, at), objective=objective, key=1))
    assert_finite(run.final)
    np.testing.assert_array_equal(run.metrics["loss"][1, :at], lone.metrics["loss"])
    np.testing.assert_array_equal(np.isnan(run.metrics["loss"]), np.arange(TOTAL) >= np.array([[TOTAL], [at], [TOTAL]]))


@pytest.mark.slow
@pytest.mark.parametrize("at", [(3, 5, 3), (7, 8, NEVER), (8, 0, 7), (2, 13, 19), (13, 13, 13)])
def test_lanes_fail_each_in_its_own_place(at):
    run = fit(source_of(*at), objective=gradient_is_nan, seeds=3)
    for seed, own in enumerate(at):
        lone = fit(source_of(*at), objective=gradient_is_nan, key=seed)
        assert_same(lane_of(run.final, seed), lone.final)
        assert run.stopped[seed] == lone.stopped == ("finished" if own == NEVER else f"non-finite at step {own}")
        done = min(own, TOTAL)
        np.testing.assert_array_equal(run.metrics["loss"][seed, :done], lone.metrics["loss"])
        assert np.isnan(run.metrics["loss"][seed, done:]).all()
    assert_finite(run.final)


@pytest.mark.slow
@pytest.mark.parametrize("at", [0, 7, 8, 13])
def test_a_lane_that_fails_side_by_side_with_others_is_alone(at):
    run = fit(source_of(NEVER, at), objective=gradient_is_nan, seeds=3, lanes="vmap")
    clean = fit(source_of(), objective=gradient_is_nan, seeds=3, lanes="vmap")
    assert run.lanes == "vmap" and run.final.step.tolist() == [TOTAL, at, TOTAL]
    for lane in (0, 2):
        assert_same(lane_of(run.final, lane), lane_of(clean.final, lane))
        np.testing.assert_array_equal(run.metrics["loss"][lane], clean.metrics["loss"][lane])
    if at:
        shorter = fit(source_of(), objective=gradient_is_nan, seeds=3, steps=at, lanes="vmap")
        assert_same(lane_of(run.final, 1), lane_of(shorter.final, 1))
    np.testing.assert_array_equal(run.metrics["loss"][1, :at], clean.metrics["loss"][1, :at])
    assert_finite(run.final)


# --- with the other parts of a run -----------------------------------------------------------------------------------


def evaluations(run):
    """The evaluations that were made, as pairs of step and loss."""
    if "validation_loss" not in run.metrics:
        return []
    known = np.isfinite(run.metrics["validation_loss"])
    return list(zip(run.metrics["validation_step"][known], run.metrics["validation_loss"][known], strict=True))


@pytest.mark.few(1)
@pytest.mark.parametrize("at", [1, 4, 5, 8, 10])
def test_validation_is_measured_up_to_the_step(model, data, at):
    options: dict[str, Any] = {"optimizer": rate_divides_by_zero, "hparams": {"at": float(at)}, "batch_size": 8}
    run, whole = (fit(data, model, steps=steps, **options) for steps in (TOTAL, at))
    assert_stopped_at(at, run, whole.final)
    # Five steps an epoch; a run of `at` steps is measured at its end too.
    assert [step for step, _ in evaluations(run)] == list(range(5, at + 1, 5))
    assert evaluations(run) == [pair for pair in evaluations(whole) if pair[0] % 5 == 0]
    assert run.metrics["test_loss"] == whole.metrics["test_loss"]


@pytest.mark.few(1)
@pytest.mark.parametrize("at", [1, 4, 5, 12, 15])
def test_patience_takes_the_best_weights_from_before_the_step(model, data, at):
    options: dict[str, Any] = {"optimizer": rate_divides_by_zero, "hparams": {"at": float(at)}, "batch_size": 8}
    run = fit(data, model, patience=9, **options)
    assert run.stopped == f"non-finite at step {at}" and run.metrics["loss"].shape == (at,)
    assert_same(run.final, fit(data, model, steps=at, **options).final)
    best = min(evaluations(run), key=lambda pair: pair[1])[0] if at >= 5 else at
    there = fit(data, model, steps=int(best), **options)
    assert_same((run.params, run.state), (there.params, there.state))
    assert_finite(run.final)


@pytest.mark.slow
@pytest.mark.parametrize("patience", [None, 9])
def test_lanes_with_validation_fail_as_they_do_alone(data, patience):
    """The rate goes through the roof in all lanes, and what is too much for one depends on its batches."""
    model = dl.models.softmax_regression(3)
    rate = dl.optim.sgd(optax.exponential_decay(1e36, 1, 2.0))
    options: dict[str, Any] = {"optimizer": rate, "batch_size": 8, "patience": patience}
    run = fit(data, model, seeds=4, **options)
    for seed in range(4):
        lone = fit(data, model, key=seed, **options)
        assert run.stopped[seed] == lone.stopped and "non-finite" in lone.stopped
        assert_same(lane_of((run.params, run.state, run.final), seed), (lone.params, lone.state, lone.final))
        count = len(lone.metrics["loss"])
        np.testing.assert_array_equal(run.metrics["loss"][seed, :count], lone.metrics["loss"])
    assert_finite(run.final)


def host_batches(count, poison=None):
    random = np.random.default_rng(0)
    for n in range(count):
        x = random.normal(size=(4, 2)).astype(np.float32)
        yield np.where(n == poison, np.float32(np.nan), x), x[:, :1]


@pytest.mark.few(1)
@pytest.mark.parametrize("seeds", [None, 2])
@pytest.mark.parametrize("at", [0, 3, 31, 32, 40])
def test_a_run_on_an_iterator_goes_back_to_the_step(monkeypatch, at, seeds):
    monkeypatch.setattr(_loop, "CAPACITY", 256)  # an iterator's chunks are of 32
    taken = itertools.count()
    batches = ((batch, next(taken))[0] for batch in host_batches(100, at))
    run = fit(batches, steps=None, seeds=seeds, prefetch=0)
    assert np.all(run.stopped == f"non-finite at step {at}") and np.all(run.final.step == at)
    assert run.metrics["loss"].shape[-1] == at and np.isfinite(run.metrics["loss"]).all()
    assert next(taken) == 32 * (at // 32 + 1)  # and nothing was read that could not be used
    if at:
        clean = fit(host_batches(at), steps=None, seeds=seeds)
        assert_same(run.final, clean.final)
    else:
        assert not np.any(run.params["out"]["kernel"])
    assert_finite(run.final)


def own_step(carry, batch):
    """No gradient and no optax: a rule of its own, with params that go bad while the measured number does not."""
    moved = jax.tree.map(lambda leaf: leaf + batch["x"].mean(), carry.params)
    scale = jnp.where(batch["bad"], jnp.inf, 0.5)
    params = jax.tree.map(lambda leaf: leaf * scale, moved)
    return carry.replace(step=carry.step + 1, params=params, state={}), {"loss": batch["x"].mean()}


def own_loss(carry, batch):
    """Takes up what `gradient_step` does, and measures another thing."""
    after, _ = gradient_step(loss_is_nan, optax.sgd(0.1))(carry, batch)
    length = jnp.square(after.params["out"]["kernel"]).sum()
    return after, {"length": (length, jnp.float32(2)), "bias": after.params["out"]["bias"].sum()}


@pytest.mark.few(2)
@ANYWHERE
@pytest.mark.parametrize("step", [own_step, own_loss])
def test_a_step_of_ones_own_is_taken_back(step, at):
    run = fit(source_of(at), step=step)
    expected = run_of(at, source_of(at), step=step)
    assert run.stopped == f"non-finite at step {at}" and run.final.step == at
    assert_same(run.final, expected)
    assert_finite(run.final)
    names = ("loss",) if step is own_step else ("length", "bias")
    assert all(run.metrics[name].shape == (at,) and np.isfinite(run.metrics[name]).all() for name in names)


# --- how the place is found ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"seeds": 3}])
def test_going_back_compiles_nothing(options):
    fit(source_of(), objective=gradient_is_nan, **options)
    for at in (3, 8, 13):
        with counting() as compiles:
            run = fit(source_of(NEVER if options else at, at), objective=gradient_is_nan, **options)
        assert f"non-finite at step {at}" in run.stopped
        assert compiles.lowerings == compiles.backend == 0, compiles
        assert set(compiles.names["traced"]) <= {"batches"}, compiles  # its shapes, as for every source


@pytest.mark.parametrize("at", [0, 1, 100, 254, 255])
def test_the_step_is_found_by_bisection_and_what_was_kept_stays(checked, at):
    if checked == "step by step":
        return  # `rewind` is not for runs that are checked so
    chunk = jax.jit(make_chunk(gradient_step(gradient_is_nan, optax.sgd(0.1)), 256, False), donate_argnums=0)
    params, _ = LINE.init(jax.random.key(0), jnp.zeros((4, 2)))
    kept = TrainState(jnp.int32(0), params, {}, optax.sgd(0.1).init(params), jax.random.key(0), {})
    before, calls = jax.tree.map(np.array, kept.params), []

    def run(carry, k):
        carry, log = chunk(carry, np.int32(k[0]), source_of(at))
        return carry, jax.tree.map(lambda leaf: np.asarray(leaf)[None], log)

    def counted(carry, k):
        calls.append(int(k[0]))
        return run(carry, k)

    k = np.array([256])
    log = run(_rewind.keep(kept), k)[1]
    assert not log.finite[0]
    carry, found = _rewind.rewind(counted, kept, k, log)
    assert carry.step == found.done[0] == at and not found.finite[0]
    assert len(calls) <= math.log2(256) + 2
    assert_same(kept.params, before)
    assert_same(carry, run(_rewind.keep(kept), np.array([at]))[0])


def test_only_runs_with_few_numbers_are_checked_chunk_by_chunk(monkeypatch):
    params = {"kernel": jnp.zeros((8, 8))}
    carry = TrainState(jnp.int32(0), params, {"mean": jnp.zeros(4)}, params, jax.random.key(0), {})
    for limit, small in ((2 * 256 + 16, True), (2 * 256 + 15, False)):  # bytes
        monkeypatch.setattr(_rewind, "SMALL", limit)
        assert _rewind.is_small(carry) == small
