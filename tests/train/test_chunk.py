"""A chunk runs k steps in one program, stops before a step that is not finite, and eats nobody's arrays."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore import layers, losses, optim
from dlcore.compose import derive
from dlcore.train import TrainState, gradient_step, supervised
from dlcore.train._chunk import make_chunk
from dlcore.train._lanes import each_lane
from tests.compiles import counting

CAPACITY = 16
MODEL = layers.dense(2)
STEP = gradient_step(supervised(MODEL, losses.mse), optim.adam(0.1))


def batches(at, key, n):
    """Numbers, but for the batch of step `at`, which holds a NaN."""
    x = jax.random.normal(jax.random.fold_in(key, n), (4, 3))
    return {"x": jnp.where(n == at, jnp.nan, x), "y": x[:, :2]}


def poisoned(at):
    return jax.tree_util.Partial(batches, np.int32(at))


SOURCE = poisoned(-1)


def start(seed=0) -> Any:
    key = jax.random.key(seed)
    params, state = MODEL.init(key, jnp.zeros((4, 3)))
    return TrainState(jnp.int32(0), params, state, optim.adam(0.1).init(params), key, {})


@pytest.fixture(params=[False, True], ids=["unguarded", "guarded"])
def guarded(request) -> bool:
    return request.param


@functools.cache
def compiled(step, guarded):
    return jax.jit(make_chunk(step, CAPACITY, guarded))


def run(carry, source, k, guarded, step=STEP):
    return compiled(step, guarded)(carry, np.int32(k), source)


def assert_same(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        plain = [jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x for x in (a, b)]
        np.testing.assert_array_equal(plain[0], plain[1])


def lane_of(tree, lane):
    return jax.tree.map(lambda leaf: leaf[lane], tree)


def norm(tree):
    return np.linalg.norm(np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]))


def test_one_program_runs_any_number_of_steps(guarded):
    carry, amounts = start(), (2, 7, CAPACITY, 3, 0)
    run(carry, SOURCE, 1, guarded)
    with counting() as compiles:
        results = [run(carry, SOURCE, k, guarded) for k in amounts]
    for k, (after, log) in zip(amounts, results, strict=True):
        assert after.step == k == log.done and log.finite
    assert compiles.traces == compiles.lowerings == compiles.backend == 0, compiles


def test_a_chunk_runs_no_more_steps_than_it_has_room_for(guarded):
    after, log = run(start(), SOURCE, 1000, guarded)
    assert after.step == log.done == CAPACITY


def test_chunks_in_a_row_are_one_long_chunk(guarded):
    once, log = run(start(), SOURCE, 12, guarded)
    first, log_1 = run(start(), SOURCE, 5, guarded)
    second, log_2 = run(first, SOURCE, 7, guarded)
    assert_same(once, second)
    joined = np.concatenate([log_1.steps["loss"][:5], log_2.steps["loss"][:7]])
    np.testing.assert_array_equal(joined, log.steps["loss"][:12])


def test_the_guard_changes_no_step():
    bare, guarded = (run(start(), SOURCE, 12, guarded) for guarded in (False, True))
    # Two programs, which XLA fuses differently: one rounding a step.
    np.testing.assert_allclose(bare[1].steps["loss"], guarded[1].steps["loss"], atol=1e-5)
    np.testing.assert_allclose(bare[0].params["kernel"], guarded[0].params["kernel"], atol=1e-5)


def test_the_buffer_holds_the_loss_of_every_step(guarded):
    _, log = run(start(), SOURCE, 6, guarded)
    carry, expected, step = start(), [], jax.jit(STEP)
    for n in range(6):
        batch = SOURCE(derive(carry.key, "data"), n)
        predictions = batch["x"] @ carry.params["kernel"] + carry.params["bias"]
        expected.append(jnp.square(predictions - batch["y"]).mean())
        carry, _ = step(carry, batch)
    # Compiled and eager code round differently.
    np.testing.assert_allclose(log.steps["loss"][:6], expected, rtol=1e-5)
    assert not np.any(log.steps["loss"][6:])


@pytest.mark.parametrize("k", [1, 6, CAPACITY])
def test_the_norms_are_those_of_the_last_step(guarded, k):
    after, log = run(start(), SOURCE, k, guarded)
    before, _ = run(start(), SOURCE, k - 1, guarded)
    batch = SOURCE(derive(before.key, "data"), k - 1)

    def mean_loss(params):
        return jnp.square(batch["x"] @ params["kernel"] + params["bias"] - batch["y"]).mean()

    assert set(log.last) == {"gradient_norm", "update_norm", "params_norm"}
    np.testing.assert_allclose(log.last["params_norm"], norm(after.params), rtol=1e-6)
    change = jax.tree.map(np.subtract, after.params, before.params)
    np.testing.assert_allclose(log.last["update_norm"], norm(change), rtol=1e-6)
    # Compiled and eager code round differently.
    np.testing.assert_allclose(log.last["gradient_norm"], norm(jax.grad(mean_loss)(before.params)), rtol=1e-5)


# --- what is not finite --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 1, 5, 9])
def test_a_guarded_chunk_stops_before_the_step_that_is_not_finite(at):
    after, log = run(start(), poisoned(at), 10, True)
    clean, clean_log = run(start(), SOURCE, at, True)
    assert log.done == after.step == at and not log.finite
    assert_same(after, clean)
    np.testing.assert_array_equal(log.steps["loss"][:at], clean_log.steps["loss"][:at])


@pytest.mark.parametrize("at", [0, 1, 5, 9])
def test_an_unguarded_chunk_stops_after_a_loss_that_is_not_finite_and_says_so(at):
    after, log = run(start(), poisoned(at), 10, False)
    _, clean_log = run(start(), SOURCE, at, False)
    assert log.done == after.step == at + 1 and not log.finite
    np.testing.assert_array_equal(log.steps["loss"][:at], clean_log.steps["loss"][:at])
    assert np.isnan(log.steps["loss"][at]) and not np.any(log.steps["loss"][at + 1 :])


def test_a_guarded_run_that_has_stopped_stays_stopped():
    stopped, _ = run(start(), poisoned(3), 10, True)
    again, log = run(stopped, poisoned(3), 10, True)
    assert log.done == 0 and not log.finite
    assert_same(again, stopped)


def plain_step(carry, batch):
    """A step of somebody's own that knows nothing of guards, and walks into the NaN."""
    loss = jnp.mean(batch["x"]) + carry.params["bias"].sum()
    params = jax.tree.map(lambda leaf: leaf - 0.1 * loss, carry.params)
    return carry.replace(step=carry.step + 1, params=params), {"loss": loss}


@pytest.mark.slow
def test_a_step_of_ones_own_is_guarded():
    after, log = run(start(), poisoned(4), 10, True, plain_step)
    clean, _ = run(start(), SOURCE, 4, True, plain_step)
    assert log.done == after.step == 4 and not log.finite
    assert_same(after, clean)


def test_a_step_of_ones_own_that_is_not_finite_is_noticed_without_a_guard():
    after, log = run(start(), poisoned(4), 10, False, plain_step)
    assert log.done == after.step == 5 and not log.finite


def test_a_step_that_hands_out_no_gradient_has_the_other_norms(guarded):
    after, log = run(start(), SOURCE, 4, guarded, plain_step)
    before, _ = run(start(), SOURCE, 3, guarded, plain_step)
    assert np.isnan(log.last["gradient_norm"]) and set(log.steps) == {"loss"}
    np.testing.assert_allclose(log.last["params_norm"], norm(after.params), rtol=1e-6)
    change = jax.tree.map(np.subtract, after.params, before.params)
    np.testing.assert_allclose(log.last["update_norm"], norm(change), rtol=1e-6)


def params_at_3(carry, batch):
    params = jax.tree.map(lambda leaf: leaf / (carry.step - 3), carry.params)
    return carry.replace(step=carry.step + 1, params=params), {"loss": (jnp.float32(1), jnp.float32(2))}


def state_at_3(carry, batch):
    state = {"seen": 1 / (3 - carry.step)}
    return carry.replace(step=carry.step + 1, state=state), {"loss": (jnp.float32(1), jnp.float32(2))}


@pytest.mark.parametrize("step", [params_at_3, state_at_3])
def test_what_a_step_makes_of_params_and_state_is_guarded(step):
    carry = start().replace(state={"seen": jnp.float32(0)})
    after, log = run(carry, SOURCE, 10, True, step)
    assert log.done == after.step == 3 and not log.finite
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((after.params, after.state)))
    np.testing.assert_array_equal(log.steps["loss"][:4], [0.5, 0.5, 0.5, 0.5])


def test_params_that_are_not_finite_are_noticed_at_the_end_without_a_guard():
    for k, finite in ((3, True), (4, False), (10, False)):
        after, log = run(start(), SOURCE, k, False, params_at_3)
        assert log.done == after.step == k and log.finite == finite


def test_metrics_without_a_loss_must_all_be_finite(guarded):
    def step(carry, batch):
        return carry.replace(step=carry.step + 1), {"one": jnp.float32(1), "two": (jnp.mean(batch["x"]), 1.0)}

    _, log = run(start(), poisoned(4), 10, guarded, step)
    assert log.done == (4 if guarded else 5) and not log.finite


def test_a_metric_beside_the_loss_may_be_anything(guarded):
    def step(carry, batch):
        return carry.replace(step=carry.step + 1), {"loss": jnp.float32(1), "other": jnp.float32(jnp.nan)}

    _, log = run(start(), SOURCE, 10, guarded, step)
    assert log.done == 10 and log.finite and np.isnan(log.steps["other"][:10]).all()


# --- lanes ---------------------------------------------------------------------------------------------------------


def lanes_of(*carries):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *carries)


def over(kind, carries, steps, guarded, source=SOURCE):
    program, everyone = each_lane(make_chunk(STEP, CAPACITY, guarded), kind), np.arange(len(carries), dtype=np.int32)
    return jax.jit(program)(lanes_of(*carries), np.array(steps, np.int32), everyone, source)


@pytest.mark.few(1)
def test_looped_lanes_have_the_bits_of_lone_runs(guarded):
    after, log = over("loop", [start(0), start(1), start(2)], [5, 0, 9], guarded)
    np.testing.assert_array_equal(log.done, [5, 0, 9])
    for lane, k in enumerate((5, 0, 9)):
        lone, lone_log = run(start(lane), SOURCE, k, guarded)
        assert_same(lane_of(after, lane), lone)
        np.testing.assert_array_equal(log.steps["loss"][lane], lone_log.steps["loss"])
        assert_same(lane_of(log.last, lane), lone_log.last)


@pytest.mark.few(1)
def test_lanes_side_by_side_agree_with_lone_runs(guarded):
    after, log = over("vmap", [start(0), start(1)], [5, 9], guarded)
    np.testing.assert_array_equal(log.done, [5, 9])
    for lane, k in enumerate((5, 9)):
        lone, _ = run(start(lane), SOURCE, k, guarded)
        # A batched matrix product adds in another order; Adam then divides small numbers by small numbers.
        np.testing.assert_allclose(after.params["kernel"][lane], lone.params["kernel"], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["loop", "vmap"])
def test_a_lane_that_stops_stops_no_other(guarded, kind):
    after, log = over(kind, [start(0), start(1)], [5, 9], guarded, poisoned(7))
    clean, _ = over(kind, [start(0), start(1)], [5, 7], guarded)
    np.testing.assert_array_equal(log.finite, [True, False])
    np.testing.assert_array_equal(log.done, [5, 7 if guarded else 8])
    assert_same(lane_of(after, 0), lane_of(clean, 0))
    if guarded:
        assert_same(lane_of(after, 1), lane_of(clean, 1))
