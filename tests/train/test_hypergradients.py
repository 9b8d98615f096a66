"""The gradient of a validation loss goes back through a whole run."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import dlcore as dl
from dlcore.compose import derive
from dlcore.data import Batches

KEY = jax.random.key(0)
STEPS = 24


@pytest.fixture(scope="module")
def clouds():
    random = np.random.default_rng(0)
    y = np.arange(48) % 3
    x = random.normal(size=(48, 4)) + 1.5 * np.eye(3, 4)[y]
    return x.astype(np.float32), y.astype(np.int32)


def validation(model, result, x, y):
    logits, _ = model.apply(result.params, result.state, x)
    return dl.losses.cross_entropy(logits, y).mean()


def derivative(f, at, width):
    """Central differences of order four: the error is of order width ** 4, and of rounding over width."""
    near, far = (f(at + width) - f(at - width)) / 2, (f(at + 2 * width) - f(at - 2 * width)) / 4
    return (4 * near - far) / (3 * width)


def smooth(clouds, optimizer, **options):
    """Validation loss as a function of the hyperparameters; tanh, because a kink has no derivative to compare with."""
    (x, y), model = clouds, dl.models.mlp((8,), classes=3, activation=dl.activations.tanh)
    run = dl.make_run(model, (x[:32], y[:32]), optimizer=optimizer, steps=STEPS, batch_size=8, **options)
    return jax.jit(lambda hparams: validation(model, run(KEY, hparams), x[32:], y[32:]))


OPTIMIZERS = {
    "sgd": (dl.optim.sgd(0.2), {"learning_rate": 0.2}),
    "momentum": (dl.optim.momentum(0.05), {"learning_rate": 0.05, "momentum": 0.8}),
    "adam": (dl.optim.adam(0.01), {"learning_rate": 0.01, "b1": 0.9}),
    "adamw": (dl.optim.adamw(0.02, weight_decay=0.1), {"learning_rate": 0.02, "weight_decay": 0.1}),
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "remat"), [("sgd", None), ("momentum", 5), ("adam", None), ("adamw", 5)])
def test_the_hypergradient_agrees_with_finite_differences(clouds, name, remat):
    optimizer, hparams = OPTIMIZERS[name]
    loss = smooth(clouds, optimizer, hparams=hparams, remat=remat)
    found = jax.grad(loss)(hparams)
    for own, at in hparams.items():
        numeric = derivative(lambda value, own=own: float(loss(hparams | {own: value})), at, 0.02 * at)
        # The loss is a float32 after 24 steps: 1e-6 of noise over a width of 2% of the value.
        assert found[own] == pytest.approx(numeric, rel=0.01, abs=1e-5 / (0.02 * at)), own
        assert abs(numeric) > 10 * 1e-6 / (0.02 * at), "the derivative must stand out of the noise"


@pytest.mark.slow
def test_gradient_descent_on_least_squares_has_a_closed_form():
    random = np.random.default_rng(1)
    x, w = random.normal(size=(16, 3)), random.normal(size=(3, 1))
    y = x @ w + 0.1 * random.normal(size=(16, 1))
    model, rate, steps = dl.layers.dense(1, use_bias=False), 0.1, 20
    data = (x.astype(np.float32), y.astype(np.float32))
    run = dl.make_run(model, data, optimizer=dl.optim.sgd(rate), steps=steps, batch_size=16)

    def loss(rate):
        kernel = run(KEY, {"learning_rate": rate}).params["kernel"]
        return jnp.square(x @ kernel - y).mean()

    kernel = np.asarray(model.init(derive(KEY, "init"), jnp.zeros((1, 3)))[0]["kernel"], float)
    # w' = w - r g(w) and dw'/dr = dw/dr - g(w) - r H dw/dr, where g is the gradient and H its constant slope.
    slope, hessian = np.zeros_like(kernel), 2 * x.T @ x / len(x)
    for _ in range(steps):
        gradient = 2 * x.T @ (x @ kernel - y) / len(x)
        kernel, slope = kernel - rate * gradient, slope - gradient - rate * hessian @ slope
    expected = (2 * x.T @ (x @ kernel - y) / len(x) * slope).sum()
    assert jax.grad(loss)(rate) == pytest.approx(expected, rel=1e-4)  # twenty steps in float32


@pytest.mark.slow
def test_every_example_has_a_weight_with_a_gradient(clouds):
    x, y = clouds
    flipped = y.copy()
    flipped[:32:4] = (y[:32:4] + 1) % 3  # every fourth training label is wrong
    model = dl.models.softmax_regression(3)

    def loss(weights):
        source = Batches({"x": x[:32], "y": flipped[:32], "mask": weights}, 8, 32)
        run = dl.make_run(model, source, optimizer=dl.optim.sgd(0.5), steps=40, remat=8)
        return validation(model, run(KEY), x[32:], y[32:])

    ones = jnp.ones(32)
    found = jax.jit(jax.grad(loss))(ones)
    for row in (0, 3, 17, 28):
        unit = jnp.zeros(32).at[row].set(1)
        numeric = derivative(jax.jit(lambda t, unit=unit: loss(ones + t * unit)), 0.0, 0.1)
        assert found[row] == pytest.approx(float(numeric), rel=0.01, abs=1e-5)
    # More weight on a wrong label makes the validation loss larger, and on a right one smaller: on the whole.
    wrong = np.arange(32) % 4 == 0
    assert found[wrong].mean() > 0 > found[~wrong].mean()


@pytest.mark.slow
@pytest.mark.parametrize("remat", [7, STEPS])
def test_remat_changes_no_value(clouds, remat):
    x, y = clouds
    options = {"optimizer": dl.optim.adam(0.01), "steps": STEPS, "batch_size": 8}
    plain, again = (dl.make_run(dl.models.mlp((8,), classes=3), (x, y), **options, remat=r)(KEY) for r in (None, remat))
    assert again.metrics["loss"].shape == (STEPS,)
    # The loops are compiled otherwise: a rounding in a step of Adam.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), again.params, plain.params)
    np.testing.assert_allclose(again.metrics["loss"], plain.metrics["loss"], atol=1e-5)


@pytest.mark.slow
def test_remat_takes_the_memory_of_the_square_root(clouds):
    (x, y), model = clouds, dl.models.mlp((64, 64), classes=3, activation=dl.activations.tanh)

    def bytes_of(remat):
        run = dl.make_run(model, (x, y), optimizer=dl.optim.sgd(0.1), steps=225, batch_size=8, remat=remat)
        gradient = jax.grad(lambda rate: validation(model, run(KEY, {"learning_rate": rate}), x, y))
        found = jax.jit(gradient).lower(0.1).compile().memory_analysis()
        assert found is not None
        return found.temp_size_in_bytes

    assert bytes_of(15) < 0.25 * bytes_of(None)  # 2 * 15 states in place of 225


@pytest.mark.slow
def test_the_square_root_of_adam_wants_a_little_more_than_zero(clouds):
    x, y = clouds
    x = np.concatenate([x, np.zeros((len(x), 1), np.float32)], 1)  # a column of zeros: gradients that are exactly 0

    def slope(optimizer):
        model = dl.models.softmax_regression(3)
        run = dl.make_run(model, (x, y), optimizer=optimizer, steps=5, batch_size=8, hparams={"learning_rate": 0.01})
        return jax.grad(lambda rate: validation(model, run(KEY, {"learning_rate": rate}), x, y))(0.01)

    assert np.isnan(slope(dl.optim.adam(0.01)))
    assert np.isfinite(slope(lambda hparams: optax.adam(hparams["learning_rate"], eps_root=1e-8)))


@pytest.mark.parametrize("remat", [0, -1, 2.5, True])
def test_remat_is_a_number_of_steps(clouds, remat):
    with pytest.raises(ValueError, match="remat: expected a positive whole number of steps"):
        dl.make_run(dl.models.softmax_regression(3), clouds, steps=5, batch_size=8, remat=remat)
