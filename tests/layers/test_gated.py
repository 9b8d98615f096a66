from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore import activations, layers
from dlcore.initializers import constant
from dlcore.layers import dense, gated_dense, serial

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(2, 5, 4))

# The gate's activation, the layer that splits, and PyTorch's gate.
FAMILY: dict[str, tuple[Any, Any, str]] = {
    "GLU": (activations.sigmoid, layers.glu(), "sigmoid"),
    "ReGLU": (activations.relu, layers.reglu(), "relu"),
    "GEGLU": (activations.gelu, layers.geglu(), "gelu"),
    "SwiGLU": (activations.silu, layers.swiglu(), "silu"),
}


@pytest.mark.few(2)
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("name", FAMILY)
def test_two_projections_and_the_split_of_one_compute_the_same_and_agree_with_torch(name: str, use_bias: bool):
    torch = pytest.importorskip("torch")
    activation, split, gate = FAMILY[name]
    with jax.enable_x64(True):
        x = jnp.asarray(X)
        two = gated_dense(3, activation=activation, use_bias=use_bias, bias_init=constant(0.5))
        params, state = two.init(KEY, x)
        side_by_side = jax.tree.map(lambda v, g: jnp.concatenate([v, g], -1), params["value"], params["gate"])
        y, _ = two.apply(params, state, x)
        one, _ = serial(dense(6, use_bias=use_bias), split).apply({"0": side_by_side}, {}, x)
    v, w = (np.asarray(params[child]["kernel"]) for child in ("value", "gate"))
    bias = 0.5 if use_bias else 0.0
    expected = torch.tensor(X @ v + bias) * getattr(torch.nn.functional, gate)(torch.tensor(X @ w + bias))
    np.testing.assert_allclose(y, expected.numpy(), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(one, expected.numpy(), rtol=1e-12, atol=1e-15)


def test_the_gate_and_the_value_are_drawn_apart():
    params, _ = gated_dense(3).init(KEY, X.astype("float32"))
    assert not np.array_equal(params["gate"]["kernel"], params["value"]["kernel"])


def test_the_gate_may_be_a_layer_with_parameters():
    model = gated_dense(3, activation=layers.prelu())
    params, _ = model.init(KEY, X.astype("float32"))
    assert params["activation"]["slope"].shape == (3,)


def test_without_an_activation_it_is_bilinear():
    model, x = gated_dense(3, activation=activations.identity, use_bias=False), jnp.asarray(X, jnp.float32)
    params, state = model.init(KEY, x)
    np.testing.assert_allclose(model.apply(params, state, 2 * x)[0], 4 * model.apply(params, state, x)[0], rtol=1e-6)


def test_wrong_sizes_and_inputs_are_refused():
    with pytest.raises(ValueError, match="features: expected a positive whole number, found 0"):
        gated_dense(0)
    with pytest.raises(TypeError, match="computes in its input's floating type, found int32"):
        gated_dense(3).init(KEY, jnp.ones((2, 4), int))
    with pytest.raises(ValueError, match="an odd last axis"):
        layers.glu().plan(jnp.ones((2, 3)))
