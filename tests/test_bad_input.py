"""What the plain stack takes in silence, or answers with a stack trace of its own, is an error with a repair here.

One table: a call, the exception, and words of its message. Nothing may reach the compiler before it is refused.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dlcore as dl
from dlcore import layers
from tests.compiles import counting

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(24, 4)).astype(np.float32)
LABELS = np.arange(24) % 3
TARGETS = X[:, :1]
IMAGES = np.zeros((2, 8, 8, 3), np.float32)
CNN = layers.serial(
    block=layers.serial(conv=layers.conv(4, 3), relu=layers.relu()), flat=layers.flatten(), out=dl.dense(3)
)
NORM = layers.serial(hidden=dl.dense(4), norm=layers.batch_norm(), out=dl.dense(3))
CLASSIFIER = dl.models.softmax_regression(3)


def params_of(layer, x):
    return layer.init(KEY, jnp.asarray(x))


CNN_PARAMS, _ = params_of(CNN, IMAGES)
NORM_PARAMS, NORM_STATE = params_of(NORM, X)
DENSE_PARAMS, _ = params_of(dl.dense(3), X)


def fit(model: Any = CLASSIFIER, data: Any = (X, LABELS), **options: Any):
    return dl.fit(model, data, **({"progress": False, "batch_size": 8, "steps": 2} | options))


def never_called():
    return dl.compose(lambda call, x: call.used(x), used=dl.dense(2), forgotten=dl.dense(2))


def stateful_in_vmap():
    def forward(call, x):
        return jax.vmap(call.norm)(x)

    model = dl.compose(forward, norm=layers.batch_norm())
    params, state = model.init(KEY, X[None])
    return model.apply(params, state, X[None], train=True)


def random_in_vmap():
    def forward(call, x):
        return jax.vmap(call.drop)(x)

    model = dl.compose(forward, drop=dl.dropout(0.5))
    return model.apply({}, {}, X, key=KEY, train=True)


def with_nan(array, row):
    array = np.array(array, np.float32)
    array[row] = np.nan
    return array


def dataset(**changes):
    splits: dict[str, Any] = {"train": {"x": X, "y": LABELS}, "validation": None, "test": None} | changes
    return dl.data.Dataset("bad", **splits, task="classification", classes=("a", "b", "c"))


class Case(NamedTuple):
    """A call that must not succeed."""

    call: object
    error: type[Exception]
    words: str
    note: str = ""


CASES = {
    # layers
    "wrong rank": Case(lambda: CNN.apply(CNN_PARAMS, {}, X), ValueError, "spatial axes, found", "in layer block/conv"),
    "wrong rank in fit": Case(lambda: fit(CNN), ValueError, "spatial axes, found", "in layer block/conv"),
    "wrong channel count": Case(
        lambda: CNN.apply(CNN_PARAMS, {}, IMAGES[..., :1]),
        ValueError,
        "another number of channels",
        "in layer block/conv",
    ),
    "wrong number of features": Case(
        lambda: NORM.apply(NORM_PARAMS, NORM_STATE, X[:, :2]),
        ValueError,
        "kernel .2, 4., found .*4, 4",
        "in layer hidden",
    ),
    "params of another model": Case(
        lambda: CNN.apply(NORM_PARAMS, {}, IMAGES), ValueError, "params hold 'hidden', which is no child here"
    ),
    "params of another leaf": Case(lambda: dl.dense(5).apply(DENSE_PARAMS, {}, X), ValueError, "another model's"),
    "params of another model in fit": Case(
        lambda: fit(params=NORM_PARAMS),
        ValueError,
        r"params do not fit softmax_regression.*\['hidden'\].* not in this model",
    ),
    "params of another size in fit": Case(
        lambda: fit(params={"out": {"kernel": np.zeros((5, 3), np.float32), "bias": np.zeros(3, np.float32)}}),
        ValueError,
        r"\['kernel'\] is \(5, 3\) float32 and should be \(4, 3\) float32",
    ),
    "params without a leaf in fit": Case(
        lambda: fit(params={"out": {"bias": np.zeros(3, np.float32)}}),
        ValueError,
        r"params\['out'\]\['kernel'\] is missing",
    ),
    "params without their state in fit": Case(
        lambda: fit(NORM, params=NORM_PARAMS), ValueError, r"state\['norm'\]\['mean'\] is missing"
    ),
    "a child never called": Case(
        lambda: never_called().init(KEY, X),
        ValueError,
        "child 'forgotten' is never called by .*: call it, or take it out",
    ),
    "a child never called in fit": Case(lambda: fit(never_called()), ValueError, "child 'forgotten' is never called"),
    "called stateful inside the user's vmap": Case(
        stateful_in_vmap, ValueError, "has state, and is called inside a vmap.*`repeat`, `recurrent` or `remat`"
    ),
    "called random inside the user's vmap": Case(
        random_in_vmap, ValueError, "draws random numbers, and is called inside"
    ),
    "batch norm on one value per channel": Case(
        lambda: NORM.apply(NORM_PARAMS, NORM_STATE, X[:1], train=True),
        ValueError,
        "two or more values per channel",
        "in layer norm",
    ),
    "batch norm on one value per channel in fit": Case(
        lambda: fit(NORM, batch_size=1), ValueError, "two or more values per channel, found x .1, 4.", "in layer norm"
    ),
    "dropout without a key": Case(
        lambda: layers.serial(dl.dense(2), dl.dropout(0.5)).apply(
            {"0": {"kernel": jnp.zeros((4, 2)), "bias": jnp.zeros(2)}}, {}, X, train=True
        ),
        ValueError,
        "dropout needs a key in training",
        "in layer 1",
    ),
    "dropout rate of one": Case(lambda: dl.dropout(1.0), ValueError, r"rate: expected .*\[0, 1\), found 1.0"),
    "dropout rate above one": Case(lambda: dl.dropout(1.5), ValueError, "rate: expected"),
    "dropout rate below zero": Case(lambda: dl.dropout(-0.1), ValueError, "rate: expected"),
    "dropout rate NaN": Case(lambda: dl.dropout(float("nan")), ValueError, "rate: expected"),
    # labels and targets
    "labels outside the classes": Case(
        lambda: dataset(train={"x": X, "y": LABELS + 1}),
        ValueError,
        "labels from 0 to 2 for 3 classes, found 3 in row 2",
    ),
    "negative labels": Case(lambda: dataset(train={"x": X, "y": LABELS - 1}), ValueError, "found -1 in row 0"),
    "negative labels in fit": Case(lambda: fit(data=(X, LABELS - 1)), ValueError, "found -1 in row 0"),
    "more classes than outputs in fit": Case(
        lambda: fit(data=(X, LABELS * 2)),
        ValueError,
        "labels: the data have 5 classes .* and the model 3 outputs; give it 5",
    ),
    "labels outside the classes in the loss": Case(
        lambda: dl.losses.cross_entropy(jnp.zeros((24, 3)), LABELS + 1),
        ValueError,
        r"expected labels in \[0, 3\), found 1 to 3",
    ),
    "float labels": Case(
        lambda: dataset(train={"x": X, "y": LABELS.astype(float)}),
        TypeError,
        r"expected integer class labels.*astype\('int32'\)",
    ),
    "float labels in fit": Case(
        lambda: fit(data=(X, LABELS.astype(np.float32)), loss=dl.losses.cross_entropy),
        TypeError,
        "labels are integers, found float32",
    ),
    "(N,) against (N, 1)": Case(
        lambda: dl.losses.mse(jnp.zeros((24, 1)), TARGETS[:, 0]),
        ValueError,
        r"mse: expected targets of .*\(24, 1\), found \(24,\)",
    ),
    "(N,) against (N, 1) in fit": Case(
        lambda: fit(dl.models.linear(), (X, TARGETS[:, 0])),
        ValueError,
        r"\(8, 1\), found \(8,\); they are not broadcast",
    ),
    "(N, 1) against (N,) in fit": Case(
        lambda: fit(layers.serial(dl.dense(1), lambda y: y[:, 0]), (X, TARGETS)), ValueError, r"\(8,\), found \(8, 1\)"
    ),
    # data
    "NaN in the data": Case(
        lambda: dataset(train={"x": with_nan(X, 5), "y": LABELS}),
        ValueError,
        "train x: expected finite .* found nan in row 5",
    ),
    "NaN in the data of fit": Case(lambda: fit(data=(with_nan(X, 5), LABELS)), ValueError, "found nan in row 5"),
    "NaN in the targets of fit": Case(
        lambda: fit(dl.models.linear(), (X, with_nan(TARGETS, 7))), ValueError, "found nan in row 7"
    ),
    "an empty split": Case(
        lambda: dataset(test={"x": X[:0], "y": LABELS[:0]}), ValueError, "bad, test x: .*empty shape .0, 4.; pass None"
    ),
    "empty data in fit": Case(lambda: fit(data=(X[:0], LABELS[:0])), ValueError, "empty shape"),
    "x and y of different lengths": Case(lambda: fit(data=(X, LABELS[:20])), ValueError, "found 24 in x and 20 in y"),
    "a batch larger than the data": Case(
        lambda: fit(batch_size=25), ValueError, "batch_size: 25 is more than the 24 training examples; give 24 or less"
    ),
    "a batch of no examples": Case(
        lambda: fit(batch_size=0), ValueError, "batch_size: expected a positive whole number, found 0"
    ),
    "a batch of half an example": Case(
        lambda: fit(batch_size=0.5), ValueError, "batch_size: expected a positive whole number"
    ),
    "an unknown data set": Case(lambda: dl.data.load("irs"), ValueError, "'irs'.*did you mean 'iris'"),
    "data of no kind": Case(lambda: fit(data=3), TypeError, "data: expected a Dataset or a pair"),
    "a data set by name": Case(lambda: fit(data="iris"), TypeError, "data: expected a Dataset or a pair"),
    # optimizers
    "negative learning rate": Case(
        lambda: dl.optim.adam(-1e-3), ValueError, "learning_rate: expected a positive number, found -0.001"
    ),
    "learning rate of zero": Case(
        lambda: dl.optim.sgd(0.0), ValueError, "learning_rate: expected a positive number, found 0.0"
    ),
    "learning rate NaN": Case(lambda: dl.optim.rmsprop(float("nan")), ValueError, "learning_rate: .* found nan"),
    "negative learning rate among hparams": Case(
        lambda: fit(hparams={"learning_rate": -1.0}),
        ValueError,
        "learning_rate: expected a positive number, found -1.0",
    ),
    "momentum of one": Case(
        lambda: dl.optim.momentum(0.1, 1.0), ValueError, r"momentum: expected a number in \[0, 1\), found 1.0"
    ),
    "momentum above one": Case(lambda: dl.optim.momentum(0.1, 1.5), ValueError, "momentum: .* found 1.5"),
    "b1 above one": Case(lambda: dl.optim.adam(b1=1.5), ValueError, r"b1: expected a number in \[0, 1\), found 1.5"),
    "an optimizer that was not called": Case(
        lambda: fit(optimizer=dl.optim.adam), TypeError, r"optimizer: .*; call it: adam\(...\)"
    ),
    "an optimizer of no kind": Case(lambda: fit(optimizer="adam"), TypeError, "optimizer: expected an optax optimizer"),
    # other arguments of fit
    "a model that was not called": Case(
        lambda: fit(dl.models.softmax_regression),
        TypeError,
        r"model: expected a layer.*; call it: softmax_regression\(...\)",
    ),
    "a model of no kind": Case(lambda: fit("mlp"), TypeError, "model: expected a layer"),
    "a loss of no kind": Case(lambda: fit(loss="mse"), TypeError, "loss: expected a function, found 'mse'"),
    "a metric of no kind": Case(
        lambda: fit(metrics="accuracy"), TypeError, "metrics: expected functions .* found 'accuracy'"
    ),
    "an objective beside a loss": Case(
        lambda: fit(objective=lambda *a, **k: None, loss=dl.losses.mse),
        ValueError,
        "objective: it stands in place of loss",
    ),
    "epochs and steps": Case(
        lambda: fit(epochs=1, steps=1), ValueError, "epochs, steps: give one of them, found 1 and 1"
    ),
    "no steps": Case(lambda: fit(steps=0), ValueError, "steps: expected a positive number, found 0"),
    "half a step": Case(lambda: fit(steps=2.5), ValueError, "steps: expected a whole number, found 2.5"),
    "epochs NaN": Case(
        lambda: fit(steps=None, epochs=float("nan")), ValueError, "epochs: expected a positive number, found nan"
    ),
    "a key of no kind": Case(lambda: fit(key=0.5), TypeError, "key: expected a whole number or a key"),
    "an unknown hyperparameter": Case(
        lambda: fit(hparams={"learning_rte": 1.0}), ValueError, "did you mean 'learning_rate'"
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_bad_input_is_refused_with_a_repair(case):
    with pytest.raises(case.error, match=case.words) as caught:
        case.call()
    assert case.note in "\n".join(getattr(caught.value, "__notes__", ()))


REFUSED_BY_FIT = {name: case for name, case in CASES.items() if "fit" in case.call.__code__.co_names}  # pyright: ignore


@pytest.mark.parametrize("case", REFUSED_BY_FIT.values(), ids=REFUSED_BY_FIT)
def test_fit_refuses_before_it_runs_the_compiler(case):
    fit()  # the few small programs that make arrays of arguments are there by now
    fit(NORM)
    with counting() as compiles, pytest.raises(case.error):
        case.call()
    assert compiles.lowerings == compiles.backend == 0, compiles


def test_labels_outside_the_classes_are_nan_and_not_another_class_in_compiled_code():
    loss = jax.jit(dl.losses.cross_entropy)(jnp.zeros((3, 3)), jnp.array([-1, 1, 3]))
    np.testing.assert_array_equal(np.isnan(loss), [True, False, True])


def test_an_output_folder_that_exists_is_refused_before_the_run(tmp_path):
    (tmp_path / "notes.txt").write_text("precious")
    with counting() as compiles, pytest.raises(FileExistsError, match="exists and is not empty; give another folder"):
        fit(out=tmp_path)
    assert compiles.traces == 0 and [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_output_folder_that_is_read_only_is_refused_before_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    with counting() as compiles, pytest.raises(PermissionError, match="is read-only; give another folder"):
        fit(out=tmp_path / "run")
    assert compiles.traces == 0
