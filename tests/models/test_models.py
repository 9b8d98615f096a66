"""Models have the sizes of their papers, and train to the optimum that scikit-learn finds by other means."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

import dlcore as dl
from dlcore import models
from dlcore.json_form import from_json, to_json

KEY = jax.random.key(0)


def shapes(tree):
    return {name: jnp.shape(leaf) for name, leaf in tree.items()}


def size(params):
    return sum(leaf.size for leaf in jax.tree.leaves(params))


@pytest.mark.few(3)
@pytest.mark.parametrize("hidden", [(), (7,), (5, 4, 3)])
@pytest.mark.parametrize("classes", [1, 6])
def test_the_mlp_has_weights_and_biases_between_all_layers(hidden, classes):
    params, state = models.mlp(hidden, classes).init(KEY, jnp.zeros((2, 3, 3)))
    widths = [9, *hidden, classes]
    assert size(params) == sum(a * b + b for a, b in zip(widths, widths[1:], strict=False)) and state == {}
    assert list(params) == [*(f"hidden_{i}" for i in range(len(hidden))), "out"]


def test_an_mlp_is_its_formula():
    model = models.mlp((5,), classes=2, activation=jnp.tanh)
    x = jax.random.normal(KEY, (4, 3))
    params, _ = model.init(KEY, x)
    first, last = params["hidden_0"], params["out"]
    expected = np.tanh(x @ first["kernel"] + first["bias"]) @ last["kernel"] + last["bias"]
    np.testing.assert_allclose(model.apply(params, {}, x)[0], expected, atol=1e-6)


def test_an_mlp_draws_only_with_dropout():
    x = jnp.ones((4, 3))
    for rate, draws in ((0.0, False), (0.5, True)):
        model = models.mlp((32,), classes=2, dropout=rate)
        params, _ = model.init(KEY, x)
        one, other = (model.apply(params, {}, x, key=jax.random.key(n), train=True)[0] for n in (1, 2))
        assert np.array_equal(one, other) is not draws


@pytest.mark.parametrize("make", [models.linear, models.softmax_regression])
def test_linear_models_start_from_zeros_and_flatten_their_input(make):
    params, _ = make(3).init(KEY, jnp.zeros((2, 4, 5)))
    assert shapes(params["out"]) == {"kernel": (20, 3), "bias": (3,)}
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize(("classes", "parameters"), [(10, 61_706), (3, 61_706 - 7 * 85)])
def test_lenet5_has_the_sizes_of_its_paper(classes, parameters):
    # 6 and 16 maps of 5 x 5, then 120, 84 and the classes: 156 + 2,416 + 48,120 + 10,164 + 850.
    plan = models.lenet5(classes).plan(jax.ShapeDtypeStruct((2, 28, 28, 1), "float32"))
    assert sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(plan.params)) == parameters
    assert plan.output.shape == (2, classes)
    outputs = {name: child.output.shape for name, child in plan.children.items()}
    assert outputs["conv1"] == (2, 28, 28, 6) and outputs["pool1"] == (2, 14, 14, 6)
    assert outputs["conv2"] == (2, 10, 10, 16) and outputs["pool2"] == (2, 5, 5, 16)
    assert outputs["flatten"] == (2, 400) and outputs["dense1"] == (2, 120) and outputs["dense2"] == (2, 84)


@pytest.mark.slow
def test_lenet5_learns_four_images_by_heart():
    x = jax.random.normal(KEY, (4, 28, 28, 1))
    run = dl.fit(
        models.lenet5(4), (x, np.arange(4)), steps=25, batch_size=4, optimizer=dl.optim.adam(2e-3), progress=False
    )
    assert run.metrics["loss"][-1] < 0.1 * run.metrics["loss"][0] and run.metrics["accuracy"][-1] == 1


@pytest.mark.parametrize(
    "model",
    [
        models.mlp((5,), 3),
        models.mlp([4, 4], dropout=0.1),
        models.linear(2),
        models.softmax_regression(3),
        models.lenet5(7),
    ],
    ids=repr,
)
def test_models_have_recipes(model):
    assert eval(repr(model), dict(vars(models))) is model
    assert from_json(to_json(model)) is model


@pytest.mark.slow
def test_linear_regression_reaches_least_squares_on_diabetes():
    data = dl.data.diabetes()
    x, y = data.train["x"], data.train["y"]
    best = LinearRegression().fit(x, y)
    optimum = np.square(best.predict(x) - y).mean()
    # Full batches, and one over the steepest curvature, 2 * the largest eigenvalue of the Gram matrix.
    inputs = np.hstack([x, np.ones((len(x), 1))])
    rate = 0.5 / np.linalg.eigvalsh(inputs.T @ inputs / len(x)).max()
    run = dl.fit(
        models.linear(),
        (x, y),
        steps=800,
        batch_size=len(x),
        optimizer=dl.optim.momentum(float(rate), 0.95, nesterov=True),
        progress=False,
    )
    np.testing.assert_allclose(run.evaluate("train")["loss"], optimum, rtol=1e-6)
    np.testing.assert_allclose(run.predict(x), best.predict(x), atol=1e-3)  # of targets up to 346


def test_softmax_regression_reaches_the_maximum_likelihood_on_iris():
    data = dl.data.iris()
    x, y = data.train["x"], data.train["y"]
    # The classes of iris are nearly separable, and the optimum without a penalty is far away: a small one on the
    # weights brings it near. scikit-learn counts it per data set, and leaves the bias out too.
    strength = 1e-2
    best = LogisticRegression(C=1 / (strength * len(x)), max_iter=1000, tol=1e-8).fit(x.astype(float), y)
    model = models.softmax_regression(3)

    def objective(params, state, batch, *, key, train, hparams):
        logits, state = model.apply(params, state, batch["x"])
        penalty = strength / 2 * jnp.square(params["out"]["kernel"]).sum()
        loss = dl.losses.cross_entropy(logits, batch["y"]).mean() + penalty
        return loss, (state, {"loss": loss})

    optimizer = dl.optim.adam(0.05)
    run = dl.fit(model, (x, y), objective=objective, steps=600, batch_size=len(x), optimizer=optimizer, progress=False)
    # Two minimisers of one strictly convex function, each stopped where its gradient is small.
    np.testing.assert_allclose(jax.nn.softmax(run.predict(x)), best.predict_proba(x.astype(float)), atol=1e-4)
