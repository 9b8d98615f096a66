"""Scaling takes its statistics from the training rows and agrees with scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from dlcore.data import min_max, standardize

ORACLES = [(standardize, StandardScaler), (min_max, MinMaxScaler)]


@pytest.mark.parametrize(("scale", "oracle"), ORACLES)
def test_scaling_agrees_with_scikit_learn(scale, oracle):
    rng = np.random.default_rng(0)
    train, validation, test = (rng.normal(3, 50, (rows, 4)) for rows in (40, 5, 7))
    fitted = oracle().fit(train)
    for ours, rows in zip(scale(train, validation, test), (train, validation, test), strict=True):
        assert ours.dtype == np.float32
        # Both compute in float64; ours is then rounded to float32.
        np.testing.assert_allclose(ours, fitted.transform(rows), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("scale", [standardize, min_max])
def test_other_rows_do_not_change_how_the_training_rows_come_out(scale):
    train = np.random.default_rng(1).normal(size=(20, 3, 2))
    np.testing.assert_array_equal(scale(train)[0], scale(train, 100 + train)[0])


@pytest.mark.parametrize("scale", [standardize, min_max])
def test_a_constant_column_becomes_zero_everywhere(scale):
    # The mean of 0.1 over 7 rows is not 0.1 in floating point, so the standard deviation is not exactly 0.
    train, test = np.full((7, 1), 0.1), np.array([[0.1], [9.0]])
    for scaled in scale(train, test):
        np.testing.assert_array_equal(scaled, np.zeros_like(scaled))


@pytest.mark.parametrize("scale", [standardize, min_max])
def test_integer_images_scale_by_pixel(scale):
    images = np.random.default_rng(2).integers(0, 256, (10, 4, 4, 1), dtype=np.uint8)
    (scaled,) = scale(images)
    assert scaled.shape == images.shape and np.abs(scaled).max() < 4


def test_min_max_does_not_overflow_on_small_integers():
    (scaled,) = min_max(np.array([[-100], [100]], np.int8))
    assert scaled.tolist() == [[0.0], [1.0]]


@pytest.mark.parametrize("scale", [standardize, min_max])
def test_a_wrong_call_names_the_array_and_the_repair(scale):
    good = np.ones((3, 2))
    with pytest.raises(ValueError, match=rf"{scale.__name__} train: .*row 1 .*fill in"):
        scale(np.array([[1.0], [np.nan]]))
    with pytest.raises(ValueError, match=rf"{scale.__name__} others\[1\]: expected rows of shape \(2,\)"):
        scale(good, good, np.ones((3, 4)))
    with pytest.raises(ValueError, match="empty"):
        scale(np.ones((0, 2)))
    with pytest.raises(TypeError, match="real numbers"):
        scale(np.array([["a"]]))
