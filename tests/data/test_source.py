"""Sources give the batch of a step as a function of key and step alone, inside compiled code too."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend.core import jaxprs_in_params

from dlcore.data import Batches, Stacked

KEY = jax.random.key(0)


def rows(size, batch_size, start=0, total=None):
    """Batches whose x is the row number, so that a batch tells which rows it holds."""
    numbers = np.arange(start + size if total is None else total)
    return Batches({"x": numbers[:, None] * np.ones((1, 2), np.float32), "y": numbers}, batch_size, size, start)


def epoch(source, number, key=KEY):
    first = number * source.steps_per_epoch
    return np.concatenate([source(key, first + step)["y"] for step in range(source.steps_per_epoch)])


@pytest.mark.few(2)
@pytest.mark.parametrize(("size", "batch_size"), [(1, 1), (7, 7), (12, 4), (64, 16)])
def test_an_epoch_holds_every_row_once(size, batch_size):
    source = rows(size, batch_size)
    for number in (0, 1, 1000):
        np.testing.assert_array_equal(np.sort(epoch(source, number)), np.arange(size))


def test_the_remainder_is_dropped_and_is_another_one_every_epoch():
    source = rows(10, 4)
    assert source.steps_per_epoch == 2
    left_out = {tuple(sorted(set(range(10)) - set(epoch(source, number).tolist()))) for number in range(10)}
    assert all(len(pair) == 2 for pair in left_out) and len(left_out) > 1


def test_only_the_rows_from_start_on_are_drawn():
    source = rows(12, 4, start=5, total=30)
    np.testing.assert_array_equal(np.sort(epoch(source, 3)), np.arange(5, 17))


def test_inputs_and_labels_stay_together():
    batch = rows(64, 16)(KEY, 5)
    assert batch["x"].shape == (16, 2) and batch["y"].shape == (16,)
    np.testing.assert_array_equal(batch["x"][:, 0].astype(int), batch["y"])


def test_epochs_and_keys_differ():
    source = rows(64, 16)
    assert not np.array_equal(epoch(source, 0), epoch(source, 1))
    assert not np.array_equal(epoch(source, 0), epoch(source, 0, jax.random.key(1)))


@pytest.mark.slow
def test_a_step_is_the_same_alone_compiled_in_a_scan_and_under_vmap():
    source = rows(50, 8)
    steps = jnp.arange(20)
    alone = np.stack([source(KEY, int(n))["y"] for n in steps])
    compiled = jax.jit(lambda source, key, n: source(key, n)["y"])
    np.testing.assert_array_equal(alone, np.stack([compiled(source, KEY, n) for n in steps]))
    _, scanned = jax.jit(lambda source: lax.scan(lambda carry, n: (carry, source(KEY, n)["y"]), 0, steps))(source)
    np.testing.assert_array_equal(alone, scanned)
    np.testing.assert_array_equal(alone, jax.vmap(lambda n: source(KEY, n)["y"])(steps))


def test_lanes_of_a_vmap_over_keys_see_what_they_would_see_alone():
    source = rows(50, 8)
    keys = jax.random.split(KEY, 3)
    together = jax.vmap(lambda key: source(key, 13)["y"])(keys)
    np.testing.assert_array_equal(together, np.stack([source(key, 13)["y"] for key in keys]))


def test_a_vmap_over_arrays_is_a_vmap_over_data_sets():
    sources = [Batches({"x": jnp.arange(12.0) + offset}, 4, 12) for offset in (0, 100)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *sources)
    together = jax.vmap(lambda source: source(KEY, 2)["x"])(stacked)
    np.testing.assert_array_equal(together, np.stack([source(KEY, 2)["x"] for source in sources]))


def test_a_gradient_passes_through_a_loop_over_batches():
    source = rows(12, 4)

    def total(weight):
        def step(carry, n):
            return carry + weight * source(KEY, n)["x"].sum(), None

        return lax.scan(step, 0.0, jnp.arange(source.steps_per_epoch))[0]

    # Every row once, twice in x: 2 * (0 + ... + 11).
    assert float(jax.grad(total)(3.0)) == 132.0


def equations(jaxpr):
    """Every equation of a jaxpr and of the jaxprs within it."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from equations(inner)


def test_nothing_of_the_size_of_the_data_is_made_and_nothing_is_sorted():
    source = Batches({"y": jnp.arange(1437)}, 64, 1437)
    draw = jax.jit(lambda source, key, n: source(key, n))
    found = list(equations(jax.make_jaxpr(draw)(source, KEY, 0).jaxpr))
    assert {"while", "gather"} <= {equation.primitive.name for equation in found}
    for equation in found:
        assert equation.primitive.name not in ("sort", "threefry2x32")
        assert all(variable.aval.size <= 2 * 64 for variable in equation.outvars)
    assert not re.search(r"\bsort\(", str(draw.lower(source, KEY, 0).compile().as_text()))


def test_a_new_key_step_or_array_compiles_nothing_new():
    traces = []

    @jax.jit
    def draw(source, key, n):
        traces.append(1)
        return source(key, n)

    for seed in range(3):
        draw(Batches({"y": jnp.arange(10) + seed}, 2, 10), jax.random.key(seed), seed)
    assert len(traces) == 1


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batch_size": 11}, ValueError, "at most the 10 rows there are .* found batch_size=11"),
        ({"batch_size": 0}, ValueError, "batch_size: expected at least 1, found 0"),
        ({"size": 0}, ValueError, "size: expected at least 1, found 0"),
        ({"start": -1}, ValueError, "start: expected at least 0, found -1"),
        ({"batch_size": 2.0}, TypeError, "batch_size: expected an int, found float"),
    ],
)
def test_an_impossible_batch_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        Batches(**{"arrays": {"y": np.arange(10)}, "batch_size": 2, "size": 10, **options})


def test_arrays_that_are_too_short_are_refused_before_anything_is_drawn():
    source = Batches({"x": np.zeros((12, 2)), "y": np.arange(11)}, 2, 10, start=2)
    with pytest.raises(
        ValueError, match=r"arrays\['y'\]: expected at least start \+ size = 12 rows, found shape \(11,\)"
    ):
        source(KEY, 0)


def test_a_stack_gives_its_batches_in_order_whatever_the_key():
    stack = Stacked({"x": np.arange(24.0).reshape(3, 4, 2), "y": np.arange(12).reshape(3, 4)}, start=7)
    for n in (7, 8, 9):
        batch = stack(KEY, n)
        np.testing.assert_array_equal(batch["x"], np.arange(24.0).reshape(3, 4, 2)[n - 7])
        np.testing.assert_array_equal(batch["y"], np.arange(12).reshape(3, 4)[n - 7])


def test_the_next_stack_compiles_nothing_new():
    traces = []

    @jax.jit
    def draw(stack, n):
        traces.append(1)
        return stack(KEY, n)

    assert [int(draw(Stacked(jnp.arange(5), start), start + 2)) for start in (0, 5, 10)] == [2, 2, 2]
    assert len(traces) == 1


def test_a_step_that_is_not_in_the_stack_is_refused():
    with pytest.raises(IndexError, match="expected a step from 4 to 5, found 6"):
        Stacked(np.zeros((2, 3)), start=4)(KEY, 6)
