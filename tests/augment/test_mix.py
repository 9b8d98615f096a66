"""Mixed labels weigh what the pixels do, and sum to one."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import dlcore as dl
from dlcore import augment as a

KEY = jax.random.key(11)
COUNT = 64
# Every image is of one value of its own, and has a class of its own: what came from where can be told.
OWN = jnp.broadcast_to(jnp.arange(COUNT, dtype=jnp.float32)[:, None, None, None], (COUNT, 9, 14, 1))
LABELS = jnp.arange(COUNT)
BATCH = {"x": OWN, "y": LABELS}


@pytest.mark.slow
def test_mixup_is_the_weighted_mean_of_two_images_with_the_weights_of_the_labels():
    found = a.mixup(0.8, classes=COUNT)(KEY, BATCH)
    y = np.asarray(found["y"])
    np.testing.assert_allclose(y.sum(1), 1, atol=1e-6)
    assert ((y > 0).sum(1) <= 2).all() and ((y > 0).sum(1) == 2).mean() > 0.9
    expected = np.broadcast_to((y @ np.arange(COUNT))[:, None, None, None], OWN.shape)
    np.testing.assert_allclose(found["x"], expected, atol=1e-4)


@pytest.mark.slow
def test_cutmix_gives_labels_the_shares_of_the_pixels():
    found = a.cutmix(1.0, classes=COUNT)(KEY, BATCH)
    x, y = np.asarray(found["x"])[..., 0], np.asarray(found["y"])
    shares = (x[..., None] == np.arange(COUNT)).mean((1, 2))
    np.testing.assert_allclose(y, shares, atol=1e-6)
    np.testing.assert_allclose(y.sum(1), 1, atol=1e-6)
    foreign = x != np.arange(COUNT)[:, None, None]
    np.testing.assert_array_equal(foreign, foreign.any(2)[:, :, None] & foreign.any(1)[:, None, :])  # a rectangle
    assert foreign.any(0).all() and foreign.any((1, 2)).mean() > 0.8


@pytest.mark.few(1)
@pytest.mark.parametrize("alpha", [0.3, 1.0, 4.0])
def test_the_share_of_mixup_has_the_beta_distribution(alpha):
    # Two halves of different classes: where the other is of the other half, the label is the share.
    y = jnp.repeat(jnp.eye(2), 2000, axis=0)
    found = a.mixup(alpha)(KEY, {"x": jnp.ones((4000, 1)), "y": y})["y"]
    shares = np.asarray(found)[np.arange(4000), np.asarray(y.argmax(1))]
    shares = shares[shares < 1]
    assert stats.kstest(shares, stats.beta(alpha, alpha).cdf).pvalue > 1e-3


@pytest.mark.slow
def test_the_partners_are_a_permutation():
    x = a.cutmix(1e-3, classes=COUNT)(KEY, BATCH)  # shares near 0 or 1: whole images
    kept = a.mixup(1e6, classes=COUNT)(KEY, BATCH)["y"]  # all shares are a half
    np.testing.assert_allclose(kept.sum(0), 1, atol=0.02)
    np.testing.assert_allclose(x["y"].sum(1), 1, atol=1e-6)


@pytest.mark.few(1)
@pytest.mark.parametrize("mix", [a.mixup, a.cutmix])
def test_nothing_is_mixed_with_what_does_not_count(mix):
    mask = jnp.arange(COUNT) < 40
    x = jnp.where(mask[:, None, None, None], OWN, jnp.nan)
    found = mix(1.0, classes=COUNT)(KEY, {"x": x, "y": LABELS, "mask": mask})
    assert bool(jnp.isfinite(found["x"][:40]).all()) and float(found["y"][:40, 40:].max()) == 0
    assert mix(1.0, classes=COUNT)(KEY, BATCH)["y"][:40, 40:].max() > 0  # without the mask it would be


@pytest.mark.slow
def test_soft_labels_and_real_targets_are_mixed_as_they_are():
    soft = jax.nn.one_hot(LABELS, COUNT)
    np.testing.assert_array_equal(
        a.mixup(1.0)(KEY, BATCH | {"y": soft})["y"], a.mixup(1.0, classes=COUNT)(KEY, BATCH)["y"]
    )
    found = a.mixup(1.0)(KEY, {"x": OWN, "y": jnp.arange(COUNT) * 1.0})
    np.testing.assert_allclose(found["y"], found["x"][:, 0, 0, 0], atol=1e-4)


@pytest.mark.slow
def test_a_label_outside_the_classes_is_no_number_inside_compiled_code():
    labels = LABELS.at[3].set(COUNT).at[5].set(-1)
    y = jax.jit(lambda y: a.mixup(0.0, classes=COUNT)(KEY, {"x": OWN, "y": y})["y"])(labels)
    assert np.flatnonzero(np.isnan(y).any(1)).tolist() == [3, 5]


@pytest.mark.slow
def test_a_batch_of_one_is_mixed_with_itself():
    one = {name: value[:1] for name, value in BATCH.items()}
    for mix in (a.mixup(1.0, classes=2), a.cutmix(1.0, classes=2)):
        np.testing.assert_array_equal(mix(KEY, one)["x"], one["x"])
        np.testing.assert_array_equal(mix(KEY, one)["y"], [[1.0, 0.0]])


def test_a_loss_takes_the_soft_labels():
    y = a.cutmix(1.0, classes=COUNT)(KEY, BATCH)["y"]
    assert bool(jnp.isfinite(dl.losses.cross_entropy(jnp.zeros((COUNT, COUNT)), y)).all())
