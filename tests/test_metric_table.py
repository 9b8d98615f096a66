"""Metrics against scikit-learn; sums that add up as the whole; masks; nonsense."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as theirs

import dlcore as dl
from dlcore import metrics

RANDOM = np.random.default_rng(0)
N, C = 90, 4
LOGITS = (RANDOM.normal(size=(N, C)) * 2).astype(np.float32)
LABELS = np.where(RANDOM.random(N) < 0.5, LOGITS.argmax(-1), RANDOM.integers(0, 3, N)).astype(np.int32)
LABELS[0] = 3
GUESSES = LOGITS.argmax(-1)
SOFT = np.asarray(jax.nn.softmax(LOGITS))
SCORES = np.round(RANDOM.normal(size=N) + (LABELS == 1), 1).astype(np.float32)  # rounded: with ties
BITS = (LABELS == 1).astype(np.int32)
KEPT = RANDOM.random(N) < 0.7
KEPT[:8] = True
BRIER: Any = theirs.brier_score_loss  # its types do not know `scale_by_half`: whether two classes count as one
Y = RANDOM.normal(1e3, 2, N).astype(np.float32)
P = (Y + RANDOM.normal(size=N)).astype(np.float32)


def _ece(labels: Any, soft: Any, bins: int = 15) -> float:
    sure, right, total = soft.max(-1), soft.argmax(-1) == labels, 0.0
    for low in np.arange(bins) / bins:
        own = (sure > low) & (sure <= low + 1 / bins)
        total += abs(right[own].mean() - sure[own].mean()) * own.mean() if own.any() else 0
    return total


# Ours with a mask, and scikit-learn's of what the mask leaves.
CASES: dict[str, tuple[Any, Any]] = {
    "accuracy": (
        lambda w: metrics.Mean.of(metrics.accuracy(LOGITS, LABELS), w).value(),
        lambda k: theirs.accuracy_score(LABELS[k], GUESSES[k]),
    ),
    "top_k": (
        lambda w: metrics.Mean.of(metrics.top_k(2)(LOGITS, LABELS), w).value(),
        lambda k: theirs.top_k_accuracy_score(LABELS[k], LOGITS[k], k=2, labels=range(C)),
    ),
    "confusion_matrix": (
        lambda w: metrics.confusion_matrix(LOGITS, LABELS, where=w),
        lambda k: theirs.confusion_matrix(LABELS[k], GUESSES[k], labels=range(C)),
    ),
    **{
        f"{name}, {average}": (
            lambda w, name=name, average=average: getattr(metrics, name)(LOGITS, LABELS, average=average, where=w),
            lambda k, name=name, average=average: getattr(theirs, f"{name}_score")(
                LABELS[k], GUESSES[k], average=average, zero_division=0.0
            ),
        )
        for name in ("precision", "recall", "f1")
        for average in ("micro", "macro", "weighted", None)
    },
    "roc_auc": (lambda w: metrics.roc_auc(SCORES, BITS, where=w), lambda k: theirs.roc_auc_score(BITS[k], SCORES[k])),
    "roc_auc, classes": (
        lambda w: metrics.roc_auc(SOFT, LABELS, where=w),
        lambda k: theirs.roc_auc_score(LABELS[k], SOFT[k], multi_class="ovr"),
    ),
    "average_precision": (
        lambda w: metrics.average_precision(SCORES, BITS, where=w),
        lambda k: theirs.average_precision_score(BITS[k], SCORES[k]),
    ),
    "average_precision, classes": (
        lambda w: metrics.average_precision(SOFT, LABELS, where=w),
        lambda k: theirs.average_precision_score(LABELS[k], SOFT[k]),
    ),
    "r2": (lambda w: metrics.r2(P, Y, where=w), lambda k: theirs.r2_score(Y[k], P[k])),
    "rmse": (lambda w: metrics.rmse(P, Y, where=w), lambda k: theirs.root_mean_squared_error(Y[k], P[k])),
    "mae": (lambda w: metrics.Mean.of(metrics.mae(P, Y), w).value(), lambda k: theirs.mean_absolute_error(Y[k], P[k])),
    "brier": (
        lambda w: metrics.Mean.of(metrics.brier(LOGITS, LABELS), w).value(),
        lambda k: BRIER(LABELS[k], SOFT[k], labels=range(C), scale_by_half=False),
    ),
    "perplexity": (
        lambda w: metrics.perplexity(dl.losses.cross_entropy(LOGITS, LABELS), where=w),
        lambda k: np.exp(theirs.log_loss(LABELS[k], SOFT[k], labels=range(C))),
    ),
    "calibration_error": (
        lambda w: metrics.calibration_error(LOGITS, LABELS, where=w),
        lambda k: _ece(LABELS[k], SOFT[k]),
    ),
}


@pytest.mark.few(2)
@pytest.mark.parametrize("name", CASES)
def test_metrics_are_scikit_learn_s_with_and_without_a_mask(name: str):
    ours, sklearn_s = CASES[name]
    everything = np.ones(N, bool)
    # Sums of a hundred float32 numbers.
    np.testing.assert_allclose(ours(None), sklearn_s(everything), rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(jax.jit(ours)(jnp.asarray(KEPT)), sklearn_s(KEPT), rtol=2e-5, atol=1e-6)


ARRAYS = {"y": Y, "p": P, "logits": LOGITS, "labels": LABELS}
SUMS: dict[str, tuple[Any, Any, Any]] = {
    "Mean": (lambda a: metrics.Mean.of(a["y"]), metrics.Mean.zero(), lambda made: made.value()),
    "Confusion": (
        lambda a: metrics.Confusion.of(a["logits"], a["labels"]),
        metrics.Confusion.zero(C),
        lambda made: made.f1(),
    ),
    "Moments": (lambda a: metrics.Moments.of(a["p"], a["y"]), metrics.Moments.zero(), lambda made: made.r2()),
    "Calibration": (
        lambda a: metrics.Calibration.of(a["logits"], a["labels"]),
        metrics.Calibration.zero(),
        lambda made: made.error(),
    ),
}


@pytest.mark.few(1)
@pytest.mark.parametrize("name", SUMS)
def test_parts_add_up_to_the_whole_in_a_scan_and_over_lanes(name: str):
    of, zero, value = SUMS[name]
    rows = jnp.arange(N).reshape(9, 10)
    batches = jax.tree.map(lambda array: jnp.asarray(array)[rows], ARRAYS)
    scanned, _ = jax.jit(lambda b: jax.lax.scan(lambda total, own: (total + of(own), None), zero, b))(batches)
    lanes = jax.jit(jax.vmap(of))(batches)
    joined = zero
    for i in range(9):
        joined = joined + jax.tree.map(lambda leaf: leaf[i], lanes)  # noqa: B023
    whole = value(of(jax.tree.map(jnp.asarray, ARRAYS)))
    # The targets are near 1000 with a spread of 2: plain sums of squares would lose R2 altogether.
    np.testing.assert_allclose(value(scanned), whole, rtol=1e-5)
    np.testing.assert_allclose(value(joined), whole, rtol=1e-5)
    if name != "Moments":  # its parts are merged, not added: gather them over devices, and sum them there
        mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), "d")
        spec = jax.sharding.PartitionSpec("d")
        summed = jax.shard_map(
            lambda b: jax.lax.psum(of(b), "d"), mesh=mesh, in_specs=spec, out_specs=jax.sharding.PartitionSpec()
        )
        np.testing.assert_allclose(value(summed(jax.tree.map(jnp.asarray, ARRAYS))), whole, rtol=1e-5)


def test_a_prediction_that_is_nan_is_a_miss():
    logits = np.array(LOGITS)
    logits[:5] = np.nan
    found = metrics.Confusion.of(jnp.asarray(logits), LABELS)
    assert float(found.counts.sum()) == N - 5 and float(found.missed.sum()) == 5
    right = (GUESSES == LABELS)[5:].sum() / N
    assert np.isclose(found.accuracy(), right) and np.isclose(metrics.accuracy(logits, LABELS).mean(), right)
    assert np.isclose(found.recall("micro"), right)
    assert metrics.top_k(2)(jnp.asarray(logits), LABELS)[:5].sum() == 0


def test_nothing_has_no_mean():
    assert np.isnan(metrics.Mean.zero().value()) and np.isnan(metrics.Confusion.zero(3).accuracy())
    assert np.isnan(metrics.Calibration.zero().error()) and np.isnan(metrics.r2(jnp.ones(3), jnp.ones(3)))
    assert np.isnan(jax.jit(metrics.roc_auc)(jnp.ones(3), jnp.zeros(3, int)))
    assert metrics.Confusion.zero(3).f1() == 0


def test_fit_takes_them():
    chosen = (metrics.accuracy, metrics.top_k(2), metrics.brier)
    run = dl.fit(dl.models.softmax_regression(3), dl.data.iris(), epochs=1, metrics=chosen)
    assert {"accuracy", "top_2", "brier"} <= {*run.metrics}


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: metrics.top_k(0), ValueError, "k: expected a positive whole number, found 0"),
        (lambda: metrics.top_k(9)(LOGITS, LABELS), ValueError, "expected k of at most 4 classes, found 9"),
        (lambda: metrics.top_k(2)(LOGITS, LOGITS), ValueError, r"top_k: expected labels \(90,\)"),
        (lambda: metrics.brier(LOGITS, LOGITS), ValueError, "brier: expected labels"),
        (lambda: metrics.confusion_matrix(GUESSES, LABELS), ValueError, "classes: how many are there"),
        (
            lambda: metrics.confusion_matrix(GUESSES, LABELS, 2),
            ValueError,
            r"expected classes in \[0, 2\), found 0 to 3",
        ),
        (
            lambda: metrics.confusion_matrix(LOGITS, SOFT[:, 0]),
            TypeError,
            "targets: labels are integers, found float32",
        ),
        (lambda: metrics.f1(LOGITS, LABELS, average="mean"), ValueError, "average: expected one of"),
        (lambda: metrics.roc_auc(SCORES, LABELS), ValueError, r"expected targets in \[0, 2\), found 0 to 3"),
        (lambda: metrics.roc_auc(SCORES, 0 * BITS), ValueError, "no example is of class 1: there is nothing to rank"),
        (lambda: metrics.roc_auc(SCORES, SOFT), ValueError, r"expected scores \(N,\) or \(N, classes\)"),
        (lambda: metrics.rmse(Y, Y[:, None]), ValueError, "rmse: expected targets of the shape"),
        (lambda: metrics.calibration_error(LOGITS, LABELS, bins=0), ValueError, "bins: expected a positive"),
    ],
)
def test_what_does_not_fit_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()
