"""Masks of spectrograms and of tokens."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dlcore as dl
from dlcore import augment as a

KEY = jax.random.key(13)
SPECTROGRAMS = jnp.asarray(np.random.default_rng(3).normal(size=(600, 20, 9)), jnp.float32)
TOKENS = jnp.asarray(np.random.default_rng(4).integers(3, 100, (200, 50)), jnp.int32)
HIDE = a.token_mask(0.2, mask_id=1, vocabulary=100, special=(0, 7))


@pytest.mark.parametrize(("mask", "axis"), [(a.time_mask, 1), (a.frequency_mask, 2)])
def test_one_stretch_of_every_length_at_every_place_is_covered(mask, axis):
    found = np.asarray(mask(5, fill=-9.0)(KEY, {"x": SPECTROGRAMS})["x"])
    covered = (found == -9).all(3 - axis)
    expected = np.where(np.expand_dims(covered, 3 - axis), -9, SPECTROGRAMS)
    np.testing.assert_array_equal(found, expected)
    assert (np.abs(np.diff(np.pad(covered, ((0, 0), (1, 1))).astype(int))).sum(1) <= 2).all()  # without holes
    # Lengths 0 to 5 alike, 100 times each.
    lengths = np.bincount(covered.sum(1), minlength=6)
    assert len(lengths) == 6 and lengths.min() > 65 and lengths.max() < 140
    assert covered[:, 0].any() and covered[:, -1].any()


def test_several_stretches_may_be_covered_and_a_width_beyond_the_length_is_the_length():
    covered = np.asarray(a.time_mask(3, count=3, fill=-9.0)(KEY, {"x": SPECTROGRAMS})["x"] == -9).all(2)
    edges = np.abs(np.diff(np.pad(covered, ((0, 0), (1, 1))).astype(int))).sum(1)
    assert edges.max() == 6 and covered.sum(1).max() <= 9
    wide = np.asarray(a.frequency_mask(1000, fill=-9.0)(KEY, {"x": SPECTROGRAMS})["x"] == -9).all(1)
    assert wide.sum(1).max() == 9 and wide.sum(1).min() == 0
    assert (a.time_mask(3, count=0)(KEY, {"x": SPECTROGRAMS})["x"] == SPECTROGRAMS).all()


def test_token_mask_hides_in_the_shares_of_bert():
    found = HIDE(KEY, {"x": TOKENS})
    drawn, x = np.asarray(found["targets"]), np.asarray(found["x"])
    tokens = np.asarray(TOKENS)
    np.testing.assert_array_equal(found["y"], tokens)
    np.testing.assert_array_equal(x[~drawn], tokens[~drawn])
    assert not drawn[tokens == 7].any() and abs(drawn[tokens != 7].mean() - 0.2) < 0.015
    hidden, same = (x == 1)[drawn].mean(), (x == tokens)[drawn].mean()
    assert abs(hidden - 0.8) < 0.03 and abs(same - 0.1) < 0.03 and x.max() < 100
    others = x[drawn & (x != 1) & (x != tokens)]
    assert others.min() < 10 and others.max() > 90


def test_a_loss_counts_the_drawn_tokens_alone():
    batch = HIDE(KEY, {"x": TOKENS, "mask": jnp.arange(200) < 150})
    np.testing.assert_array_equal(batch["mask"][:150], batch["targets"][:150])
    assert not bool(batch["mask"][150:].any()) and bool(batch["targets"][150:].any())
    padding = jnp.arange(50) < 30
    batch = HIDE(KEY, {"x": TOKENS, "mask": jnp.broadcast_to(padding, TOKENS.shape)})
    np.testing.assert_array_equal(batch["mask"], batch["targets"] & padding)


@pytest.mark.slow
def test_the_ordinary_objective_takes_the_mean_over_the_drawn_tokens():
    model = dl.serial(embed=dl.layers.embed(100, 8), out=dl.dense(100))
    batch = HIDE(KEY, {"x": TOKENS})
    params, state = model.init(KEY, batch["x"])
    objective = dl.supervised(model, dl.losses.cross_entropy)
    loss, _ = objective(params, state, batch, key=KEY, train=True, hparams={})
    predictions, _ = model.apply(params, state, batch["x"])
    each = np.asarray(dl.losses.cross_entropy(predictions, batch["y"]))
    total, weight = loss if isinstance(loss, tuple) else (loss, 1.0)
    np.testing.assert_allclose(total / weight, each[np.asarray(batch["targets"])].mean(), rtol=1e-5)
