"""The bundled data sets have the sizes, scales and class proportions that they say they have."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.datasets

from dlcore import data

SIZES = {
    "digits": (1437, 180, 180),
    "iris": (120, 15, 15),
    "wine": (142, 18, 18),
    "breast_cancer": (455, 57, 57),
    "diabetes": (353, 45, 44),
}
CLASSIFICATION = ["digits", "iris", "wine", "breast_cancer"]
TABLES = ["iris", "wine", "breast_cancer", "diabetes"]


def raw(name):
    options = {"scaled": False} if name == "diabetes" else {}
    return getattr(sklearn.datasets, f"load_{name}")(**options)


def joined(dataset, part):
    return np.concatenate([arrays[part] for arrays in dataset.splits.values()])


def test_every_bundled_set_is_named():
    assert set(data.names()[:5]) == set(SIZES)


@pytest.mark.parametrize("name", SIZES)
def test_split_sizes_are_as_documented(name):
    assert tuple(len(arrays["x"]) for arrays in data.load(name).splits.values()) == SIZES[name]


@pytest.mark.parametrize("name", CLASSIFICATION)
@pytest.mark.parametrize("key", [0, 7])
def test_every_class_is_in_proportion_in_every_split(name, key):
    dataset = data.load(name, key=key)
    counts = np.bincount(raw(name).target)
    for arrays, fraction in zip(dataset.splits.values(), (0.8, 0.1, 0.1), strict=True):
        found = np.bincount(arrays["y"], minlength=len(counts))
        assert np.abs(found - fraction * counts).max() < 1


@pytest.mark.parametrize("name", SIZES)
def test_equal_keys_give_equal_data_and_other_keys_other_rows(name):
    first, again, other = data.load(name, key=3), data.load(name, key=3), data.load(name, key=4)
    for split_name in ("train", "validation", "test"):
        for part in ("x", "y"):
            np.testing.assert_array_equal(getattr(first, split_name)[part], getattr(again, split_name)[part])
    assert not np.array_equal(first.train["x"], other.train["x"])


def test_digits_are_the_ink_of_scikit_learns_images_over_sixteen():
    dataset = data.digits()
    x, y = joined(dataset, "x"), joined(dataset, "y")
    assert x.shape == (1797, 8, 8, 1) and x.min() == 0.0 and x.max() == 1.0
    ours = sorted((int(label), *image.ravel().astype(int)) for label, image in zip(y, x * 16, strict=True))
    bunch = raw("digits")
    theirs = sorted((int(label), *row.astype(int)) for label, row in zip(bunch.target, bunch.data, strict=True))
    assert ours == theirs


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_standardised_by_the_training_rows_alone(name):
    dataset = data.load(name)
    train = dataset.train["x"].astype(np.float64)
    # Rounding to float32 of values up to about 10 moves a mean over at least 120 rows by less than 1e-6.
    np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(train.std(axis=0), 1, atol=1e-6)
    assert np.abs(dataset.splits["test"]["x"].mean(axis=0)).max() > 1e-3
    # An affine map a column loses nothing: put back on the raw scale, the rows are the raw rows.
    together, columns = joined(dataset, "x").astype(np.float64), raw(name).data
    restored = together / together.std(axis=0) * columns.std(axis=0)
    restored += columns.mean(axis=0) - restored.mean(axis=0)
    np.testing.assert_allclose(np.sort(restored, axis=0), np.sort(columns, axis=0), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", TABLES)
def test_tables_keep_their_feature_and_class_names(name):
    dataset, bunch = data.load(name), raw(name)
    assert dataset.feature_names == tuple(bunch.feature_names)
    assert dataset.classes == tuple(getattr(bunch, "target_names", ()))


def test_diabetes_keeps_its_units_unless_asked():
    plain, scaled = data.diabetes(), data.diabetes(standardize_targets=True)
    assert joined(plain, "y").min() == 25 and joined(plain, "y").max() == 346
    mean, deviation = plain.train["y"].mean(), plain.train["y"].std()
    for split_name in ("train", "validation", "test"):
        expected = (getattr(plain, split_name)["y"] - mean) / deviation
        # float32 statistics here against float64 ones there.
        np.testing.assert_allclose(getattr(scaled, split_name)["y"], expected, atol=1e-5)
    np.testing.assert_array_equal(plain.train["x"], scaled.train["x"])


def test_a_typo_in_a_name_gets_a_suggestion():
    with pytest.raises(ValueError, match="there is none called 'digit'; did you mean 'digits'?"):
        data.load("digit")


def test_options_reach_the_data_set():
    assert len(data.load("iris", fractions=(0.6, 0.2, 0.2)).splits["test"]["x"]) == 30
    with pytest.raises(ValueError, match="sum 1"):
        data.load("iris", fractions=(0.9, 0.2, 0.2))
