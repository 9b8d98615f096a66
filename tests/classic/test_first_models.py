"""Perceptron, gates and descent: what they come to, and what they say."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dlcore as dl
from dlcore import classic

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
TRUTH = {
    "and_gate": [0, 0, 0, 1],
    "or_gate": [0, 1, 1, 1],
    "nand_gate": [1, 1, 1, 0],
    "xor_by_layers": [0, 1, 1, 0],
    "xor_by_crossing": [0, 1, 1, 0],
    "xor_by_oscillation": [0, 1, 1, 0],
}


@pytest.mark.parametrize("name", TRUTH)
def test_a_gate_has_its_table(name):
    assert getattr(classic, name)(CORNERS[:, 0], CORNERS[:, 1]).tolist() == TRUTH[name]


def test_the_rule_learns_what_a_line_separates_and_says_that_none_separates_xor():
    for name, wanted in TRUTH.items():
        found = classic.fit_perceptron(CORNERS, wanted, epochs=100)
        can = not name.startswith("xor")
        assert found.converged == can == classic.is_separable(CORNERS, wanted), name
        if can:
            assert classic.perceptron(CORNERS, found.weights, found.bias).tolist() == wanted
            assert found.mistakes == 0 and "every example is on its side" in found.reason
        else:
            assert found.mistakes > 0 and found.reason == "no line separates the classes: no perceptron can"


def test_crossed_features_make_xor_separable():
    found = classic.fit_perceptron(classic.crossed(CORNERS.astype(float)), TRUTH["xor_by_layers"])
    assert found.converged


def test_of_iris_one_kind_can_be_separated_and_another_cannot():
    iris = dl.data.iris()
    x, y = np.asarray(iris.train["x"]), np.asarray(iris.train["y"])
    for label, separable in ((0, True), (1, False)):
        found = classic.fit_perceptron(x, (y == label).astype(int), epochs=2000)
        assert found.converged == separable == classic.is_separable(x, y == label)
    assert found.reason == "no line separates the classes: no perceptron can"


def test_corrections_are_no_more_than_novikoff_allows():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 3))
    normal = np.array([1.0, -2.0, 0.5])
    x = x[np.abs(x @ normal) > 0.5]
    y = (x @ normal > 0).astype(int)
    found = classic.fit_perceptron(x, y)
    margin = np.abs(x @ normal).min() / np.linalg.norm(normal)
    assert found.converged and found.updates <= (np.linalg.norm(x, axis=1) ** 2 + 1).max() / margin**2


def test_where_epochs_run_out_it_says_that_more_will_do():
    x = np.array([[0.0, 1e-3], [0.0, -1e-3], [5.0, 2e-3], [-5.0, -2e-3]])
    found = classic.fit_perceptron(x, [1, 0, 1, 0], epochs=1)
    assert not found.converged and "more epochs will find it" in found.reason


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (CORNERS, [0, 1, 2, 1], "expected labels 0 and 1, found"),
        (CORNERS, [0, 1], r"expected x \(N, features\) and y \(N,\)"),
        (np.zeros((0, 2)), [], "one or more"),
    ],
)
def test_a_perceptron_refuses(x, y, words):
    with pytest.raises(ValueError, match=words):
        classic.fit_perceptron(x, y)


def test_descent_finds_the_minimum_and_says_so():
    found = classic.gradient_descent(
        lambda p: (p["a"] - 1) ** 2 + 2 * jnp.sum(p["b"] ** 2), {"a": 4.0, "b": jnp.ones(3)}
    )
    assert found.reason == "gradient" and found.gradient_norm <= 1e-6
    np.testing.assert_allclose([found.x["a"], *found.x["b"]], [1, 0, 0, 0], atol=1e-6)


def test_descent_stops_at_a_saddle_and_the_curvature_tells():
    found = classic.gradient_descent(lambda x: x[0] ** 2 - x[1] ** 2, jnp.array([1.0, 0.0]), curvature=True)
    assert found.reason == "gradient" and found.curvature == -2 and "a saddle or a maximum" in repr(found)
    found = classic.gradient_descent(lambda x: jnp.sum(x**2), jnp.ones(2), curvature=True)
    assert found.curvature == 2 and "a minimum" in repr(found)


def test_descent_with_too_large_a_rate_ends_by_its_steps_or_leaves_the_numbers():
    swings = classic.gradient_descent(lambda x: x**2, 1.0, learning_rate=1.0, max_steps=50)
    assert swings.reason == "steps" and abs(swings.x) == 1 and "the steps are used up" in repr(swings)
    leaves = classic.gradient_descent(lambda x: x**4, 3.0, learning_rate=1.0, max_steps=1000)
    assert leaves.reason == "non-finite" and "try a smaller learning rate" in repr(leaves)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: classic.gradient_descent(lambda x: x, 1), TypeError, "expected floating arrays, found int32"),
        (
            lambda: classic.gradient_descent(lambda x: x, jnp.ones(2)),
            ValueError,
            "expected a function that gives one number",
        ),
        (
            lambda: classic.gradient_descent(lambda x: x, 1.0, learning_rate=0.0),
            ValueError,
            "expected positive learning_rate",
        ),
        (lambda: classic.exponential_average(jnp.ones(3), 1.0), ValueError, r"decay: expected a number in \[0, 1\)"),
    ],
)
def test_what_does_not_fit_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_the_exponential_average_is_its_weighted_sum():
    values = np.random.default_rng(0).normal(size=(12, 3))
    with jax.enable_x64(True):
        corrected = classic.exponential_average(values, 0.8)
        plain = classic.exponential_average(values, 0.8, debias=False)
    for t in range(12):
        weights = 0.2 * 0.8 ** np.arange(t, -1, -1)
        np.testing.assert_allclose(plain[t], weights @ values[: t + 1], rtol=1e-9)
        np.testing.assert_allclose(corrected[t], weights @ values[: t + 1] / weights.sum(), rtol=1e-9)
    assert classic.exponential_average(jnp.zeros((0, 2))).shape == (0, 2)
