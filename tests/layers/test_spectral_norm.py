from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore import layers
from dlcore.layers import cast, conv, dense, dropout, frozen, remat, repeat, serial, spectral_norm

KEY = jax.random.key(0)
RANDOM = np.random.default_rng(0)
X = jnp.asarray(RANDOM.normal(size=(5, 4)), jnp.float32)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "iterations"), [("dense", 1), ("dense", 3), ("conv", 1)])
def test_several_steps_of_training_and_evaluation_agree_with_torch(kind: str, iterations: int):
    torch = pytest.importorskip("torch")
    if kind == "dense":
        plain, to_torch, from_torch = torch.nn.Linear(4, 3), lambda x: x, lambda w: w.T
        layer, x, shape = spectral_norm(dense(3), iterations=iterations), RANDOM.normal(size=(5, 4)), (4,)
    else:
        plain, to_torch, shape = torch.nn.Conv2d(2, 3, (3, 2)), lambda x: x.movedim(-1, 1), (2, 3, 2)
        layer, from_torch = spectral_norm(conv(3, (3, 2), padding="VALID")), lambda w: w.permute(2, 3, 1, 0)
        x = RANDOM.normal(size=(2, 5, 4, 2))
    torch.manual_seed(0)
    oracle = torch.nn.utils.parametrizations.spectral_norm(plain.double(), n_power_iterations=iterations)
    weight = oracle.parametrizations.weight
    optimizer = torch.optim.SGD(oracle.parameters(), lr=0.3)

    def read() -> tuple[Any, Any]:
        params = {"bias": oracle.bias, "kernel": from_torch(weight.original)}
        v = np.moveaxis(weight[0]._v.numpy().reshape(shape), 0, -1).flatten()  # (inputs, *window) to (*window, inputs)
        copied = {name: value.detach().numpy().copy() for name, value in params.items()}
        return copied, {"vectors": {"kernel": {"u": weight[0]._u.numpy().copy(), "v": v.copy()}}}

    def check(found: Any, expected: Any) -> None:
        close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)
        jax.tree.map(close, found, expected)

    with jax.enable_x64(True):

        @jax.jit
        def step(params: Any, state: Any, x: Any) -> Any:
            def loss(params: Any) -> Any:
                y, after = layer.apply(params, state, x, train=True)
                return jnp.square(y - 1).mean(), after

            (value, state), gradient = jax.value_and_grad(loss, has_aux=True)(params)
            params = jax.tree.map(lambda p, g: p - 0.3 * g, params, gradient)
            return params, state, value, layer.apply(params, state, x)

        params, state = read()
        for _ in range(4):
            params, state, value, (y, same) = step(params, state, x)
            optimizer.zero_grad()
            loss = (oracle.train()(to_torch(torch.tensor(x))) - 1).square().mean()
            loss.backward()
            optimizer.step()
            check(value, loss.detach().numpy())
            evaluated = oracle.eval()(to_torch(torch.tensor(x))).detach().numpy()
            check(y, evaluated if kind == "dense" else np.moveaxis(evaluated, 1, -1))
            check((params, state), read())
            jax.tree.map(np.testing.assert_array_equal, same, state)


def test_the_kernel_has_norm_one_from_the_start():
    # Fifteen steps of power iteration: the singular values of this kernel lie well apart.
    kernel = jnp.asarray(np.diag([9.0, 2.0, 1.0, 0.5]), jnp.float32)
    layer = spectral_norm(dense(4, use_bias=False, kernel_init=lambda key, shape, dtype: kernel.astype(dtype)))
    params, state = layer.init(KEY, X)
    np.testing.assert_allclose(layer.apply(params, state, jnp.eye(4))[0], kernel / 9, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(params["kernel"], kernel)


@pytest.mark.slow
def test_params_are_those_of_the_layer_alone_and_its_state_is_kept_below():
    plain = serial(dense(4), layers.batch_norm(), dropout(0.5), head=dense(2))
    params, state = spectral_norm(plain).init(KEY, X)
    alone, inner = plain.init(KEY, X)
    jax.tree.map(np.testing.assert_array_equal, (params, state["state"]), (alone, inner))
    assert jax.tree.map(jnp.shape, state["vectors"]["head"]) == {"kernel": {"u": (2,), "v": (4,)}}
    _, after = spectral_norm(plain).apply(params, state, X, key=KEY, train=True)
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), after, state)
    assert moved["state"]["1"] == {"mean": True, "var": True} and after["vectors"] is not state["vectors"]


def test_evaluation_leaves_the_vectors_alone_and_a_frozen_layer_always_does():
    params, state = spectral_norm(dense(3)).init(KEY, X)
    far = {"bias": params["bias"], "kernel": params["kernel"][::-1]}
    jax.tree.map(np.testing.assert_array_equal, spectral_norm(dense(3)).apply(far, state, X)[1], state)
    model = frozen(spectral_norm(dense(3)))
    state = model.init(KEY, X)[1]
    jax.tree.map(np.testing.assert_array_equal, model.apply({}, state, X, train=True)[1], state)


@pytest.mark.slow
def test_a_kernel_of_zeros_stays_zero_and_recovers():
    layer = spectral_norm(dense(3, kernel_init=jax.nn.initializers.zeros))
    params, state = layer.init(KEY, X)
    loss = lambda params, state: layer.apply(params, state, X, train=True)
    gradient = jax.grad(lambda params: loss(params, state)[0].sum())(params)
    assert np.isfinite(gradient["kernel"]).all() and np.any(gradient["kernel"])
    y, state = loss(params, state)
    np.testing.assert_array_equal(y, 0)
    y, _ = jax.lax.fori_loop(0, 30, lambda _, carry: loss(gradient, carry[1]), (y, state))
    singular = jnp.linalg.svd(gradient["kernel"], compute_uv=False)[0]
    np.testing.assert_allclose(y, X @ gradient["kernel"] / singular + gradient["bias"], rtol=1e-4, atol=1e-5)


@pytest.mark.slow  # its bits are those of optimised programs
def test_a_repeat_goes_around_it():
    block = spectral_norm(dense(4))
    params, state = repeat(3, block).init(KEY, X)
    in_a_row, states = serial(block, block, block).init(KEY, X)
    for found, rows in ((params, in_a_row), (state, states)):
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *rows.values())
        jax.tree.map(np.testing.assert_array_equal, found, stacked)
    with pytest.raises(ValueError, match=r"spectral_norm: the kernels of .*repeat\(3, .* are stacked"):
        spectral_norm(remat(repeat(3, dense(4)))).plan(X)


def test_it_computes_in_half_precision_with_float32_vectors():
    model = cast(spectral_norm(dense(3)), jnp.bfloat16)
    params, state = model.init(KEY, X)
    y, state = model.apply(params, state, X, train=True)
    assert {leaf.dtype for leaf in jax.tree.leaves((params, state))} == {np.dtype("float32")}
    expected, _ = spectral_norm(dense(3)).apply(params, state, X)
    np.testing.assert_allclose(y, expected, rtol=0.03, atol=0.03)


def test_a_layer_without_kernels_other_vectors_and_iterations_of_none_are_refused():
    with pytest.raises(
        ValueError, match="spectral_norm: expected a layer with a kernel of two or more axes, .* nothing"
    ):
        spectral_norm(dropout(0.5)).init(KEY, X)
    params, state = spectral_norm(dense(3)).init(KEY, X)
    with pytest.raises(ValueError, match=r"expected state vectors/kernel u \(3,\), v \(4,\), found nothing"):
        spectral_norm(dense(3)).apply(params, {}, X)
    with pytest.raises(ValueError, match="iterations: expected a positive whole number, found 0"):
        spectral_norm(dense(3), iterations=0)
