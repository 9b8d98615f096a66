from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore import activations, layers

X = np.array([-200.0, -30.0, -3.0, -1.0, -0.1, 0.0, 0.1, 1.0, 3.0, 30.0, 200.0], np.float32)

CASES: dict[str, tuple[Callable[..., Any], str, dict[str, Any]]] = {
    "elu": (activations.elu, "elu", {}),
    "elu of another alpha": (lambda x: activations.elu(x, 0.5), "elu", {"alpha": 0.5}),
    "gelu": (activations.gelu, "gelu", {}),
    "gelu by tanh": (lambda x: activations.gelu(x, approximate=True), "gelu", {"approximate": "tanh"}),
    "leaky_relu": (activations.leaky_relu, "leaky_relu", {}),
    "leaky_relu of another slope": (lambda x: activations.leaky_relu(x, 0.3), "leaky_relu", {"negative_slope": 0.3}),
    "log_softmax": (activations.log_softmax, "log_softmax", {"dim": -1}),
    "relu": (activations.relu, "relu", {}),
    "sigmoid": (activations.sigmoid, "sigmoid", {}),
    "silu": (activations.silu, "silu", {}),
    "softmax": (activations.softmax, "softmax", {"dim": -1}),
    "softplus": (activations.softplus, "softplus", {}),
    "tanh": (activations.tanh, "tanh", {}),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_agree_with_torch(name: str):
    torch = pytest.importorskip("torch")
    ours, theirs, options = CASES[name]
    function = getattr(torch, theirs) if theirs == "tanh" else getattr(torch.nn.functional, theirs)
    x = torch.tensor(X, requires_grad=True)
    weights = np.linspace(0.5, 1.5, X.size).astype(np.float32)  # a plain sum has no gradient through a softmax
    y = function(x, **options)
    (y * torch.tensor(weights)).sum().backward()
    # Both are float32, with exponentials and error functions of their own: a few units in the last place of the
    # largest intermediate value, which is 1 for all but log_softmax (200).
    np.testing.assert_allclose(ours(jnp.asarray(X)), y.detach().numpy(), rtol=1e-5, atol=3e-6)
    gradient = jax.grad(lambda x: (ours(x) * weights).sum())(jnp.asarray(X))
    apart = X != 0  # where there is a kink, libraries choose another derivative
    np.testing.assert_allclose(gradient[apart], x.grad.numpy()[apart], rtol=1e-5, atol=3e-6)


def test_relu_has_derivative_zero_at_zero():
    assert jax.grad(activations.relu)(0.0) == 0.0


def test_identity_returns_its_input():
    assert activations.identity(X) is X  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("name", sorted(set(activations.__all__) - {"identity"}))
def test_every_activation_is_a_layer_of_the_same_name(name: str):
    y, state = getattr(layers, name)().apply({}, {}, jnp.asarray(X))
    np.testing.assert_array_equal(y, getattr(activations, name)(jnp.asarray(X)))
    assert state == {}


def test_layers_pass_their_options_on():
    for made, function in (
        (layers.leaky_relu(0.3), lambda x: activations.leaky_relu(x, 0.3)),
        (layers.elu(0.5), lambda x: activations.elu(x, 0.5)),
        (layers.gelu(approximate=True), lambda x: activations.gelu(x, True)),
    ):
        np.testing.assert_array_equal(made.apply({}, {}, jnp.asarray(X))[0], function(jnp.asarray(X)))


@pytest.mark.parametrize("name", sorted(activations.__all__))
def test_activations_keep_half_precision(name: str):
    assert getattr(activations, name)(jnp.ones(3, jnp.bfloat16)).dtype == jnp.bfloat16
