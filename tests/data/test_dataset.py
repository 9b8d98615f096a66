"""A dataset is checked when it is made, and shows what it holds."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.data import Dataset, as_dataset, digits

X = np.arange(12.0).reshape(6, 2)
LABELS = np.array([0, 1, 2, 0, 1, 2])
TARGETS = np.linspace(0, 1, 6)[:, None]


def classes(train=None, validation=None, test=None, **options):
    options = {"task": "classification", "classes": ("a", "b", "c"), **options}
    return Dataset("toy", {"x": X, "y": LABELS} if train is None else train, validation, test, **options)


def regression(y, **options):
    return Dataset("toy", {"x": X, "y": y}, task="regression", **options)


def with_value(array, position, value):
    changed = np.array(array)
    changed[position] = value
    return changed


def test_arrays_of_any_width_become_float32_inputs_and_int32_labels():
    for x in (X, X.astype(np.float16), jnp.asarray(X, jnp.bfloat16), X > 3):
        for y in (LABELS, LABELS.astype(np.uint8), jnp.asarray(LABELS)):
            train = classes({"x": x, "y": y}).train
            assert (train["x"].dtype, train["y"].dtype) == (np.float32, np.int32)
            assert isinstance(train["x"], np.ndarray) and isinstance(train["y"], np.ndarray)
            np.testing.assert_array_equal(train["y"], LABELS)


def test_targets_become_float32():
    assert regression(TARGETS).train["y"].dtype == np.float32
    assert regression(np.arange(6)[:, None]).train["y"].tolist() == [[0.0], [1.0], [2.0], [3.0], [4.0], [5.0]]


def test_integer_inputs_stay_integers_so_that_token_ids_reach_an_embedding():
    tokens = np.arange(12, dtype=np.int64).reshape(6, 2)
    train = classes({"x": tokens, "y": tokens % 3}).train
    assert train["x"].dtype == np.int32
    np.testing.assert_array_equal(train["x"], tokens)
    assert train["y"].shape == (6, 2)


def test_a_dataset_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        classes().name = "other"  # pyright: ignore[reportAttributeAccessIssue]


def test_the_splits_that_are_there_come_in_order():
    assert list(classes(test={"x": X, "y": LABELS}).splits) == ["train", "test"]


def test_repr_says_sizes_shapes_and_classes():
    dataset = digits()
    expected = "Dataset digits: 1437 train / 180 validation / 180 test, x (8, 8, 1) float32, y 10 classes"
    assert repr(dataset) == expected
    assert repr(regression(TARGETS)) == "Dataset toy: 6 train, x (2,) float32, y (1,) float32"


def test_html_shows_the_class_counts_and_escapes_names():
    page = classes(classes=("<a>", "b", "c"))._repr_html_()
    assert "&lt;a&gt;" in page and "<a>" not in page
    assert "<tr><td>train</td><td>6</td><td>2</td><td>2</td><td>2</td></tr>" in page
    assert "<td>6</td></tr>" in regression(TARGETS)._repr_html_()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_a_number_that_is_not_finite_in_float32_is_refused_by_split_and_row(value):
    with pytest.raises(ValueError, match=r"validation x: .*in row 4 \(1 of 6 rows are affected\); drop those rows"):
        classes(validation={"x": with_value(X, (4, 1), value), "y": LABELS})
    with pytest.raises(ValueError, match="train y: .*in row 2"):
        regression(with_value(TARGETS, (2, 0), value))


@pytest.mark.parametrize("label", [-1, 3, 2**40])
def test_a_label_outside_the_classes_is_refused_with_its_row(label):
    with pytest.raises(ValueError, match=rf"test y: expected labels from 0 to 2 for 3 classes, found {label} in row 5"):
        classes(test={"x": X, "y": with_value(LABELS, 5, label)})


def test_float_labels_are_refused_with_the_repair():
    with pytest.raises(TypeError, match="train y: expected integer class labels, found dtype float64; pass y.astype"):
        classes({"x": X, "y": LABELS.astype(float)})


def test_labels_in_a_column_are_refused_with_the_repair():
    with pytest.raises(ValueError, match=r"found \(6, 1\); pass y\[:, 0\]"):
        classes({"x": X, "y": LABELS[:, None]})


def test_flat_targets_are_refused_unless_asked_for():
    with pytest.raises(ValueError, match=r"found \(6,\).*pass y\[:, None\]"):
        regression(TARGETS[:, 0])
    assert regression(TARGETS[:, 0], flat_targets=True).train["y"].shape == (6,)


def test_flat_inputs_are_refused_with_the_repair():
    with pytest.raises(ValueError, match=r"found \(6,\); pass x\[:, None\]"):
        classes({"x": X[:, 0], "y": LABELS})


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"x": X[:0], "y": LABELS[:0]}, "test x: .*empty shape"),
        ({"x": X, "y": LABELS[:5]}, "test: .*found 6 in x and 5 in y"),
        ({"x": X[:, :1], "y": LABELS}, r"test x: expected rows of shape \(2,\) float32 as in train, found \(1,\)"),
        ({"x": X.astype(int), "y": LABELS}, r"test x: expected rows .* found \(2,\) int32"),
        ({"x": 1.0, "y": LABELS}, "test x: .*scalar"),
        ({"x": np.full((6, 2), 2**40), "y": LABELS}, "test x: .*fit int32"),
    ],
)
def test_a_split_that_does_not_fit_is_refused(split, message):
    with pytest.raises(ValueError, match=message):
        classes(test=split)


@pytest.mark.parametrize(
    "split", [(X, LABELS), {"x": X}, {"x": X, "y": LABELS, "z": X}, {"x": X.astype(str), "y": LABELS}]
)
def test_a_split_that_is_no_dict_of_numbers_is_refused(split):
    with pytest.raises(TypeError, match="test"):
        classes(test=split)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"task": "clasification"}, ValueError, "did you mean 'classification'?"),
        ({"classes": ()}, ValueError, "expected a name for every class"),
        ({"classes": ("a", "b", "a")}, ValueError, "found 'a' more than once"),
        ({"classes": 3}, TypeError, "expected a sequence of names, found 3"),
        ({"task": "regression"}, ValueError, "regression has none, found 3 names"),
        ({"feature_names": ("width",)}, ValueError, "expected 2 names for the last axis of x, found 1"),
    ],
)
def test_names_that_do_not_fit_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        classes(**options)


def test_a_dataset_needs_training_examples():
    with pytest.raises(ValueError, match="train: expected a dict of 'x' and 'y', found None"):
        Dataset("toy", None, task="regression")  # pyright: ignore[reportArgumentType]


def test_a_dataset_is_what_training_takes_already():
    dataset = classes()
    assert as_dataset(dataset) is dataset


@pytest.mark.parametrize("asarray", [np.asarray, jnp.asarray])
def test_a_pair_with_integer_labels_is_classification(asarray):
    dataset = as_dataset((asarray(X), asarray(LABELS)))
    assert (dataset.task, dataset.classes) == ("classification", ("0", "1", "2"))
    assert list(dataset.splits) == ["train"]
    np.testing.assert_array_equal(dataset.train["x"], X)


def test_a_pair_with_boolean_labels_has_two_classes():
    assert as_dataset((X, LABELS > 0)).classes == ("0", "1")


@pytest.mark.parametrize("targets", [TARGETS, TARGETS[:, 0]])
def test_a_pair_with_real_targets_is_regression_and_keeps_their_shape(targets):
    dataset = as_dataset((X, targets))
    assert dataset.task == "regression" and dataset.train["y"].shape == targets.shape


@pytest.mark.parametrize("labels", [LABELS - 1, LABELS * 10**9])
def test_a_pair_with_unlikely_labels_is_refused(labels):
    with pytest.raises(ValueError, match="labels"):
        as_dataset((X, labels))


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (X, "found ndarray"),
        ("digits", "found str"),
        ((X,), r"found a tuple of 1: \(ndarray\)"),
        ((X, LABELS, X), "found a tuple of 3"),
        ((X.tolist(), LABELS), r"found a tuple of 2: \(list, ndarray\); wrap lists"),
        ({"x": X, "y": LABELS}, "found dict"),
    ],
)
def test_other_data_is_refused_by_what_was_found(data, found):
    with pytest.raises(TypeError, match=found):
        as_dataset(data)
