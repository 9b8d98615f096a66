"""Weight and spectral norm against PyTorch's parametrizations, over steps of training."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore import layers
from dlcore.layers import dense, serial

RANDOM = np.random.default_rng(0)
X, KERNEL, BIAS = RANDOM.normal(size=(4, 5)), RANDOM.normal(size=(5, 3)), RANDOM.normal(size=3)


def _train(torch: Any, model: Any, optimizer: Any) -> Any:
    for _ in range(5):
        optimizer.zero_grad()
        y = model(torch.tensor(X))
        (y**2).sum().backward()
        optimizer.step()
    return model(torch.tensor(X)).detach().numpy()


def _linear(torch: Any) -> Any:
    model = torch.nn.Linear(5, 3, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(torch.tensor(KERNEL.T))
        model.bias.copy_(torch.tensor(BIAS))
    return model


def _steps(layer: Any, params: Any, state: Any) -> Any:
    @jax.jit
    def step(params: Any, state: Any) -> Any:
        def loss(params: Any) -> Any:
            y, after = layer.apply(params, state, jnp.asarray(X), train=True)
            return (y**2).sum(), after

        gradient, after = jax.grad(loss, has_aux=True)(params)
        return jax.tree.map(lambda leaf, g: leaf - 0.01 * g, params, gradient), after

    for _ in range(5):
        params, state = step(params, state)
    return params, state


def test_weight_norm_trains_as_torch_s():
    torch = pytest.importorskip("torch")
    model = torch.nn.utils.parametrizations.weight_norm(_linear(torch))
    expected = _train(torch, model, torch.optim.SGD(model.parameters(), 0.01))
    with jax.enable_x64(True):
        layer = layers.weight_norm(dense(3))
        lengths = {"kernel": jnp.asarray(np.linalg.norm(KERNEL, axis=0))}
        start = {"layer": {"kernel": jnp.asarray(KERNEL), "bias": jnp.asarray(BIAS)}, "length": lengths}
        params, state = _steps(layer, start, {})
        y = layer.apply(params, state, jnp.asarray(X))[0]
    np.testing.assert_allclose(y, expected, rtol=1e-10)


def test_at_init_weight_norm_changes_nothing():
    plain, normed = (
        serial(dense(4), layers.relu(), dense(3)),
        layers.weight_norm(serial(dense(4), layers.relu(), dense(3))),
    )
    x, key = jnp.asarray(X, jnp.float32), jax.random.key(1)
    params, state = plain.init(key, x)
    np.testing.assert_allclose(normed.apply(*normed.init(key, x), x)[0], plain.apply(params, state, x)[0], atol=1e-6)


def test_spectral_norm_trains_as_torch_s():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model = torch.nn.utils.parametrizations.spectral_norm(_linear(torch))
    inner = model.parametrizations.weight[0]
    left, right = inner._u.numpy().copy(), inner._v.numpy().copy()
    expected = _train(
        torch, model, torch.optim.SGD(model.parameters(), 0.01)
    )  # its last call is a step of the power too
    with jax.enable_x64(True):
        layer = layers.spectral_norm(dense(3))
        state = {"left": {"kernel": jnp.asarray(left)}, "right": {"kernel": jnp.asarray(right)}}
        params, state = _steps(layer, {"kernel": jnp.asarray(KERNEL), "bias": jnp.asarray(BIAS)}, state)
        y, after = layer.apply(params, state, jnp.asarray(X), train=True)
        still, kept = layer.apply(params, after, jnp.asarray(X))
    np.testing.assert_allclose(y, expected, rtol=1e-9)
    np.testing.assert_array_equal(y, still)  # evaluation uses what training has left
    assert kept is after or jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), kept, after))


@pytest.mark.parametrize("layer", [dense(7), layers.conv(7, 3)])
def test_a_spectral_norm_starts_at_one(layer):
    x = jnp.zeros((1, 6, 6, 5))
    normed = layers.spectral_norm(layer)
    params, state = normed.init(jax.random.key(0), x)
    matrix = np.asarray(params["kernel"]).reshape(-1, 7)
    estimate = state["left"]["kernel"] @ matrix.T @ state["right"]["kernel"]
    np.testing.assert_allclose(estimate, np.linalg.norm(matrix, 2), rtol=0.02)  # 16 steps of the power method


def test_layers_without_a_kernel_are_refused():
    for wrap in (layers.weight_norm, layers.spectral_norm):
        with pytest.raises(ValueError, match=r"expected a layer with a kernel, found layer_norm\(\)"):
            wrap(layers.layer_norm()).init(jax.random.key(0), jnp.ones((2, 3)))
