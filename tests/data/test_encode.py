"""Encoders know the training rows alone; what is new gets the code that was declared for it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import preprocessing

from dlcore.data import OneHotEncoder, OrdinalEncoder, one_hot_encoder, ordinal_encoder

RNG = np.random.default_rng(0)
TRAIN = np.stack([RNG.choice(["a", "b", "c"], 30), RNG.choice(["x", "y"], 30)], axis=1)
TEST = np.stack([RNG.choice(["a", "b", "d"], 30), RNG.choice(["x", "z"], 30)], axis=1)


def test_known_categories_are_coded_as_scikit_learn_does():
    ordinal, one_hot = ordinal_encoder(TRAIN, unknown="error"), one_hot_encoder(TRAIN, unknown="error")
    assert isinstance(ordinal, OrdinalEncoder) and isinstance(one_hot, OneHotEncoder)
    assert ordinal(TRAIN).dtype == np.int32 and one_hot(TRAIN).dtype == np.float32
    np.testing.assert_array_equal(ordinal(TRAIN), preprocessing.OrdinalEncoder().fit_transform(TRAIN))
    np.testing.assert_array_equal(one_hot(TRAIN), preprocessing.OneHotEncoder(sparse_output=False).fit_transform(TRAIN))


def test_unknown_categories_get_the_column_that_is_zero_in_train():
    encode = one_hot_encoder(TRAIN)
    names = encode.feature_names(["letter", "axis"])
    assert names == ("letter=a", "letter=b", "letter=c", "letter=unknown", "axis=x", "axis=y", "axis=unknown")
    assert not encode(TRAIN)[:, [3, 6]].any()
    np.testing.assert_array_equal(encode(TEST)[:, 3], TEST[:, 0] == "d")
    np.testing.assert_array_equal(encode(TEST)[:, 6], TEST[:, 1] == "z")
    np.testing.assert_array_equal(encode(TEST).sum(axis=1), 2)
    codes, sizes = ordinal_encoder(TRAIN)(TEST), ordinal_encoder(TRAIN).sizes
    assert sizes == (4, 3) and set(codes[TEST[:, 0] == "d", 0]) == {3} and codes[:, 1].max() == 2


def test_values_of_validation_and_test_change_nothing_of_train():
    outcomes = []
    for others in (TEST, np.full_like(TEST, "q"), np.full_like(TEST, "a")):
        one_hot, ordinal = one_hot_encoder(TRAIN), ordinal_encoder(TRAIN)
        assert len(one_hot(others)) == len(ordinal(others)) == len(others)
        outcomes.append((one_hot.categories, ordinal.categories, one_hot(TRAIN).tobytes(), ordinal(TRAIN).tobytes()))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    with pytest.raises(AttributeError):
        ordinal_encoder(TRAIN).categories = ()  # pyright: ignore[reportAttributeAccessIssue]


def test_integers_booleans_and_columns_of_objects_are_categories_too():
    mixed = np.array([["red", 3, True], ["blue", -1, False]], object)
    encode = ordinal_encoder(mixed)
    assert encode.categories == (("blue", "red"), (-1, 3), (False, True))
    assert encode(np.array([["red", 7, False]], object)).tolist() == [[1, 2, 0]]


@pytest.mark.parametrize("encoder", [one_hot_encoder, ordinal_encoder])
def test_a_wrong_call_names_what_it_found(encoder):
    with pytest.raises(ValueError, match=r"'d' in row \d+ of column 0 is not in train.*unknown='column'"):
        encoder(TRAIN, unknown="error")(TEST)
    with pytest.raises(ValueError, match="did you mean 'column'"):
        encoder(TRAIN, unknown="colum")
    with pytest.raises(ValueError, match="2 columns as train, found 1"):
        encoder(TRAIN)(TEST[:, :1])
    with pytest.raises(ValueError, match=r"pass values\[:, None\]"):
        encoder(TRAIN[:, 0])
    with pytest.raises(ValueError, match="empty"):
        encoder(TRAIN[:0])
    with pytest.raises(TypeError, match="found float in column 1"):
        encoder(np.array([["a", 0.5]], object))
    with pytest.raises(TypeError, match="found NoneType, str in column 0; give missing values a name"):
        encoder(np.array([["a"], [None]], object))
    with pytest.raises(TypeError, match="expected int in column 0 as in train, found str"):
        encoder([[1], [2]])([["1"]])
