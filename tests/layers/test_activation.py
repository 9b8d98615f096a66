from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore import activations, layers
from dlcore.core import Layer, lambda_layer
from dlcore.json_form import from_json, to_json

X = jnp.linspace(-8, 8, 16).reshape(2, 8)
KEPT = jnp.arange(8) < jnp.array([[5], [0]])

WITH_PARAMETERS = {"maxout", "prelu"}


@pytest.mark.few(6)
@pytest.mark.parametrize("name", sorted(set(activations.__all__) - WITH_PARAMETERS))
def test_every_activation_is_a_layer_of_the_same_name(name: str):
    y, state = getattr(layers, name)().apply({}, {}, X)
    np.testing.assert_array_equal(y, getattr(activations, name)(X))
    assert state == {}


@pytest.mark.parametrize("name", sorted(activations.__all__))
def test_every_activation_comes_back_from_json_as_the_same_function(name: str):
    function = getattr(activations, name)
    assert from_json(to_json(function)) is function
    assert from_json(to_json(lambda_layer(function))) is lambda_layer(function)


def test_swish_is_another_name_of_silu():
    assert layers.swish is layers.silu
    assert repr(layers.swish()) == "silu()"


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("made", "function"),
    [
        (layers.celu(0.5), lambda x: activations.celu(x, 0.5)),
        (layers.elu(0.5), lambda x: activations.elu(x, 0.5)),
        (layers.geglu(approximate=True), lambda x: activations.geglu(x, True)),
        (layers.gelu(approximate=True), lambda x: activations.gelu(x, True)),
        (layers.leaky_relu(0.3), lambda x: activations.leaky_relu(x, 0.3)),
        (layers.log_softmax(axis=0), lambda x: activations.log_softmax(x, 0)),
        (layers.softmax(axis=0), lambda x: activations.softmax(x, 0)),
        (layers.step("straight_through"), lambda x: activations.step(x, "straight_through")),
    ],
    ids=lambda value: repr(value) if isinstance(value, Layer) else "",
)
def test_layers_pass_their_options_on(made: Any, function: Any):
    weighted = lambda function: (
        lambda x: (function(x) * jnp.arange(16.0).reshape(2, 8)[:, : function(x).shape[1]]).sum()
    )
    layered = lambda x: made.apply({}, {}, x)[0]
    np.testing.assert_array_equal(layered(X), function(X))
    np.testing.assert_array_equal(jax.grad(weighted(layered))(X), jax.grad(weighted(function))(X))


def test_a_mask_is_a_second_input_of_the_softmaxes():
    for name in ("softmax", "log_softmax"):
        model = getattr(layers, name)()
        params, state = model.init(jax.random.key(0), X, KEPT)
        np.testing.assert_array_equal(model.apply(params, state, X, KEPT)[0], getattr(activations, name)(X, where=KEPT))
        assert model.plan(X, KEPT).output.shape == X.shape
