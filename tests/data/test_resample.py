"""Weights, repeated and invented rows, wrong labels and nested subsets do what their formula says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from dlcore.data import class_weights, label_noise, learning_curve_subsets, oversample, smote

WRONG: Any = 1.5
RNG = np.random.default_rng(0)
LABELS = RNG.permutation(np.repeat([0, 1, 2], [40, 15, 8]))
POINTS = RNG.normal(size=(63, 2, 3)) + LABELS[:, None, None]


def test_class_weights_are_those_of_scikit_learn():
    theirs = compute_class_weight("balanced", classes=np.arange(3), y=LABELS)
    ours = class_weights(LABELS, 3)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    np.testing.assert_allclose(ours[LABELS].mean(), 1, rtol=1e-6)


@pytest.mark.parametrize("resample", [oversample, smote])
def test_classes_come_out_even_and_the_rows_given_stay(resample):
    x, y = resample(POINTS, LABELS, key=1)
    assert np.bincount(y).tolist() == [40, 40, 40] and x.shape == (120, 2, 3) and x.dtype == POINTS.dtype
    np.testing.assert_array_equal(x[:63], POINTS)
    np.testing.assert_array_equal(y[:63], LABELS)
    np.testing.assert_array_equal(resample(POINTS, LABELS, key=1)[0], x)
    assert not np.array_equal(resample(POINTS, LABELS, key=2)[0], x)


def test_repeated_rows_are_rows_of_their_class():
    x, y = oversample(POINTS, LABELS)
    for row, label in zip(x[63:], y[63:], strict=True):
        assert (POINTS[LABELS == label] == row).all(axis=(1, 2)).any()


@pytest.mark.parametrize("neighbors", [1, 5])
def test_invented_rows_lie_between_near_rows_of_their_class(neighbors):
    x, y = smote(POINTS, LABELS, neighbors=neighbors)
    assert len(np.unique(x, axis=0)) == len(x)
    for row, label in zip(x[63:].reshape(-1, 6), y[63:], strict=True):
        own = POINTS[LABELS == label].reshape(-1, 6)
        distances = np.linalg.norm(own[:, None] - own[None], axis=-1)
        near = np.argsort(distances, axis=1)[:, 1 : neighbors + 1]
        starts = np.repeat(own, neighbors, axis=0)
        ends = own[near.ravel()]
        # On a segment, the ways to its two ends are together as long as it is.
        detour = np.linalg.norm(row - starts, axis=1) + np.linalg.norm(row - ends, axis=1)
        assert np.isclose(detour, np.linalg.norm(starts - ends, axis=1), rtol=1e-9).any()


def test_float32_rows_stay_float32_and_equal_rows_do_no_harm():
    x, y = smote(np.ones((9, 2), np.float32), np.repeat([0, 1], [6, 3]), neighbors=2)
    assert x.dtype == np.float32 and (x == 1).all() and np.bincount(y).tolist() == [6, 6]


def test_balanced_rows_come_back_as_they_were():
    x, y = smote(POINTS[:2], [0, 1])
    np.testing.assert_array_equal(x, POINTS[:2])
    assert y.tolist() == [0, 1]


def test_symmetric_noise_flips_at_its_rate_to_all_others_alike():
    y = np.repeat(np.arange(4), 5000).astype(np.int32)
    noisy, flipped = label_noise(y, 0.3, 4)
    assert noisy.dtype == y.dtype
    np.testing.assert_array_equal(flipped, noisy != y)
    table = np.histogram2d(y, noisy, bins=4)[0] / 5000
    np.testing.assert_allclose(table, np.where(np.eye(4), 0.7, 0.1), atol=0.02)


@pytest.mark.parametrize(("rate", "share"), [(0, 0), (1, 1)])
def test_no_noise_flips_nothing_and_full_noise_everything(rate, share):
    assert label_noise(LABELS, rate, 3)[1].mean() == share


def test_noise_follows_its_matrix():
    matrix = np.array([[0.9, 0.1, 0.0], [0.0, 1.0, 0.0], [0.5, 0.0, 0.5]])
    y = np.repeat(np.arange(3), 5000)
    noisy, flipped = label_noise(y, None, 3, matrix=matrix)
    np.testing.assert_allclose(np.histogram2d(y, noisy, bins=3)[0] / 5000, matrix, atol=0.02)
    assert not flipped[y == 1].any()
    np.testing.assert_array_equal(label_noise(y, None, 3, key=0, matrix=matrix)[0], noisy)


def test_subsets_are_nested_and_keep_every_class():
    parts = (0.01, 0.1, 0.5, 0.9, 1.0)
    subsets = learning_curve_subsets(LABELS, parts, key=3)
    for small, large in zip(subsets, subsets[1:], strict=False):
        assert set(small) < set(large)
    for part, rows in zip(parts, subsets, strict=True):
        assert len(np.unique(rows)) == len(rows)
        assert np.bincount(LABELS[rows]).tolist() == [max(1, round(part * count)) for count in (40, 15, 8)]
    assert [rows.tolist() for rows in learning_curve_subsets(LABELS, parts, key=4)][1] != subsets[1].tolist()
    assert [len(rows) for rows in learning_curve_subsets(RNG.normal(size=(10, 1)), (0.2, 0.5), stratify=False)] == [
        2,
        5,
    ]


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: class_weights([0, 2], 3), ValueError, "none of class 1"),
        (lambda: class_weights([0, 3], 3), ValueError, "labels from 0 to 2, found 3 in row 1"),
        (lambda: class_weights([-1, 0], 1), ValueError, "found -1 in row 0"),
        (lambda: class_weights([0.0], 1), TypeError, "expected integer labels"),
        (lambda: class_weights([0], WRONG), TypeError, "classes: expected an int"),
        (lambda: oversample(POINTS, LABELS[:5]), ValueError, "found 63 in x and 5 in y"),
        (lambda: oversample(np.zeros((0, 2)), np.zeros(0, int)), ValueError, "at least one label"),
        (lambda: oversample(POINTS, LABELS, key=True), TypeError, "key: expected an int"),
        (lambda: smote(POINTS.astype(int), LABELS), TypeError, "floating features, found int64; use oversample"),
        (lambda: smote(POINTS, LABELS, neighbors=8), ValueError, "class 2 has 8 rows, so 7 neighbors at most"),
        (lambda: smote(POINTS, LABELS, neighbors=0), ValueError, "neighbors: expected at least 1"),
        (lambda: smote(POINTS, LABELS, neighbors=WRONG), TypeError, "neighbors: expected an int"),
        (lambda: smote(np.full((3, 1), np.nan), [0, 0, 1]), ValueError, "finite"),
        (lambda: label_noise(LABELS, 1.1, 3), ValueError, "rate: expected a chance"),
        (lambda: label_noise(LABELS, float("nan"), 3), ValueError, "rate: expected a chance"),
        (lambda: label_noise(LABELS, None, 3), ValueError, "either a rate or a matrix"),
        (lambda: label_noise(LABELS, 0.1, 3, matrix=np.eye(3)), ValueError, "either a rate or a matrix"),
        (lambda: label_noise(LABELS, None, 3, matrix=np.eye(2)), ValueError, r"shape \(3, 3\), found \(2, 2\)"),
        (lambda: label_noise(LABELS, None, 3, matrix=np.ones((3, 3))), ValueError, "sum 1 in every row"),
        (lambda: label_noise([0, 0], 0.5, 1), ValueError, "at least 2"),
        (lambda: learning_curve_subsets(LABELS, (0.5, 0.5)), ValueError, "rising"),
        (lambda: learning_curve_subsets(LABELS, (0.5, 1.5)), ValueError, "at most 1"),
        (lambda: learning_curve_subsets(LABELS, ()), ValueError, "rising"),
        (lambda: learning_curve_subsets(LABELS / 1, (0.5,)), TypeError, "pass stratify=False"),
        (lambda: learning_curve_subsets([], (0.5,), stratify=False), ValueError, "at least one row"),
    ],
)
def test_a_wrong_call_names_the_argument(call, error, said):
    with pytest.raises(error, match=said):
        call()
