"""`fit` takes a data set, a pair of arrays, a source or an iterator, and trains the same on each."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dlcore as dl
from dlcore.data import Batches

MODEL = dl.models.softmax_regression(3)
LINE = dl.models.linear()


def fit(model, data, **options):
    return dl.fit(model, data, **({"progress": False, "batch_size": 8, "optimizer": dl.optim.adam(0.01)} | options))


def host_batches(count, size=4, poison=None):
    random = np.random.default_rng(0)
    for n in range(count):
        x = random.normal(size=(size, 2)).astype(np.float32)
        y = x[:, :1]
        yield np.where(n == poison, np.float32(np.nan), x), y


def assert_same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_a_pair_a_source_and_a_data_set_train_alike(data):
    x, y = data.train["x"], data.train["y"]
    runs = [
        fit(MODEL, data, steps=12),
        fit(MODEL, (x, y), steps=12),
        fit(MODEL, [jnp.asarray(x), jnp.asarray(y)], steps=12),
        fit(MODEL, Batches({"x": jnp.asarray(x), "y": jnp.asarray(y)}, 8, 40), steps=12),
    ]
    for run in runs[1:]:
        np.testing.assert_array_equal(run.metrics["loss"], runs[0].metrics["loss"])
        assert_same(run.params, runs[0].params)
    assert runs[0].data is data and runs[-1].data is None


def test_a_source_of_known_size_has_epochs(data):
    source = Batches({name: jnp.asarray(array) for name, array in data.train.items()}, 8, 40)
    assert fit(MODEL, source, epochs=2).final.step == 10


def test_a_plain_function_of_key_and_step_is_a_source():
    def source(key, n):
        x = jax.random.normal(jax.random.fold_in(key, n), (4, 2))
        return {"x": x, "y": x[:, :1]}

    run = fit(LINE, source, steps=300)
    assert run.final.step == 300 and run.metrics["loss"][-1] < run.metrics["loss"][0]
    with pytest.raises(ValueError, match="epochs: only data of a known size have epochs; give `steps`"):
        fit(LINE, source, epochs=2)
    with pytest.raises(ValueError, match="give `steps`"):
        fit(LINE, source)


@pytest.mark.few(2)
@pytest.mark.parametrize("count", [1, 31, 32, 33, 70])
def test_an_iterator_is_trained_on_to_its_end(count):
    run = fit(LINE, host_batches(count))
    assert run.final.step == count and run.stopped == "finished"
    again = fit(LINE, Stack(list(host_batches(count))), steps=count)
    np.testing.assert_array_equal(run.metrics["loss"], again.metrics["loss"])


class Stack:
    """The same batches as a source, for one chunk."""

    def __init__(self, batches):
        self.x, self.y = (jnp.stack(parts) for parts in zip(*batches, strict=True))

    def __call__(self, key, n):
        return {"x": self.x[n], "y": self.y[n]}


def test_steps_end_an_iterator_that_does_not():
    def endless():
        while True:
            yield {"x": np.ones((4, 2), np.float32), "y": np.ones((4, 1), np.float32)}

    assert fit(LINE, endless(), steps=40).final.step == 40


def test_an_iterator_of_a_few_batches_ends_before_the_steps():
    assert fit(LINE, host_batches(5), steps=40).final.step == 5


@pytest.mark.parametrize("seeds", [None, 2])
def test_a_run_on_an_iterator_stops_for_good_at_a_bad_batch(seeds):
    run = fit(LINE, host_batches(100, poison=3), seeds=seeds)
    assert np.all(run.stopped == "non-finite at step 3") and np.all(run.final.step == 3)
    clean = fit(LINE, host_batches(3), seeds=seeds)
    assert_same(run.params, clean.params)


@pytest.mark.parametrize("count", [5, 32, 40])
def test_a_short_batch_is_the_remainder_of_an_epoch_and_dropped(count):
    whole = list(host_batches(count))
    run = fit(LINE, iter([*whole, *host_batches(1, size=3)]))
    clean = fit(LINE, iter(whole))
    assert run.final.step == count and run.stopped == "finished"
    np.testing.assert_array_equal(run.metrics["loss"], clean.metrics["loss"])
    assert_same(run.params, clean.params)


def test_an_iterator_over_several_epochs_has_a_short_batch_in_each():
    first, second, third = (list(host_batches(n)) for n in (4, 5, 6))
    run = fit(LINE, iter([*first, *host_batches(1, size=1), *second, *host_batches(1, size=3), *third]))
    clean = fit(LINE, iter([*first, *second, *third]))
    assert run.final.step == 15
    assert_same(run.params, clean.params)


@pytest.mark.parametrize(
    ("other", "found"),
    [
        (lambda x, y: (x[:, :1], y), "4, 1"),
        (lambda x, y: (x[:3, :1], y[:3]), "3, 1"),
        (lambda x, y: (x.astype(np.int32), y), "int32"),
        (lambda x, y: (x[:3].astype(np.int32), y[:3]), "int32"),
        (lambda x, y: (np.concatenate([x, x]), np.concatenate([y, y])), "8, 2"),
        (lambda x, y: (x[:3], y), "3, 2"),
        (lambda x, y: {"x": x[:3], "y": y[:3], "mask": np.ones(3)}, "mask"),
    ],
    ids=["features", "features, short", "dtype", "dtype, short", "larger", "x and not y short", "names, short"],
)
def test_batches_of_another_shape_are_an_error_that_names_the_batch(other, found):
    batches = [*host_batches(40), other(*next(host_batches(1)))]
    with pytest.raises(ValueError, match=rf"data: batch 40 has .*{found}.* and the first had .*4, 2"):
        fit(LINE, iter(batches))


def test_batches_of_float64_are_those_of_float32():
    """As with every array that JAX is given; NumPy makes float64 unless told otherwise."""
    batches = list(host_batches(5))
    mixed = [(x.astype(np.float64), y) if n == 3 else (x, y) for n, (x, y) in enumerate(batches)]
    assert_same(fit(LINE, iter(mixed)).params, fit(LINE, iter(batches)).params)


def test_an_empty_iterator_is_an_error():
    with pytest.raises(ValueError, match="data: the iterator is empty"):
        fit(LINE, iter([]))


@pytest.mark.parametrize("batch", [np.zeros((4, 2)), (np.zeros((4, 2)),), "xy"])
def test_batches_of_another_kind_are_an_error(batch):
    with pytest.raises(TypeError, match="batches that are pairs"):
        fit(LINE, iter([batch]))


def test_epochs_of_an_iterator_are_an_error():
    with pytest.raises(ValueError, match="only data of a known size have epochs"):
        fit(LINE, host_batches(3), epochs=1)


def test_batches_may_hold_anything_that_the_objective_understands():
    model = dl.compose(lambda call, batch: call.out(batch["left"] - batch["right"]), out=dl.dense(1))

    def source(key, n):
        left, right = jax.random.normal(jax.random.fold_in(key, n), (2, 4, 3))
        return {"left": left, "right": right}

    def objective(params, state, batch, *, key, train, hparams):
        distance, state = model.apply(params, state, batch, key=key, train=train)
        loss = jnp.square(distance - 1).mean()
        return loss, (state, {"loss": loss})

    run = fit(model, source, objective=objective, steps=5)
    assert run.metrics["loss"].shape == (5,) and run.params["out"]["kernel"].shape == (3, 1)
    with pytest.raises(ValueError, match="batches have no 'y'.*give `objective` or `step`"):
        fit(model, source, steps=5)


def test_a_step_of_ones_own_needs_no_targets():
    def source(key, n):
        return {"x": jax.random.normal(jax.random.fold_in(key, n), (4, 3))}

    def step(carry, batch):
        out, _ = LINE.apply(carry.params, {}, batch["x"])
        params = jax.tree.map(lambda leaf: leaf + 1, carry.params)
        return carry.replace(step=carry.step + 1, params=params), {"loss": out.mean(), "size": (out.sum(), out.size)}

    run = fit(LINE, source, step=step, steps=4)
    assert run.final.step == 4 and run.metrics["size"].shape == (4,)
    np.testing.assert_array_equal(run.params["out"]["kernel"], np.full((3, 1), 4))
