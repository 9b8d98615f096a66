from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore import layers
from dlcore.inspect import tap
from dlcore.layers import cast, conv, dense, dropout, embed, remat, repeat, serial, weight_norm

KEY = jax.random.key(0)
RANDOM = np.random.default_rng(0)
X = jnp.asarray(RANDOM.normal(size=(5, 4)), jnp.float32)


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_several_steps_of_training_agree_with_torch(kind: str):
    torch = pytest.importorskip("torch")
    if kind == "dense":
        plain, to_torch, from_torch = torch.nn.Linear(4, 3), lambda x: x, lambda w: w.T
        layer, x = weight_norm(dense(3)), RANDOM.normal(size=(5, 4))
    else:
        plain, to_torch = torch.nn.Conv2d(2, 3, (3, 2)), lambda x: x.movedim(-1, 1)
        layer, from_torch = weight_norm(conv(3, (3, 2), padding="VALID")), lambda w: w.permute(2, 3, 1, 0)
        x = RANDOM.normal(size=(2, 5, 4, 2))
    oracle = torch.nn.utils.parametrizations.weight_norm(plain.double())
    weight = oracle.parametrizations.weight
    optimizer = torch.optim.SGD(oracle.parameters(), lr=0.1)
    bias, length, direction = oracle.bias, weight.original0, weight.original1

    def read() -> dict[str, Any]:
        values = {"bias": bias, "kernel": from_torch(direction), "kernel_length": length.flatten()}
        return {name: value.detach().numpy().copy() for name, value in values.items()}

    with jax.enable_x64(True):

        @jax.jit
        def step(params: Any, x: Any) -> Any:
            loss = lambda params: jnp.square(layer.apply(params, {}, x, train=True)[0] - 1).mean()
            value, gradient = jax.value_and_grad(loss)(params)
            return jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient), value

        params = read()
        for _ in range(4):
            params, value = step(params, x)
            loss = (oracle(to_torch(torch.tensor(x))) - 1).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            np.testing.assert_allclose(value, loss.detach(), rtol=1e-11)
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12), dict(params), read())


def test_it_starts_as_the_layer_alone_and_is_learnt_in_its_place():
    plain = serial(dense(3), dropout(0.5))
    params, state = weight_norm(plain).init(KEY, X)
    alone, _ = plain.init(KEY, X)
    assert state == {} and set(params["0"]) == {"bias", "kernel", "kernel_length"}
    np.testing.assert_array_equal(params["0"]["kernel"], alone["0"]["kernel"])
    np.testing.assert_allclose(params["0"]["kernel_length"], np.linalg.norm(alone["0"]["kernel"], axis=0), rtol=1e-6)
    run = jax.jit(
        lambda *params: [m.apply(p, {}, X, key=KEY, train=True)[0] for m, p in zip(pair, params, strict=True)]
    )
    pair = (weight_norm(plain), plain)
    np.testing.assert_allclose(*run(params, alone), rtol=1e-5, atol=1e-6)


def test_only_the_direction_of_the_kernel_matters_and_only_its_length_scales():
    params, _ = weight_norm(dense(3, use_bias=False)).init(KEY, X)
    apply = lambda **changed: weight_norm(dense(3, use_bias=False)).apply(params | changed, {}, X)[0]
    np.testing.assert_allclose(apply(kernel=1e4 * params["kernel"]), apply(), rtol=1e-5)
    np.testing.assert_allclose(apply(kernel_length=2 * params["kernel_length"]), 2 * apply(), rtol=1e-6)


def test_only_kernels_are_split():
    model = serial(embed(5, 4), layers.recurrent(layers.rnn_cell(3)), layers.layer_norm(), head=dense(2))
    plan = weight_norm(model).plan(jnp.array([[1, 2]]))
    params = plan.params
    assert set(params["0"]) == {"embedding"} and set(params["2"]) == {"scale", "offset"}
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(params) if "length" in str(path)]
    assert len(paths) == 2 and paths[1] == "['head']['kernel_length']"
    assert jax.eval_shape(weight_norm(model).apply, params, {}, jnp.array([[1, 2]]))[0] == plan.output


@pytest.mark.slow  # its bits are those of optimised programs
def test_a_repeat_goes_around_it():
    block = weight_norm(dense(4))
    params, state = repeat(3, block).init(KEY, X)
    in_a_row, _ = serial(block, block, block).init(KEY, X)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *in_a_row.values())
    jax.tree.map(np.testing.assert_array_equal, params, stacked)
    found = repeat(3, block).apply(params, state, X)[0]
    np.testing.assert_allclose(found, serial(block, block, block).apply(in_a_row, {}, X)[0], rtol=1e-6)
    with pytest.raises(
        ValueError, match=r"weight_norm: the kernels of .*repeat\(3, .* are stacked: .*repeat\(n, weight_norm"
    ):
        weight_norm(serial(remat(repeat(3, dense(4))))).plan(X)


def test_a_direction_of_zero_gives_zero_and_finite_gradients():
    layer = weight_norm(dense(3, kernel_init=jax.nn.initializers.zeros))
    params, state = layer.init(KEY, X)
    y, gradient = jax.jit(jax.value_and_grad(lambda p: layer.apply(p, state, X)[0].sum()))(params)
    assert y == 0 and all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_lengths_have_a_gradient_with_respect_to_the_initializer():
    def total(gain: Any) -> Any:
        scaled = lambda key, shape, dtype: gain * jax.random.normal(key, shape, dtype)
        return weight_norm(dense(3, kernel_init=scaled)).init(KEY, X)[0]["kernel_length"].sum()

    np.testing.assert_allclose(jax.grad(total)(2.0), total(1.0), rtol=1e-5)


def test_it_computes_in_half_precision_with_float32_lengths():
    for model in (cast(weight_norm(dense(3)), jnp.bfloat16), weight_norm(cast(dense(3), jnp.bfloat16))):
        params, state = model.init(KEY, X)
        assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {np.dtype("float32")}
        plain = cast(dense(3), jnp.bfloat16).apply({name: params[name] for name in ("bias", "kernel")}, {}, X)[0]
        np.testing.assert_allclose(model.apply(params, state, X)[0], plain, rtol=0.03, atol=0.03)


def test_a_tap_sees_the_layers_inside():
    model = serial(weight_norm(serial(hidden=dense(3), act=layers.relu())))
    assert list(tap(model, *model.init(KEY, X), X)) == ["0/hidden", "0/act", "0", ""]


@pytest.mark.parametrize("block", [dropout(0.5), embed(3, 2), layers.layer_norm()])
def test_a_layer_without_kernels_is_refused(block: Any):
    with pytest.raises(ValueError, match="weight_norm: expected a layer with a kernel of two or more axes, .* has "):
        weight_norm(block).plan(jnp.array([1]) if "embed" in repr(block) else X)


def test_wrapping_twice_and_plain_params_are_refused():
    with pytest.raises(ValueError, match="weight_norm: 0/kernel already has a length of its own: wrap it once"):
        weight_norm(serial(weight_norm(dense(3)))).init(KEY, X)
    with pytest.raises(
        ValueError, match=r"expected kernel_length \(3,\), found None; params of the plain layer lack it"
    ):
        weight_norm(dense(3)).apply(dense(3).init(KEY, X)[0], {}, X)
