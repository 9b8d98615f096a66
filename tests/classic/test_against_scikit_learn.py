"""Optima, clusters and components against scikit-learn, on its own tables."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import cluster, datasets, decomposition, linear_model, preprocessing

import dlcore as dl
from dlcore import classic

LOADERS = {name: getattr(datasets, f"load_{name}") for name in ("iris", "wine", "breast_cancer", "digits", "diabetes")}


def _table(name: str) -> tuple[np.ndarray, np.ndarray]:
    x, y = LOADERS[name](return_X_y=True)
    return preprocessing.scale(x), y


@pytest.mark.few(2)
@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize("strength", [0.0, 3.0])
def test_linear_regression_is_at_scikit_learn_s_optimum(name: str, strength: float):
    x, y = _table(name)
    theirs = (linear_model.Ridge(strength) if strength else linear_model.LinearRegression()).fit(x, y)

    def objective(kernel: Any, bias: Any) -> float:
        return float(np.square(x @ kernel + bias - y).sum() + strength * np.square(kernel).sum())

    params = classic.linear_regression(x, y, strength=strength)
    ours = objective(np.asarray(params["kernel"], float)[:, 0], np.asarray(params["bias"], float)[0])
    best = objective(theirs.coef_, theirs.intercept_)
    assert abs(ours - best) <= 1e-4 * best
    predicted = dl.models.linear().apply({"out": params}, {}, jnp.asarray(x, jnp.float32))[0][:, 0]
    np.testing.assert_allclose(predicted, theirs.predict(x), atol=2e-3 * np.abs(y).max())


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "digits"])
def test_softmax_regression_is_at_scikit_learn_s_optimum(name: str):
    x, y = _table(name)
    theirs = linear_model.LogisticRegression(C=0.5, tol=1e-8, max_iter=5000).fit(x, y)
    classes = len(np.unique(y))

    def objective(kernel: Any, bias: Any) -> float:
        logits = x @ kernel + bias
        logits = logits - logits.max(1, keepdims=True)
        loss = np.log(np.exp(logits).sum(1)) - logits[range(len(y)), y]
        return float(loss.sum() + np.square(kernel).sum() * 2 / 2)

    params = classic.logistic_regression(x, y, strength=2.0)
    ours = objective(np.asarray(params["kernel"], float), np.asarray(params["bias"], float))
    if classes == 2:  # theirs is one kernel, w; ours of the two is w / 2 and -w / 2, whose penalty is half of theirs
        theirs = linear_model.LogisticRegression(C=1.0, tol=1e-8, max_iter=5000).fit(x, y)
        kernel, bias = np.hstack([-theirs.coef_.T, theirs.coef_.T]) / 2, np.array([-1, 1]) * theirs.intercept_ / 2
    else:
        kernel, bias = theirs.coef_.T, theirs.intercept_
    best = objective(kernel, bias)
    assert ours <= best * (1 + 1e-4)
    model = dl.models.softmax_regression(classes)
    guesses = model.apply({"out": params}, {}, jnp.asarray(x, jnp.float32))[0].argmax(-1)
    assert np.mean(guesses == theirs.predict(x)) > 0.999


@pytest.mark.few(1)
@pytest.mark.parametrize("name", LOADERS)
def test_components_explain_what_scikit_learn_s_do(name: str):
    x, _ = _table(name)
    theirs, ours = decomposition.PCA(svd_solver="full").fit(x), classic.pca(x)
    np.testing.assert_allclose(ours.ratio, theirs.explained_variance_ratio_, atol=1e-5)
    np.testing.assert_allclose(ours.variance, theirs.explained_variance_, rtol=1e-4, atol=1e-4)
    two = classic.pca(x, 2)
    np.testing.assert_allclose(np.abs(two.project(x)), np.abs(theirs.transform(x)[:, :2]), atol=2e-3)
    gram = np.asarray(ours.components @ ours.components.T)
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-4)
    np.testing.assert_allclose(ours.reconstruct(ours.project(x)), x, atol=1e-3)


@pytest.mark.few(1)
@pytest.mark.parametrize(("name", "clusters"), [("iris", 3), ("wine", 3), ("digits", 10)])
def test_the_best_of_a_hundred_starts_is_scikit_learn_s(name: str, clusters: int):
    x, _ = _table(name)
    options: dict[str, Any] = {"n_init": 100, "random_state": 0}
    theirs: Any = cluster.KMeans(clusters, **options).fit(x)
    found = classic.kmeans(x, clusters, starts=100)
    assert float(found.inertia) <= theirs.inertia_ * (1 + 1e-3)
    labels, centers = np.asarray(found.labels), np.asarray(found.centers, np.float64)
    nearest = np.square(x[:, None] - centers).sum(-1)
    np.testing.assert_allclose(np.square(x - centers[labels]).sum(), found.inertia, rtol=1e-4)
    assert (nearest[range(len(x)), labels] <= nearest.min(1) + 1e-3).all()


@pytest.mark.slow
def test_every_cluster_keeps_a_point_and_points_that_are_one_are_no_error():
    x = jnp.concatenate([jnp.zeros((20, 2)), jnp.ones((1, 2))])
    found = classic.kmeans(x, 2, starts=3)
    assert sorted(np.bincount(np.asarray(found.labels)).tolist()) == [1, 20] and found.inertia == 0
    assert classic.kmeans(jnp.zeros((5, 2)), 3).inertia == 0
    assert classic.kmeans(x, 1).centers.shape == (1, 2)


def test_the_same_key_finds_the_same():
    x = np.random.default_rng(0).normal(size=(40, 2))
    one, other = (classic.kmeans(x, 4, key=key) for key in (3, jax.random.key(3)))
    np.testing.assert_array_equal(one.centers, other.centers)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: classic.kmeans(jnp.ones((3, 2)), 4), "1 to N clusters, found \\(3, 2\\) and 4"),
        (lambda: classic.kmeans(jnp.array([[1.0], [jnp.nan]]), 1), "expected finite numbers"),
        (lambda: classic.kmeans(jnp.ones(3), 1), "expected x"),
        (lambda: classic.pca(jnp.ones((1, 2))), "two rows or more"),
        (lambda: classic.pca(jnp.ones((3, 2)), 3), "count: expected 1 to 2 components"),
        (lambda: classic.linear_regression(jnp.ones((3, 2)), jnp.ones(2)), "expected x \\(N, features\\) and y"),
        (
            lambda: classic.linear_regression(jnp.ones((3, 2)), jnp.ones(3), strength=-1.0),
            "strength: expected a number",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.slow
def test_all_of_it_works_in_float64():
    x, y = _table("iris")
    with jax.enable_x64(True):
        assert classic.fit_perceptron(x, y == 0).converged
        assert classic.kmeans(x, 3).centers.dtype == classic.pca(x).components.dtype == jnp.float64
        assert classic.logistic_regression(x, y)["kernel"].dtype == classic.linear_regression(x, y)["kernel"].dtype
        assert classic.gradient_descent(lambda p: jnp.sum(p**2), jnp.ones(2)).reason == "gradient"
