"""Augmentations of augmentations: the keys of a chain, the coin of each example, the mean over copies."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from dlcore import augment as a

KEY = jax.random.key(17)
IMAGES = jnp.asarray(np.random.default_rng(5).random((300, 5, 6, 3)), jnp.float32)
BATCH = {"x": IMAGES, "y": jnp.arange(300) % 4, "row": jnp.arange(300)}


def test_the_ith_of_a_chain_gets_the_key_folded_with_i():
    found = a.chain(a.flip(), a.noise(0.1), a.cutout(3))(KEY, BATCH)
    expected = BATCH
    for i, member in enumerate((a.flip(), a.noise(0.1), a.cutout(3))):
        expected = member(jax.random.fold_in(KEY, i), expected)
    np.testing.assert_array_equal(found["x"], expected["x"])
    np.testing.assert_array_equal(found["row"], BATCH["row"])  # what else is in a batch stays


def test_a_chain_of_none_and_no_augmentation_writes_into_the_batch_it_was_given():
    given = dict(BATCH)
    assert a.chain()(KEY, given).keys() == BATCH.keys()
    a.chain(a.flip(), a.mixup(1.0, classes=4))(KEY, given)
    assert given["x"] is BATCH["x"] and given["y"] is BATCH["y"]


def test_members_of_a_chain_draw_apart():
    twice = a.chain(a.flip(), a.flip())(KEY, BATCH)["x"]
    mirrored = np.asarray((twice == IMAGES[:, :, ::-1]).all((1, 2, 3)))
    assert 0.4 < mirrored.mean() < 0.6  # with one key they would cancel


def test_sometimes_takes_each_example_with_its_probability():
    found = a.sometimes(a.solarize(0.0), 0.25)(KEY, BATCH)["x"]
    changed = np.asarray((found == 1 - IMAGES).all((1, 2, 3)))
    np.testing.assert_array_equal(found, np.where(changed[:, None, None, None], 1 - IMAGES, IMAGES))
    assert abs(changed.mean() - 0.25) < 0.08
    always = a.sometimes(a.noise(0.1), 1.0)(KEY, BATCH)["x"]
    np.testing.assert_array_equal(always, a.noise(0.1)(jax.random.fold_in(KEY, 1), BATCH)["x"])


def test_sometimes_makes_soft_labels_of_those_that_are_not_taken():
    found = a.sometimes(a.mixup(1.0, classes=4), 0.5)(KEY, BATCH)
    untouched = np.asarray((found["x"] == IMAGES).all((1, 2, 3)))
    assert 0.35 < untouched.mean() < 0.65
    np.testing.assert_array_equal(found["y"][untouched], jax.nn.one_hot(BATCH["y"], 4)[untouched])


def test_test_time_is_the_mean_of_the_predictions_of_the_copies():
    def predict(x):
        return {"first": x[:, 0, 0], "mean": x.mean((1, 2))}

    found = a.test_time(predict, a.noise(0.1), n=5, key=3)(IMAGES)
    keys = [jax.random.fold_in(jax.random.key(3), i) for i in range(5)]
    copies = [predict(a.noise(0.1)(key, {"x": IMAGES})["x"]) for key in keys]
    for name in found:
        np.testing.assert_allclose(found[name], np.mean([copy[name] for copy in copies], axis=0), rtol=1e-5)
    np.testing.assert_array_equal(found["first"], a.test_time(predict, a.noise(0.1), n=5, key=3)(IMAGES)["first"])
    compiled = jax.jit(a.test_time(predict, a.noise(0.1), n=5, key=keys[0]))(IMAGES)
    assert compiled["mean"].shape == (300, 3)
