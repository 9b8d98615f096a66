"""Activations against PyTorch, at ordinary and at extreme numbers; a new one is a line in a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore import activations, layers

X = np.array([-1e4, -200.0, -30.0, -3.5, -1.0, -0.1, 0.0, 0.1, 1.0, 2.5, 3.5, 30.0, 200.0, 1e4])
GATED = {"glu", "reglu", "geglu", "swiglu"}

# The name, and PyTorch's name of it (a function of torch.nn.functional, or a function) and options.
CASES: dict[str, tuple[Callable[..., Any], Any, dict[str, Any]]] = {
    "celu": (activations.celu, "celu", {}),
    "celu of another alpha": (lambda x: activations.celu(x, 0.5), "celu", {"alpha": 0.5}),
    "elu": (activations.elu, "elu", {}),
    "elu of another alpha": (lambda x: activations.elu(x, 0.5), "elu", {"alpha": 0.5}),
    "geglu": (activations.geglu, lambda f, x: x[: len(x) // 2] * f.gelu(x[len(x) // 2 :]), {}),
    "gelu": (activations.gelu, "gelu", {}),
    "gelu by tanh": (lambda x: activations.gelu(x, approximate=True), "gelu", {"approximate": "tanh"}),
    "glu": (activations.glu, "glu", {"dim": -1}),
    "hard_sigmoid": (activations.hard_sigmoid, lambda f, x: f.relu6(x + 3) / 6, {}),
    "hard_swish": (activations.hard_swish, "hardswish", {}),
    "hard_tanh": (activations.hard_tanh, "hardtanh", {}),
    "leaky_relu": (activations.leaky_relu, "leaky_relu", {}),
    "leaky_relu of another slope": (lambda x: activations.leaky_relu(x, 0.3), "leaky_relu", {"negative_slope": 0.3}),
    "log_sigmoid": (activations.log_sigmoid, "logsigmoid", {}),
    "log_softmax": (activations.log_softmax, "log_softmax", {"dim": -1}),
    "maxout": (activations.maxout, lambda f, x: x.reshape(-1, 2).max(-1)[0], {}),
    "mish": (activations.mish, "mish", {}),
    "oscillating": (activations.oscillating, lambda f, x: x * x.cos(), {}),
    "prelu": (lambda x: activations.prelu(x, 0.2), "leaky_relu", {"negative_slope": 0.2}),
    "reglu": (activations.reglu, lambda f, x: x[: len(x) // 2] * f.relu(x[len(x) // 2 :]), {}),
    "relu": (activations.relu, "relu", {}),
    "relu6": (activations.relu6, "relu6", {}),
    "selu": (activations.selu, "selu", {}),
    "sigmoid": (activations.sigmoid, "sigmoid", {}),
    "silu": (activations.silu, "silu", {}),
    "softmax": (activations.softmax, "softmax", {"dim": -1}),
    "softplus": (activations.softplus, lambda f, x: x.logaddexp(0 * x), {}),  # `softplus` rounds to x beyond 20
    "softsign": (activations.softsign, "softsign", {}),
    "step": (activations.step, lambda f, x: (x > 0).to(x.dtype) + 0 * x, {}),
    "swiglu": (activations.swiglu, lambda f, x: x[: len(x) // 2] * f.silu(x[len(x) // 2 :]), {}),
    "swish of another beta": (lambda x: activations.swish(x, 1.7), lambda f, x: x * (1.7 * x).sigmoid(), {}),
    "tanh": (activations.tanh, "tanh", {}),
}
PLAIN = sorted(set(activations.__all__) - {"identity", "prelu"})


def test_every_activation_is_compared():
    assert {name.split()[0] for name in CASES} | {"identity"} == set(activations.__all__)


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_agree_with_torch(name: str):
    torch = pytest.importorskip("torch")
    ours, theirs, options = CASES[name]
    x = torch.tensor(X, requires_grad=True)
    f = torch.nn.functional
    y = getattr(f, theirs)(x, **options) if isinstance(theirs, str) else theirs(f, x)
    weights = np.linspace(0.5, 1.5, y.numel())  # a plain sum has no gradient through a softmax
    (y * torch.tensor(weights)).sum().backward()
    with jax.enable_x64(True):
        compiled = jax.jit(lambda x: (ours(x), jax.grad(lambda x: (ours(x) * weights).sum())(x)))
        value, gradient = compiled(jnp.asarray(X))
    # Both are float64; what is left is rounding, of intermediate values as large as 1e4. A float64 GELU in PyTorch is
    # good to 1e-12 only.
    np.testing.assert_allclose(value, y.detach().numpy(), rtol=1e-12, atol=1e-11)
    kinks = {"hard_sigmoid": (-3, 3), "hard_swish": (-3, 3), "hard_tanh": (-1, 1), "relu6": (0, 6), "softsign": ()}
    apart = ~np.isin(X, kinks.get(name, (0,)))  # where there is a kink, libraries choose another derivative
    np.testing.assert_allclose(gradient[apart], x.grad.numpy()[apart], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", PLAIN)
def test_extremes_are_safe_in_every_type(name: str):
    function, dtypes = getattr(activations, name), (jnp.float16, jnp.bfloat16, jnp.float32)

    @jax.jit
    def measure(xs: Any) -> Any:
        slope = jax.grad(lambda x: function(x).astype(jnp.float32).sum() * 1e-3)
        return [(function(x), slope(x)) for x in xs]

    xs = [jnp.asarray(X, dtype) for dtype in dtypes]
    for x, (y, gradient) in zip(xs, measure(xs), strict=True):
        assert y.dtype == x.dtype and gradient.dtype == x.dtype
        assert bool(jnp.isfinite(gradient).all()) and not bool(jnp.isnan(y).any()), x.dtype


def test_relu_has_derivative_zero_at_zero():
    assert jax.grad(activations.relu)(0.0) == 0.0


def test_identity_returns_its_input():
    assert activations.identity(X) is X


def test_tanh_is_a_sigmoid_and_the_slope_of_a_sigmoid_is_at_most_a_quarter():
    x = jnp.linspace(-8, 8, 101)
    np.testing.assert_allclose(activations.tanh(x), 2 * activations.sigmoid(2 * x) - 1, atol=3e-7)
    slopes = jax.vmap(jax.grad(activations.sigmoid))(x)
    assert slopes.max() == 0.25 and slopes.argmax() == 50


def test_a_step_has_the_derivative_that_was_declared():
    x = jnp.array([-2.0, 0.0, 3.0])
    for surrogate, slope in (("zero", 0.0), ("straight_through", 1.0)):
        gradient = jax.grad(lambda x: (2 * activations.step(x, surrogate)).sum())(x)  # noqa: B023
        assert gradient.tolist() == [2 * slope] * 3
    with pytest.raises(ValueError, match="surrogate: expected 'zero' or 'straight_through', found 'sign'"):
        activations.step(x, "sign")


def test_one_oscillating_unit_solves_xor_and_no_monotone_one_does():
    sums = jnp.array([0.0, 1.0, 1.0, 2.0])
    assert (activations.oscillating(sums) > 0).tolist() == [False, True, True, False]
    for name in ("relu", "sigmoid", "tanh", "leaky_relu", "elu"):
        y = getattr(activations, name)(sums)
        assert ((y[1:] - y[:-1]) >= 0).all(), name


@pytest.mark.parametrize("function", [activations.softmax, activations.log_softmax])
def test_masked_entries_are_left_out(function):
    x = jnp.array([[1.0, 2.0, jnp.nan, 3.0], [5.0, -1.0, 2.0, jnp.inf]])
    where = jnp.array([[True, True, False, True], [True, False, True, False]])
    y = function(x, where=where)
    for row, kept, found in zip(x, where, y, strict=True):
        np.testing.assert_allclose(found[kept], function(row[kept]), rtol=1e-6)
    assert (y[~where] == (0 if function is activations.softmax else -jnp.inf)).all()
    gradient = jax.grad(lambda x: jnp.where(where, function(x, where=where), 0)[:, 0].sum())(x)
    assert bool(jnp.isfinite(gradient).all()) and (gradient[~where] == 0).all()


def test_a_row_that_is_masked_whole_gives_zeros_and_no_nan_in_the_gradient():
    x, where = jnp.array([[1.0, jnp.nan], [1.0, 2.0]]), jnp.array([[False], [True]])
    y, back = jax.vjp(lambda x: activations.softmax(x, where=where), x)
    assert y[0].tolist() == [0, 0] and float(y[1].sum()) == 1
    assert bool(jnp.isfinite(back(jnp.array([[1.0, 2.0], [3.0, 4.0]]))[0]).all())


@pytest.mark.parametrize("axis", [0, 1, (0, 1)])
def test_a_softmax_goes_along_any_axes(axis):
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_allclose(activations.softmax(x, axis).sum(axis), 1, rtol=1e-6)
    np.testing.assert_allclose(np.exp(activations.log_softmax(x, axis)), activations.softmax(x, axis), rtol=1e-5)


@pytest.mark.parametrize("name", PLAIN)
def test_every_activation_is_a_layer_of_the_same_name(name: str):
    x = jnp.asarray(X, jnp.float32)
    if name != "maxout":  # that layer has the maps within
        np.testing.assert_array_equal(getattr(layers, name)().apply({}, {}, x)[0], getattr(activations, name)(x))


@pytest.mark.parametrize("name", PLAIN)
def test_integers_are_refused(name: str):
    with pytest.raises(TypeError, match="computes in its input's floating type, found int32"):
        getattr(activations, name)(jnp.arange(4))


@pytest.mark.parametrize("name", sorted(GATED))
def test_an_odd_axis_has_no_halves(name: str):
    with pytest.raises(ValueError, match=rf"{name}: expected an even last axis, values and gates, found x \(2, 3\)"):
        getattr(activations, name)(jnp.ones((2, 3)))


def test_pieces_must_divide_the_axis():
    with pytest.raises(ValueError, match=r"maxout: expected a last axis that 3 pieces divide, found x \(2, 4\)"):
        activations.maxout(jnp.ones((2, 4)), 3)
    with pytest.raises(ValueError, match="pieces: expected a positive whole number, found 0"):
        activations.maxout(jnp.ones((2, 4)), 0)


def test_the_two_forms_of_a_gated_unit_agree():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), jnp.float32)
    two = layers.gated_dense(5, activations.silu)
    params, state = two.init(jax.random.key(0), x)
    both = [params["value"], params["gate"]]
    joined = {name: jnp.concatenate([one[name] for one in both], -1) for name in ("kernel", "bias")}
    one = layers.serial(dense=layers.dense(10), gate=layers.swiglu())
    np.testing.assert_allclose(two.apply(params, state, x)[0], one.apply({"dense": joined}, {}, x)[0], rtol=1e-6)


def test_a_maxout_layer_is_the_largest_of_its_maps():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), jnp.float32)
    layer = layers.maxout(2, 3)
    params, state = layer.init(jax.random.key(0), x)
    kernel = np.asarray(params["projection"]["kernel"]).reshape(3, 2, 3)
    expected = np.einsum("bi,ifp->bfp", x, kernel).max(-1)
    np.testing.assert_allclose(layer.apply(params, state, x)[0], expected, rtol=1e-6)


def test_prelu_learns_a_slope_for_each_channel():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    layer, theirs = layers.prelu(), torch.nn.PReLU(3)
    params, state = layer.init(jax.random.key(0), jnp.asarray(x))
    (theirs(torch.tensor(x)) ** 2).sum().backward()
    gradient = jax.grad(lambda p: (layer.apply(p, state, x)[0] ** 2).sum())(params)
    np.testing.assert_allclose(gradient["slope"], theirs.weight.grad.numpy(), rtol=1e-5)
