"""Augmentation in training: inside the step, of the run's key and the step alone."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dlcore as dl
from dlcore import augment
from dlcore.compose import derive
from dlcore.train import augmented, gradient_step, supervised

MODEL = dl.models.softmax_regression(10)
SHIFT = augment.shift(2)
DIGITS = dl.data.digits()
FEW: dict[str, Any] = {"epochs": 1, "batch_size": 256}


def test_a_run_sees_what_the_augmentation_makes_of_each_batch():
    seen = []

    def look(carry, batch):
        seen.append(batch)
        return carry, {}

    batch = {"x": jnp.asarray(DIGITS.train["x"][:8]), "y": jnp.asarray(DIGITS.train["y"][:8])}
    state = dl.train.TrainState(step=jnp.int32(3), params={}, state={}, opt_state=(), key=jax.random.key(5), hparams={})
    augmented(look, SHIFT)(state, batch)
    np.testing.assert_array_equal(seen[0]["x"], SHIFT(derive(jax.random.key(5), "augment", 3), batch)["x"])


@pytest.mark.slow
def test_fit_trains_on_changed_batches_and_evaluates_on_the_data():
    plain = dl.fit(MODEL, DIGITS, **FEW)
    moved = dl.fit(MODEL, DIGITS, augment=SHIFT, **FEW)
    still = dl.fit(MODEL, DIGITS, augment=augment.shift(0), **FEW)
    assert (moved.metrics["loss"] != plain.metrics["loss"]).any()
    np.testing.assert_array_equal(still.metrics["loss"], plain.metrics["loss"])
    again = dl.fit(MODEL, DIGITS, augment=SHIFT, **FEW)
    np.testing.assert_array_equal(again.metrics["loss"], moved.metrics["loss"])


@pytest.mark.slow
def test_soft_labels_of_mixup_are_trained_on():
    run = dl.fit(MODEL, DIGITS, augment=augment.mixup(0.4, classes=10), **FEW)
    assert np.isfinite(run.metrics["loss"]).all() and run.metrics["accuracy"].max() <= 1


@pytest.mark.slow
def test_strengths_are_hyperparameters():
    build = lambda hp: augment.noise(hp["noise"])
    quiet = dl.fit(MODEL, DIGITS, augment=build, hparams={"noise": 0.0}, **FEW)
    loud = dl.fit(MODEL, DIGITS, augment=build, hparams={"noise": 0.5}, **FEW)
    assert (quiet.metrics["loss"] != loud.metrics["loss"]).any()
    result = dl.sweep(MODEL, DIGITS, augment=build, space={"noise": [0.0, 0.5]}, **FEW)
    np.testing.assert_array_equal(result.rows[1]["validation_loss"], loud.metrics["validation_loss"][-1])


@pytest.mark.slow
def test_a_killed_run_resumes_with_the_same_pictures(tmp_path):
    whole = dl.fit(MODEL, DIGITS, augment=SHIFT, epochs=2, batch_size=256)
    dl.fit(MODEL, DIGITS, augment=SHIFT, epochs=1, batch_size=256, out=tmp_path / "run")
    more = dl.load(tmp_path / "run").resume(epochs=2)
    np.testing.assert_array_equal(more.metrics["loss"], whole.metrics["loss"])


def test_what_is_no_augmentation_is_refused():
    with pytest.raises(TypeError, match=r"augment: expected an augmentation, found the factory.*flip\(...\)"):
        dl.fit(MODEL, DIGITS, augment=augment.flip, **FEW)
    with pytest.raises(TypeError, match="augment: expected a function, found 3"):
        dl.fit(MODEL, DIGITS, augment=3, **FEW)
    assert gradient_step(supervised(MODEL, dl.losses.mse), dl.optim.adam())
