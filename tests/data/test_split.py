"""Splits are disjoint, exhaustive, repeatable and in proportion."""

from __future__ import annotations

import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from dlcore.data import split


@hypothesis.given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=8),
    fractions=st.sampled_from([(0.8, 0.1, 0.1), (0.6, 0.2, 0.2), (1 / 3, 1 / 3, 1 / 3), (0.29, 0.7, 0.01)]),
    key=st.integers(0, 2**63),
)
def test_a_stratified_split_holds_every_row_once_and_every_class_within_one_of_its_part(counts, fractions, key):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)) * 3, counts))
    try:
        parts = split(labels, labels, fractions=fractions, key=key)
    except ValueError as error:
        assert "would be empty" in str(error)
        return
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(labels)))
    for rows, fraction in zip(parts, fractions, strict=True):
        assert abs(len(rows) - fraction * len(labels)) < 1
        for label, count in zip(np.arange(len(counts)) * 3, counts, strict=True):
            assert abs((labels[rows] == label).sum() - fraction * count) < 1


def test_many_small_classes_keep_both_their_counts_and_the_split_sizes():
    # 23 classes of 7 rows: every cell of the table has to be rounded, so units must move between columns.
    labels = np.repeat(np.arange(23), 7)
    train, validation, test = split(labels, labels, fractions=(0.5, 0.25, 0.25))
    assert (len(train), len(validation), len(test)) == (80, 41, 40)
    for rows, part in ((train, 3.5), (validation, 1.75), (test, 1.75)):
        counts = np.bincount(labels[rows], minlength=23)
        assert counts.min() >= math.floor(part) and counts.max() <= math.ceil(part)


def test_equal_keys_give_equal_splits_and_other_keys_others():
    labels = np.arange(60) % 3
    first, again, other = (split(labels, labels, key=key) for key in (4, 4, 5))
    for mine, same, different in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(mine, same)
        assert not np.array_equal(mine, different)


def test_rows_come_out_shuffled_and_not_class_by_class():
    labels = np.repeat([0, 1], 50)
    train, _, _ = split(labels, labels)
    assert 20 < np.abs(np.diff(labels[train])).sum() < 60  # class by class there would be one change


def test_a_plain_split_takes_real_targets_and_every_row_equally_often():
    targets = np.linspace(0, 1, 20)[:, None]
    tested = np.bincount(
        np.concatenate([split(targets, targets, key=key, stratify=False)[2] for key in range(500)]), minlength=20
    )
    # Binomial(500, 0.1): mean 50, standard deviation 6.7; five of them on either side.
    assert tested.min() > 16 and tested.max() < 84


def test_the_fraction_of_a_hundred_rows_is_exact():
    assert [len(rows) for rows in split(range(100), np.zeros(100, int), fractions=(0.29, 0.57, 0.14))] == [29, 57, 14]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"y": np.zeros(9, int)}, ValueError, "found 10 in x and 9 in y"),
        ({"y": np.zeros(10)}, TypeError, "stratify=False"),
        ({"y": np.zeros((10, 1), int)}, TypeError, r"found int64 \(10, 1\)"),
        ({"fractions": (0.8, 0.2, 0.0)}, ValueError, "positive"),
        ({"fractions": (0.8, 0.1, 0.2)}, ValueError, "with sum 1.1"),
        ({"fractions": (0.8, 0.1, float("nan"))}, ValueError, "positive"),
        ({"fractions": (0.8, 0.2)}, ValueError, "three numbers"),
        ({"fractions": 0.8}, ValueError, "three numbers"),
        ({"fractions": (0.98, 0.01, 0.01)}, ValueError, "test would be empty: 10 rows"),
        ({"key": -1}, ValueError, "non-negative"),
        ({"key": 1.5}, TypeError, "expected an int, found float"),
        ({"key": True}, TypeError, "expected an int, found bool"),
    ],
)
def test_a_wrong_call_names_the_argument_and_the_repair(options, error, message):
    arguments = {"x": np.zeros((10, 2)), "y": np.zeros(10, int), **options}
    with pytest.raises(error, match=message):
        split(**arguments)
