"""The exceptions for files and checkpoints, and the hint that follows a mistyped name."""

from __future__ import annotations

import numpy as np
import pytest

import dlcore as dl
from dlcore.errors import CheckpointError, DataError, DlcoreError, suggest


@pytest.mark.parametrize("kind", [DataError, CheckpointError])
def test_errors_of_files_are_caught_as_dlcore_errors_and_keep_their_line(kind):
    with pytest.raises(DlcoreError, match=r"^a/b: expected 3 rows, found 2$"):
        raise kind("a/b: expected 3 rows, found 2")


def test_an_error_of_a_wrong_call_is_not_a_dlcore_error():
    assert not issubclass(ValueError, DlcoreError) and not issubclass(DlcoreError, (ValueError, TypeError))


@pytest.mark.parametrize("typo", ["adm", "adamm", "ADAM", "Adam", "adma"])
def test_a_typo_gets_the_nearest_name(typo):
    assert suggest(typo, ["sgd", "adam", "rmsprop"]) == "; did you mean 'adam'?"


def test_the_suggestion_is_spelt_as_the_name_is():
    assert suggest("lenet_5", ["LeNet5", "VGG"]) == "; did you mean 'LeNet5'?"


def test_a_name_far_from_all_gets_the_sorted_list():
    assert suggest("zzz", (name for name in ("sgd", "adam"))) == "; known names: 'adam', 'sgd'"


def test_nothing_known_gives_no_hint():
    assert suggest("adam", []) == ""


def test_a_mistyped_keyword_of_fit_and_make_run_gets_a_suggestion():
    with pytest.raises(TypeError, match=r"^fit: got an unexpected keyword argument 'epoch'; did you mean 'epochs'\?$"):
        dl.fit(dl.models.linear(), (np.zeros((4, 2)), np.zeros((4, 1))), epoch=3)  # pyright: ignore
    with pytest.raises(TypeError, match=r"'learning_rate'"):
        dl.make_run(dl.models.linear(), (np.zeros((4, 2)), np.zeros((4, 1))), learning_rate=3)
