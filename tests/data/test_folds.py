"""Folds validate every row once, keep classes in proportion and groups whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from dlcore.data import k_fold

WRONG: Any = "a"
RNG = np.random.default_rng(0)
LABELS = RNG.permutation(np.repeat([0, 1, 2], [50, 25, 15]))
GROUPS = RNG.integers(0, 20, 90)
WAYS = [
    {"stratify": True},
    {"stratify": False},
    {"stratify": True, "groups": GROUPS},
    {"stratify": False, "groups": GROUPS},
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("folds", [2, 5])
def test_every_row_validates_once_and_trains_otherwise(way, folds):
    cuts = k_fold(LABELS, folds, **way)
    assert len(cuts) == folds
    np.testing.assert_array_equal(np.sort(np.concatenate([validation for _, validation in cuts])), np.arange(90))
    for train, validation in cuts:
        np.testing.assert_array_equal(np.sort(np.concatenate([train, validation])), np.arange(90))
        if "groups" in way:
            assert not set(GROUPS[train]) & set(GROUPS[validation])


def test_classes_stay_in_proportion():
    for _, validation in k_fold(LABELS, 5):
        assert np.bincount(LABELS[validation]).tolist() == [10, 5, 3]


def test_stratified_groups_come_nearer_to_the_proportions_than_groups_alone():
    apart = lambda cuts: np.std([np.bincount(LABELS[rows], minlength=3) / len(rows) for _, rows in cuts], axis=0).sum()
    many = [[apart(k_fold(LABELS, 5, stratify=s, groups=GROUPS, key=key)) for key in range(5)] for s in (True, False)]
    assert np.mean(many[0]) < np.mean(many[1])


@pytest.mark.parametrize("way", WAYS)
def test_equal_keys_give_equal_folds_and_others_others(way):
    flat = lambda key: [validation.tolist() for _, validation in k_fold(LABELS, 3, key=key, **way)]
    assert flat(7) == flat(7)
    assert any(flat(7) != flat(key) for key in range(5))
    k_fold(LABELS, 3, key=2**40, **way)  # beyond the 32 bits of NumPy's old seeds


def test_the_cuts_are_those_of_scikit_learn():
    state = lambda: np.random.RandomState(np.random.PCG64(3))
    oracle = StratifiedKFold(4, shuffle=True, random_state=state()).split(LABELS, LABELS)
    for (_, ours), (_, theirs) in zip(k_fold(LABELS, 4, key=3), oracle, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    names = np.array([f"patient {number}" for number in GROUPS])
    assert len(k_fold(LABELS, 4, groups=names)) == len(list(StratifiedGroupKFold(4).split(LABELS, LABELS, names)))


def test_real_targets_are_cut_without_strata():
    assert [len(rows) for _, rows in k_fold(RNG.normal(size=(7, 2)), 3, stratify=False)] == [3, 2, 2]


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: k_fold([0, 0, 0, 1, 1], 3), ValueError, "class 1 has 2 members, fewer than 3 folds; ask for 2 folds"),
        (lambda: k_fold([0, 1], 3, stratify=False), ValueError, "folds: expected from 2 to 2"),
        (lambda: k_fold([0, 1], 1), ValueError, "folds: expected from 2"),
        (lambda: k_fold([0, 1], WRONG), TypeError, "folds: expected an int, found str"),
        (lambda: k_fold([0.5, 1.5], 2), TypeError, "pass stratify=False"),
        (lambda: k_fold([], 2), TypeError, "expected integer labels"),
        (lambda: k_fold(np.zeros(0, int), 2), ValueError, "at least one label"),
        (lambda: k_fold(3, 2, stratify=False), ValueError, "found a scalar"),
        (lambda: k_fold([0, 0, 1, 1], 2, groups=[1, 1, 1]), ValueError, r"groups: expected shape \(4,\)"),
        (lambda: k_fold([0, 0, 1, 1], 2, groups=[1, 1, 1, 1]), ValueError, "at least 2 groups for 2 folds, found 1"),
        (lambda: k_fold([0, 0, 1, 1], 2, key=-1), ValueError, "key: expected a non-negative int"),
        (lambda: k_fold([0, 0, 1, 1], 2, key=WRONG), TypeError, "key: expected an int, found str"),
    ],
)
def test_a_wrong_call_names_the_argument(call, error, said):
    with pytest.raises(error, match=said):
        call()
