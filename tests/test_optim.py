"""Optimizers take the steps of torch and of plain optax, are optax's own kind of value, and know their ranges."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dlcore import optim
from dlcore.json_form import from_json, to_json
from dlcore.recipe import recipe_of

STEPS = 60
RANDOM = np.random.default_rng(2)
START = {"kernel": RANDOM.normal(size=(3, 4)).astype(np.float32), "bias": RANDOM.normal(size=4).astype(np.float32)}
GRADIENTS = [{k: RANDOM.normal(size=v.shape).astype(np.float32) for k, v in START.items()} for _ in range(STEPS)]

OPTIMIZERS = {
    "sgd": optim.sgd(0.1),
    "momentum": optim.momentum(0.03, 0.8),
    "nesterov": optim.momentum(0.03, 0.8, nesterov=True),
    "rmsprop": optim.rmsprop(0.01, decay=0.95, eps=1e-3),
    "adam": optim.adam(0.02, b1=0.8, b2=0.95, eps=1e-6),
    "adamw": optim.adamw(0.02, b1=0.8, b2=0.95, eps=1e-6, weight_decay=0.1),
}
PLAIN = {
    "sgd": optax.sgd(0.1),
    "momentum": optax.sgd(0.03, momentum=0.8),
    "nesterov": optax.sgd(0.03, momentum=0.8, nesterov=True),
    "rmsprop": optax.rmsprop(0.01, decay=0.95, eps=1e-3, eps_in_sqrt=True),
    "adam": optax.adam(0.02, b1=0.8, b2=0.95, eps=1e-6),
    "adamw": optax.adamw(0.02, b1=0.8, b2=0.95, eps=1e-6, weight_decay=0.1),
}
TORCH = {
    "sgd": ("SGD", {"lr": 0.1}),
    "momentum": ("SGD", {"lr": 0.03, "momentum": 0.8}),
    "nesterov": ("SGD", {"lr": 0.03, "momentum": 0.8, "nesterov": True}),
    "adam": ("Adam", {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-6}),
    "adamw": ("AdamW", {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1}),
}


def path(optimizer, start=START, gradients=GRADIENTS):
    """The params after every step."""

    @jax.jit
    def step(params, opt_state, gradient):
        change, opt_state = optimizer.update(gradient, opt_state, params)
        return optax.apply_updates(params, change), opt_state

    params, opt_state, visited = start, optimizer.init(start), []
    for gradient in gradients:
        params, opt_state = step(params, opt_state, gradient)
        visited.append(params)
    return jax.tree.map(lambda *leaves: np.stack(leaves), *visited)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_take_the_steps_of_plain_optax(name):
    jax.tree.map(np.testing.assert_array_equal, path(OPTIMIZERS[name]), path(PLAIN[name]))


@pytest.mark.parametrize("name", TORCH)
def test_optimizers_take_the_steps_of_torch(name):
    torch = pytest.importorskip("torch")
    kind, settings = TORCH[name]
    leaves = {k: torch.nn.Parameter(torch.tensor(v)) for k, v in START.items()}
    theirs = getattr(torch.optim, kind)(leaves.values(), **settings)
    ours = path(OPTIMIZERS[name])
    for n, gradient in enumerate(GRADIENTS):
        for key, leaf in leaves.items():
            leaf.grad = torch.tensor(gradient[key])
        theirs.step()
        for key, leaf in leaves.items():
            # Both round in float32, in another order: one unit in the last place a step, on values of order one.
            np.testing.assert_allclose(ours[key][n], leaf.detach().numpy(), atol=STEPS * 2e-7, rtol=0)


@functools.cache
def rmsprop_by_hand(inside):
    """The formula in float64, with eps inside the root, as in dlcore, or outside, as in torch."""
    places = {}
    for key, value in START.items():
        w, n, visited = value.astype(float), np.zeros(value.shape), []
        for gradient in GRADIENTS:
            g = gradient[key].astype(float)
            n = 0.95 * n + 0.05 * g**2
            w = w - 0.01 * g / (np.sqrt(n + 1e-3) if inside else np.sqrt(n) + 1e-3)
            visited.append(w)
        places[key] = np.stack(visited)
    return places


def test_rmsprop_follows_its_formula_with_eps_inside_the_root():
    ours = path(OPTIMIZERS["rmsprop"])
    for key, expected in rmsprop_by_hand(inside=True).items():
        np.testing.assert_allclose(ours[key], expected, atol=1e-5, rtol=0)  # float32 against float64, 60 steps


def test_torch_rmsprop_is_another_one_with_eps_outside_the_root():
    torch = pytest.importorskip("torch")
    leaf = torch.nn.Parameter(torch.tensor(START["bias"]))
    theirs = torch.optim.RMSprop([leaf], lr=0.01, alpha=0.95, eps=1e-3)
    for gradient in GRADIENTS:
        leaf.grad = torch.tensor(gradient["bias"])
        theirs.step()
    np.testing.assert_allclose(leaf.detach().numpy(), rmsprop_by_hand(inside=False)["bias"][-1], atol=1e-5, rtol=0)
    assert np.abs(rmsprop_by_hand(inside=True)["bias"][-1] - rmsprop_by_hand(inside=False)["bias"][-1]).max() > 1e-4


def test_the_first_step_of_adam_is_the_learning_rate_against_the_sign():
    moved = path(optim.adam(0.1, eps=0.0), gradients=GRADIENTS[:1])
    np.testing.assert_allclose(moved["bias"][0] - START["bias"], -0.1 * np.sign(GRADIENTS[0]["bias"]), rtol=1e-5)


def test_the_averaging_form_of_momentum_takes_the_same_path_at_a_larger_rate():
    share, rate = 0.8, 0.03
    velocity, w = 0.0, START["bias"].astype(float)
    for gradient in GRADIENTS:
        velocity = share * velocity + (1 - share) * gradient["bias"]
        w = w - rate / (1 - share) * velocity
    np.testing.assert_allclose(path(optim.momentum(rate, share))["bias"][-1], w, atol=1e-5, rtol=0)


def test_adamw_decays_only_what_the_mask_names():
    def kernels(params):
        return jax.tree.map(lambda leaf: leaf.ndim > 1, params)

    masked = path(optim.adamw(0.02, weight_decay=0.5, mask=kernels))
    np.testing.assert_array_equal(masked["bias"], path(optim.adam(0.02))["bias"])
    np.testing.assert_array_equal(masked["kernel"], path(optim.adamw(0.02, weight_decay=0.5))["kernel"])


# --- recipes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_is_an_optax_transformation_with_a_recipe(name):
    optimizer = OPTIMIZERS[name]
    assert isinstance(optimizer, optax.GradientTransformation)
    assert isinstance(optimizer, optax.GradientTransformationExtraArgs)
    init, update = optimizer
    assert init is optimizer.init and update is optimizer.update
    assert eval(repr(optimizer), dict(vars(optim))) is optimizer
    assert from_json(to_json(optimizer)) is optimizer


def test_equal_optimizers_are_one_object():
    assert optim.adam(3e-4) is optim.adam(learning_rate=3e-4, b1=0.9)
    assert optim.adam(3e-4) is not optim.adam(1e-3)
    assert optim.adam(3e-4) is not optim.adamw(3e-4)
    assert repr(optim.adam(3e-4)) == "adam(learning_rate=0.0003)"


def test_optimizers_work_in_a_chain():
    ours = optax.chain(optax.clip_by_global_norm(0.5), optim.adam(0.02))
    plain = optax.chain(optax.clip_by_global_norm(0.5), optax.adam(0.02))
    jax.tree.map(np.testing.assert_array_equal, path(ours), path(plain))


def test_optimizers_ignore_extra_arguments():
    gradient, optimizer = GRADIENTS[0], optim.sgd(0.1)
    change: Any = optimizer.update(gradient, optimizer.init(START), START, value=1.0)[0]
    np.testing.assert_allclose(change["bias"], -0.1 * gradient["bias"], rtol=1e-6)


# --- hyperparameters -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [optim.sgd, optim.momentum, optim.rmsprop, optim.adam, optim.adamw])
@pytest.mark.parametrize("rate", [0, -0.1, math.nan, math.inf, -math.inf, np.float32(-1), jnp.array(math.nan)])
def test_a_learning_rate_that_is_not_a_positive_number_is_refused(make, rate):
    with pytest.raises(ValueError, match="learning_rate: expected a positive number"):
        make(rate)


@pytest.mark.parametrize(
    ("make", "name", "values"),
    [
        (optim.momentum, "momentum", (1.0, -0.1, math.nan)),
        (optim.rmsprop, "decay", (1.0, -0.1, math.nan)),
        (optim.rmsprop, "eps", (-1e-8, math.nan, math.inf)),
        (optim.adam, "b1", (1.5, 1, -0.1, math.nan)),
        (optim.adam, "b2", (1.0, -0.1)),
        (optim.adam, "eps", (-1e-8, math.nan)),
        (optim.adamw, "b1", (1.5,)),
        (optim.adamw, "b2", (1.0,)),
        (optim.adamw, "weight_decay", (-0.1, math.nan, math.inf)),
    ],
)
def test_hyperparameters_out_of_range_are_refused(make, name, values):
    for value in values:
        with pytest.raises(ValueError, match=f"{name}: expected a number"):
            make(**{name: value})


def test_an_unknown_argument_gets_a_suggestion():
    with pytest.raises(TypeError, match="did you mean 'learning_rate'"):
        optim.adam(learning_rte=0.1)  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_traced_learning_rate_is_accepted(name):
    made = recipe_of(OPTIMIZERS[name])
    assert made is not None

    @jax.jit
    def step(rate):
        optimizer = made.factory(**(made.bound.arguments | {"learning_rate": rate}))
        return optimizer.update(GRADIENTS[0], optimizer.init(START), START)[0]

    expected, _ = OPTIMIZERS[name].update(GRADIENTS[0], OPTIMIZERS[name].init(START), START)
    found = step(made.bound.arguments["learning_rate"])
    # A traced rate is multiplied in another order than a constant.
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-6), found, expected)


@pytest.mark.parametrize("make", [optim.sgd, optim.momentum, optim.rmsprop, optim.adam, optim.adamw])
def test_a_schedule_is_accepted(make):
    moved = path(make(optax.piecewise_constant_schedule(0.1, {2: 0.0})), gradients=GRADIENTS[:5])
    assert (moved["bias"][0] != START["bias"]).all()
    np.testing.assert_array_equal(moved["bias"][2:], np.broadcast_to(moved["bias"][2], (3, 4)))
