"""A chunk runs k steps in one program, stops before a step that is not finite, and eats nobody's arrays."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore import layers, losses, optim
from dlcore.core import derive
from dlcore.train import TrainState, gradient_step, supervised
from dlcore.train._chunk import make_chunk, over_lanes
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


def start(seed=0):
    key = jax.random.key(seed)
    params, state = MODEL.init(key, jnp.zeros((4, 3)))
    return TrainState(jnp.int32(0), params, state, optim.adam(0.1).init(params), key, {})


@functools.cache
def compiled(step):
    return jax.jit(make_chunk(step, CAPACITY))


def run(carry, source, k, step=STEP):
    return compiled(step)(carry, source, np.int32(k))


def assert_same(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        plain = [jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x for x in (a, b)]
        np.testing.assert_array_equal(plain[0], plain[1])


def test_one_program_runs_any_number_of_steps():
    carry, amounts = start(), (2, 7, CAPACITY, 3)
    run(carry, SOURCE, 1)
    with counting() as compiles:
        results = [run(carry, SOURCE, k) for k in amounts]
    for k, (after, log) in zip(amounts, results, strict=True):
        assert after.step == k == log.done and log.finite
    assert compiles.traces == compiles.lowerings == compiles.backend == 0, compiles


def test_a_chunk_runs_no_more_steps_than_it_has_room_for():
    after, log = run(start(), SOURCE, 1000)
    assert after.step == log.done == CAPACITY


def test_chunks_in_a_row_are_one_long_chunk():
    once, log = run(start(), SOURCE, 12)
    first, log_1 = run(start(), SOURCE, 5)
    second, log_2 = run(first, SOURCE, 7)
    assert_same(once, second)
    joined = np.concatenate([log_1.steps["loss"][:5], log_2.steps["loss"][:7]])
    np.testing.assert_array_equal(joined, log.steps["loss"][:12])


def test_the_buffer_holds_the_loss_of_every_step():
    _, log = run(start(), SOURCE, 6)
    carry, expected, step = start(), [], jax.jit(STEP)
    for n in range(6):
        batch = SOURCE(derive(carry.key, "data"), n)
        predictions = batch["x"] @ carry.params["kernel"] + carry.params["bias"]
        expected.append(jnp.square(predictions - batch["y"]).mean())
        carry, _ = step(carry, batch)
    # Compiled and eager code round differently.
    np.testing.assert_allclose(log.steps["loss"][:6], expected, rtol=1e-5)
    assert not np.any(log.steps["loss"][6:])


def test_the_norms_are_those_of_the_last_step():
    _, log = run(start(), SOURCE, 6)
    before, _ = run(start(), SOURCE, 5)
    assert set(log.last) == {"gradient_norm", "update_norm", "params_norm"}
    leaves = [np.ravel(leaf) for leaf in jax.tree.leaves(before.params)]
    np.testing.assert_allclose(log.last["params_norm"], np.linalg.norm(np.concatenate(leaves)), rtol=1e-6)


@pytest.mark.parametrize("at", [0, 1, 5])
def test_a_chunk_stops_before_the_step_that_is_not_finite(at):
    after, log = run(start(), poisoned(at), 10)
    clean, _ = run(start(), SOURCE, at)
    assert log.done == after.step == at and not log.finite
    assert_same(after, clean)


def test_a_stopped_run_stays_stopped():
    stopped, _ = run(start(), poisoned(3), 10)
    again, log = run(stopped, poisoned(3), 10)
    assert log.done == 0 and not log.finite
    assert_same(again, stopped)


def plain_step(carry, batch):
    """A step of somebody's own that knows nothing of `finite`, and walks into the NaN."""
    loss = jnp.mean(batch["x"]) + carry.params["bias"].sum()
    params = jax.tree.map(lambda leaf: leaf - 0.1 * loss, carry.params)
    return carry.replace(step=carry.step + 1, params=params), {"loss": loss}


def test_a_step_of_ones_own_is_guarded():
    after, log = run(start(), poisoned(4), 10, plain_step)
    clean, _ = run(start(), SOURCE, 4, plain_step)
    assert log.done == after.step == 4 and not log.finite and log.last == {}
    assert_same(after, clean)


def test_a_step_of_ones_own_whose_params_are_not_finite_is_guarded():
    def step(carry, batch):
        params = jax.tree.map(lambda leaf: leaf / (carry.step - 3), carry.params)
        return carry.replace(step=carry.step + 1, params=params), {"loss": (jnp.float32(1), jnp.float32(2))}

    after, log = run(start(), SOURCE, 10, step)
    assert log.done == 3 and np.isfinite(after.params["kernel"]).all()
    np.testing.assert_array_equal(log.steps["loss"][:4], [0.5, 0.5, 0.5, 0.5])


# --- lanes ---------------------------------------------------------------------------------------------------------


def lanes_of(*carries):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *carries)


def over(kind, carries, steps):
    program = over_lanes(make_chunk(STEP, CAPACITY), kind, (True, False, True))
    return jax.jit(program)(lanes_of(*carries), SOURCE, np.array(steps, np.int32))


def test_looped_lanes_have_the_bits_of_lone_runs():
    after, log = over("loop", [start(0), start(1), start(2)], [5, 0, 9])
    np.testing.assert_array_equal(log.done, [5, 0, 9])
    for lane, k in enumerate((5, 0, 9)):
        lone, lone_log = run(start(lane), SOURCE, k)
        assert_same(jax.tree.map(lambda leaf, lane=lane: leaf[lane], after), lone)
        np.testing.assert_array_equal(log.steps["loss"][lane], lone_log.steps["loss"])


def test_lanes_side_by_side_agree_with_lone_runs():
    after, log = over("vmap", [start(0), start(1)], [5, 9])
    np.testing.assert_array_equal(log.done, [5, 9])
    for lane, k in enumerate((5, 9)):
        lone, _ = run(start(lane), SOURCE, k)
        # A batched matrix product adds in another order; Adam then divides small numbers by small numbers.
        np.testing.assert_allclose(after.params["kernel"][lane], lone.params["kernel"], atol=1e-5)
