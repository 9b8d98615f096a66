from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore import layers
from dlcore.layers import batch_norm

KEY = jax.random.key(0)
RANDOM = np.random.default_rng(0)
X = jnp.asarray(3 + 2 * RANDOM.normal(size=(6, 5, 4, 3)), jnp.float32)
AFFINE = {"scale": jnp.array([0.5, 1.0, 2.0]), "offset": jnp.array([-1.0, 0.0, 1.0])}
STATE = {"mean": jnp.array([1.0, 2.0, 3.0]), "var": jnp.array([1.0, 4.0, 9.0])}


def _torch_batch_norm(momentum: float) -> Any:
    torch = pytest.importorskip("torch")
    oracle = torch.nn.BatchNorm2d(3, eps=1e-5, momentum=1 - momentum)
    names = {
        "weight": AFFINE["scale"],
        "bias": AFFINE["offset"],
        "running_mean": STATE["mean"],
        "running_var": STATE["var"],
    }
    oracle.load_state_dict({name: torch.tensor(np.array(value)) for name, value in names.items()}, strict=False)
    return oracle


def _channels_first(x: Any) -> Any:
    import torch

    return torch.tensor(np.moveaxis(x, -1, 1).copy())


@pytest.mark.parametrize("train", [True, False])
def test_batch_norm_agrees_with_torch(train: bool):
    oracle = _torch_batch_norm(0.9).train(train)
    expected = oracle(_channels_first(X)).detach().numpy()
    y, state = batch_norm(momentum=0.9).apply(AFFINE, STATE, X, train=train)
    # A mean of 120 values in another order, then divided by the deviation.
    np.testing.assert_allclose(y, np.moveaxis(expected, 1, -1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(state["mean"], oracle.running_mean.numpy(), rtol=1e-5)
    # Ours is the biased variance of the batch, torch's the unbiased one: n / (n - 1) of it.
    n = X.size // 3
    batch = (np.asarray(state["var"]) - 0.9 * STATE["var"]) * (n / (n - 1) if train else 1)
    np.testing.assert_allclose(0.9 * STATE["var"] + batch, oracle.running_var.numpy(), rtol=1e-5)


@pytest.mark.parametrize("train", [True, False])
def test_batch_norm_agrees_with_flax_in_variance_too(train: bool):
    from flax import linen

    oracle: Any = linen.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5)
    variables = {"params": {"scale": AFFINE["scale"], "bias": AFFINE["offset"]}, "batch_stats": STATE}
    expected, updated = oracle.apply(variables, X, mutable=["batch_stats"])
    y, state = batch_norm(momentum=0.9).apply(AFFINE, STATE, X, train=train)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    for name in ("mean", "var"):
        np.testing.assert_allclose(state[name], np.asarray(updated["batch_stats"][name]), rtol=1e-5)


def test_batch_norm_gradients_agree_with_torch():
    oracle = _torch_batch_norm(0.9)
    x = _channels_first(X).requires_grad_()
    weights = np.asarray(RANDOM.normal(size=X.shape), np.float32)
    (oracle(x) * _channels_first(weights)).sum().backward()

    def loss(params: Any, x: Any) -> Any:
        return (batch_norm().apply(params, STATE, x, train=True)[0] * weights).sum()

    of_params, of_x = jax.grad(loss, argnums=(0, 1))(AFFINE, X)
    np.testing.assert_allclose(of_x, np.moveaxis(x.grad.numpy(), 1, -1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(of_params["scale"], oracle.weight.grad.numpy(), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(of_params["offset"], oracle.bias.grad.numpy(), rtol=1e-4, atol=1e-4)


def test_batch_norm_starts_as_the_identity_in_evaluation():
    params, state = batch_norm(epsilon=0.0).init(KEY, X)
    np.testing.assert_array_equal(batch_norm(epsilon=0.0).apply(params, state, X)[0], X)


def test_evaluation_leaves_the_statistics_alone():
    state = batch_norm().apply(AFFINE, STATE, X)[1]
    jax.tree.map(np.testing.assert_array_equal, state, STATE)


@pytest.mark.parametrize("shape", [(1, 3), (0, 3), (1, 1, 1, 3), (3,)])
def test_batch_norm_refuses_to_train_on_one_value_a_channel(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match="two or more values per channel, found x .* Use a larger batch, layer_norm"):
        batch_norm().apply(AFFINE, STATE, jnp.ones(shape), train=True)
    assert batch_norm().apply(AFFINE, STATE, jnp.ones(shape))[0].shape == shape


@pytest.mark.parametrize("momentum", [-0.1, 1.0, float("nan")])
def test_batch_norm_refuses_a_momentum_outside_its_range(momentum: float):
    with pytest.raises(ValueError, match=r"momentum: expected a number in \[0, 1\), the share that is kept, found"):
        batch_norm(momentum=momentum)


# --- masks ----------------------------------------------------------------------------------------------------------

MASK = jnp.arange(5) < jnp.array([[5], [2], [0], [1], [4], [3]])


@pytest.mark.slow
def test_masked_statistics_and_gradients_are_those_of_what_is_left():
    weights = jnp.asarray(RANDOM.normal(size=(6, 5, 3)), jnp.float32)

    def loss(params: Any, x: Any, weights: Any, *mask: Any) -> Any:
        y, state = batch_norm().apply(params, STATE, x, *mask, train=True)
        return (y * weights).sum(), (y, state)

    run = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
    x, left = X[:, :, 0], np.asarray(MASK)
    (_, (y, state)), (of_params, of_x) = run(AFFINE, x, jnp.where(MASK[..., None], weights, 0), MASK)
    (_, (y_left, state_left)), (of_params_left, of_x_left) = run(AFFINE, x[left], weights[left])
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=2e-6)
    close(np.asarray(y)[left], y_left)
    jax.tree.map(close, (state, of_params), (state_left, of_params_left))
    close(np.asarray(of_x)[left], of_x_left)
    np.testing.assert_array_equal(np.asarray(of_x)[~left], 0)


def test_a_mask_of_all_agrees_with_no_mask_and_evaluation_does_without():
    for mask in (np.ones(6, bool), np.ones((6, 5, 4), bool)):
        masked, plain = (batch_norm().apply(AFFINE, STATE, X, *m, train=True) for m in ((mask,), ()))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), masked, plain)
    none = np.zeros(6, bool)
    np.testing.assert_array_equal(
        batch_norm().apply(AFFINE, STATE, X, none)[0], batch_norm().apply(AFFINE, STATE, X)[0]
    )


@pytest.mark.parametrize("counting", [0, 1])
def test_a_traced_mask_of_fewer_than_two_values_leaves_the_running_statistics(counting: int):
    mask, x = jnp.arange(6) < counting, X[:, 0, 0]
    y, state = jax.jit(lambda mask: batch_norm().apply(AFFINE, STATE, x, mask, train=True))(mask)
    jax.tree.map(np.testing.assert_array_equal, state, STATE)
    np.testing.assert_allclose(y, batch_norm().apply(AFFINE, STATE, x)[0], rtol=1e-6)
    with pytest.raises(ValueError, match=r"two or more values per channel, found x \(6, 3\) with a mask"):
        batch_norm().apply(AFFINE, STATE, x, mask, train=True)


def test_a_mask_goes_through_compose():
    def forward(call: Any, x: Any, mask: Any) -> Any:
        return call.norm(x, mask)

    model = layers.compose(forward, norm=batch_norm())
    params, state = model.init(KEY, X, MASK)
    found = model.apply(params, state, X, MASK, train=True)[0]
    np.testing.assert_array_equal(found, batch_norm().apply(params["norm"], state["norm"], X, MASK, train=True)[0])


@pytest.mark.parametrize("shape", [(5,), (6, 4), (6, 5, 4, 3), (6, 1)])
def test_a_mask_of_another_shape_is_refused(shape: tuple[int, ...]):
    with pytest.raises(
        ValueError, match=r"mask: expected the first axes of x \(6, 5, 4, 3\), channels excluded, found"
    ):
        batch_norm().apply(AFFINE, STATE, X, np.ones(shape, bool))


def test_a_mask_of_numbers_is_refused():
    with pytest.raises(TypeError, match="mask: expected booleans, true for what counts, found float32: mask > 0"):
        batch_norm().apply(AFFINE, STATE, X, jnp.ones(6))


# --- with layer_norm ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", [batch_norm, layers.layer_norm])
def test_scale_and_offset_can_be_left_out(norm: Any):
    assert set(norm().init(KEY, X)[0]) == {"scale", "offset"}
    assert set(norm(use_scale=False).init(KEY, X)[0]) == {"offset"}
    bare = norm(use_scale=False, use_offset=False)
    params, state = bare.init(KEY, X)
    plain = {"scale": jnp.ones(3), "offset": jnp.zeros(3)}
    assert params == {}
    np.testing.assert_array_equal(bare.apply({}, state, X)[0], norm().apply(plain, state, X)[0])


@pytest.mark.parametrize(("norm", "train"), [(batch_norm(epsilon=0.0), True), (layers.layer_norm(epsilon=0.0), False)])
def test_a_large_mean_does_not_cancel_the_variance(norm: Any, train: bool):
    x = 4096.0 + jnp.array([[0.0, 1.0], [1.0, 0.0]])
    y, _ = norm.apply(*norm.init(KEY, x), x, train=train)
    np.testing.assert_array_equal(y, [[-1.0, 1.0], [1.0, -1.0]])


@pytest.mark.parametrize("norm", [batch_norm(), layers.layer_norm()])
def test_statistics_are_float32_for_half_precision_inputs(norm: Any):
    # In bfloat16, 256 + 1 is 256: a sum of 400 ones would stop there.
    x = jnp.concatenate([jnp.ones((400, 400)), jnp.zeros((400, 400))]).astype(jnp.bfloat16)
    x = x if norm is batch_norm() else x.T
    params, state = norm.init(KEY, x)
    y, state = norm.apply(params, state, x, train=True)
    assert y.dtype == jnp.bfloat16 and all(leaf.dtype == jnp.float32 for leaf in state.values())
    np.testing.assert_allclose(np.unique(np.asarray(y, np.float32)), [-1.0, 1.0], rtol=1e-4)


@pytest.mark.parametrize("norm", [batch_norm(), layers.layer_norm()])
def test_norms_refuse_integers_and_other_channels(norm: Any):
    with pytest.raises(TypeError, match="floating type, found int32"):
        norm.init(KEY, jnp.ones((2, 3), int))
    params, state = norm.init(KEY, X)
    with pytest.raises(ValueError, match=r"expected params .*\(5,\).* found .*\(3,\)"):
        norm.apply(params, state, jnp.ones((2, 5)))
