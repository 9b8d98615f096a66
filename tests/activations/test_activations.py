from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore import activations

X = np.array([-1e4, -200.0, -30.0, -8.0, -3.0, -1.0, -0.1, 0.0, 0.1, 1.0, 3.0, 6.0, 8.0, 30.0, 200.0, 1e4])
# A plain sum has no gradient through a softmax. Powers of two leave every rounding as it is.
WEIGHTS = np.array([0.5, 1.0, 2.0, 1.0] * 4)

# What is ours, PyTorch's, and where its derivative at a kink is another one.
CASES: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[float, ...]]] = {
    "celu": (activations.celu, lambda F, x: F.celu(x), ()),
    "celu of another alpha": (lambda x: activations.celu(x, 0.5), lambda F, x: F.celu(x, 0.5), ()),
    "elu": (activations.elu, lambda F, x: F.elu(x), ()),
    "elu of another alpha": (lambda x: activations.elu(x, 0.5), lambda F, x: F.elu(x, 0.5), ()),
    "geglu": (activations.geglu, lambda F, x: x[:8] * F.gelu(x[8:]), ()),
    "gelu": (activations.gelu, lambda F, x: F.gelu(x), ()),
    "gelu by tanh": (lambda x: activations.gelu(x, True), lambda F, x: F.gelu(x, approximate="tanh"), ()),
    "glu": (activations.glu, lambda F, x: F.glu(x), ()),
    "growing_cosine": (activations.growing_cosine, lambda F, x: x * x.cos(), ()),
    "hard_sigmoid": (activations.hard_sigmoid, lambda F, x: F.relu6(x + 3) / 6, ()),
    "hard_swish": (activations.hard_swish, lambda F, x: F.hardswish(x), ()),
    "hard_tanh": (activations.hard_tanh, lambda F, x: F.hardtanh(x), ()),
    "identity": (activations.identity, lambda F, x: x * 1, ()),
    "leaky_relu": (activations.leaky_relu, lambda F, x: F.leaky_relu(x), (0,)),
    "leaky_relu, steep": (lambda x: activations.leaky_relu(x, 0.3), lambda F, x: F.leaky_relu(x, 0.3), (0,)),
    "log_sigmoid": (activations.log_sigmoid, lambda F, x: F.logsigmoid(x), ()),
    "log_softmax": (activations.log_softmax, lambda F, x: F.log_softmax(x, -1), ()),
    "maxout": (lambda x: activations.maxout(x, 4), lambda F, x: x.reshape(4, 4).amax(1), ()),
    "mish": (activations.mish, lambda F, x: F.mish(x), ()),
    "prelu": (lambda x: activations.prelu(x, 0.3), lambda F, x: F.leaky_relu(x, 0.3), (0,)),
    "reglu": (activations.reglu, lambda F, x: x[:8] * F.relu(x[8:]), ()),
    "relu": (activations.relu, lambda F, x: F.relu(x), ()),
    "relu6": (activations.relu6, lambda F, x: F.relu6(x), ()),
    "selu": (activations.selu, lambda F, x: F.selu(x), ()),
    "sigmoid": (activations.sigmoid, lambda F, x: x.sigmoid(), ()),
    "silu": (activations.silu, lambda F, x: F.silu(x), ()),
    "softmax": (activations.softmax, lambda F, x: F.softmax(x, -1), ()),
    "softplus": (activations.softplus, lambda F, x: F.softplus(x, threshold=500), ()),
    "softsign": (activations.softsign, lambda F, x: F.softsign(x), ()),
    "step": (activations.step, lambda F, x: (x > 0) + 0 * x, ()),
    "swiglu": (activations.swiglu, lambda F, x: x[:8] * F.silu(x[8:]), ()),
    "swish": (activations.swish, lambda F, x: F.silu(x), ()),
    "tanh": (activations.tanh, lambda F, x: x.tanh(), ()),
}
WITHOUT_CHECK = {"identity"}


@jax.jit
def _all_values_and_gradients(x: Any) -> dict[str, tuple[Any, Any]]:
    def of(function: Callable[..., Any]) -> tuple[Any, Any]:
        def weighted(x: Any) -> tuple[Any, Any]:
            y = function(x)
            return (y * WEIGHTS[: y.size].astype(y.dtype)).sum(), y

        gradient, y = jax.grad(weighted, has_aux=True)(x)
        return y, gradient

    return {name: of(case[0]) for name, case in CASES.items()}  # in one program, which compiles faster than many


@pytest.fixture(scope="module")
def computed() -> Callable[..., Any]:
    """Values and gradients of all cases in one type, of inputs that were first rounded to another."""

    @functools.cache
    def compute(dtype: str, rounded_to: str) -> Any:
        with jax.enable_x64(dtype == "float64"):
            x = np.asarray(X if rounded_to == "float64" else jnp.asarray(X, rounded_to), np.float64)
            found = _all_values_and_gradients(jnp.asarray(x, dtype))
            return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), found)

    return compute


def test_every_activation_is_compared_with_torchs():
    assert {name.partition(",")[0].split(" ")[0] for name in CASES} == set(activations.__all__)


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_agree_with_torch_in_float64(name: str, computed: Any):
    torch = pytest.importorskip("torch")
    _, theirs, kinks = CASES[name]
    value, gradient = computed("float64", "float64")[name]
    x = torch.tensor(X, requires_grad=True)
    y = theirs(torch.nn.functional, x)
    (y * torch.tensor(WEIGHTS[: y.numel()])).sum().backward()
    # Exponentials of their own, a few units in the last place; the largest intermediate value is 1, but for sums.
    np.testing.assert_allclose(value, y.detach().numpy(), rtol=1e-13, atol=1e-15)
    alike = ~np.isin(X, kinks)
    np.testing.assert_allclose(gradient[alike], x.grad.numpy()[alike], rtol=1e-12, atol=1e-15)


@pytest.mark.slow  # its roundings are those of optimised programs
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("name", CASES)
def test_lower_precision_agrees_with_float64_up_to_rounding(name: str, dtype: str, computed: Any):
    found, exact = computed(dtype, dtype)[name], computed("float64", dtype)[name]
    epsilon = float(jnp.finfo(dtype).eps)
    # A handful of roundings, each relative to the largest term. A term of a gradient is x times the derivative of what
    # saturates at 1, and beyond 8 that is 0; where one half gates the other, there is the other's size as well.
    size = np.clip(abs(X), 1, 8)
    if name.startswith(("glu", "reglu", "geglu", "swiglu")):
        size = size * np.maximum(1, np.roll(abs(X), 8))
    for ours, expected in zip(found, exact, strict=True):
        far = abs(ours - expected) - 4 * epsilon * abs(expected)
        assert (far <= 4 * epsilon * size[: ours.size]).all(), (ours, expected)


@pytest.mark.few(1)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_softsigns_gradient_is_right_where_it_is_small(dtype: str):
    x = jnp.asarray([-2000, -30, -1, 0, 3, 200], dtype)
    exact = 1 / (1 + abs(np.asarray(x, np.float64))) ** 2
    found = np.asarray(jax.vmap(jax.grad(activations.softsign))(x), np.float64)
    np.testing.assert_allclose(found, exact, rtol=4 * float(jnp.finfo(dtype).eps), atol=6e-8)  # the least float16


@pytest.mark.few(1)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_gradients_are_finite_for_the_largest_numbers(dtype: str):
    largest = float(jnp.finfo(dtype).max)
    x = jnp.asarray([-largest, -largest / 2, largest / 2, largest], dtype)
    elementwise = {name: case[0] for name, case in CASES.items() if name not in ("reglu", "geglu", "swiglu", "maxout")}
    every = jax.jit(
        lambda x: {name: jax.grad(lambda x, f=f: f(x)[..., :1].sum())(x) for name, f in elementwise.items()}
    )
    assert [name for name, gradient in every(x).items() if not np.isfinite(gradient.astype("float32")).all()] == []


def test_kinks_have_the_derivative_that_is_documented():
    slopes = jax.vmap(
        jax.grad(
            lambda x, f: jax.lax.switch(
                f,
                [
                    activations.relu,
                    activations.relu6,
                    activations.hard_tanh,
                    activations.hard_sigmoid,
                    activations.leaky_relu,
                    activations.celu,
                    activations.elu,
                ],
                x,
            )
        )
    )
    x, f = np.array([[0.0, 0], [0, 1], [6, 1], [-1, 2], [1, 2], [-3, 3], [3, 3], [0, 4], [0, 5], [0, 6]]).T
    found = slopes(jnp.asarray(x, jnp.float32), jnp.asarray(f, jnp.int32))
    np.testing.assert_array_equal(found, [0, 0, 0, 0, 0, 0, 0, 1, 1, 1])


@pytest.mark.parametrize("name", sorted(set(CASES) - WITHOUT_CHECK))
@pytest.mark.parametrize("x", [np.arange(16), np.ones(16, bool), np.ones(16, complex)], ids=["int", "bool", "complex"])
def test_what_is_not_floating_is_refused(name: str, x: np.ndarray):
    with pytest.raises(
        TypeError, match=r"computes in its input's floating type, found .*: x.astype\('float32'\) first"
    ):
        CASES[name][0](x)


@pytest.mark.parametrize("name", CASES)
def test_a_batch_without_examples_is_fine(name: str):
    assert jax.eval_shape(CASES[name][0], jax.ShapeDtypeStruct((0, 16), jnp.float32)).shape[0] == 0


def test_identities_of_the_notes_hold():
    x = jnp.linspace(-5, 5, 101)
    np.testing.assert_allclose(jnp.tanh(x), 2 * activations.sigmoid(2 * x) - 1, atol=1e-6)
    slope = jax.vmap(jax.grad(activations.sigmoid))(x)
    assert slope.max() == 0.25 == slope[50]
    np.testing.assert_allclose(activations.gelu(x, True), activations.gelu(x), atol=5e-4)


def test_swish_is_silu_and_identity_returns_its_input():
    assert activations.swish is activations.silu
    assert activations.identity(X) is X  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("alpha", [0, -1.0, float("nan")])
def test_celu_refuses_an_alpha_that_is_not_positive(alpha: float):
    with pytest.raises(ValueError, match="alpha: expected a positive number"):
        activations.celu(jnp.ones(3), alpha)


def test_options_may_be_traced_and_keep_half_precision():
    x = jnp.asarray(X, jnp.bfloat16)
    for function in (activations.leaky_relu, activations.elu, activations.celu, activations.prelu):
        found = jax.jit(function)(x, jnp.float32(0.3))
        assert found.dtype == jnp.bfloat16
        np.testing.assert_array_equal(found, jax.jit(lambda x, f=function: f(x, 0.3))(x))


# --- step ---------------------------------------------------------------------------------------------------------


def test_step_is_heaviside_with_zero_at_zero():
    x = np.array([-1e4, -1e-30, -0.0, 0.0, 1e-30, 1e4], np.float32)
    np.testing.assert_array_equal(activations.step(jnp.asarray(x)), np.heaviside(x, 0))
    assert np.isnan(activations.step(jnp.float32(np.nan)))


@pytest.mark.parametrize(("surrogate", "slope"), [("zero", 0), ("straight_through", 1)])
def test_step_has_the_derivative_that_is_declared(surrogate: Any, slope: float):
    step = lambda x: activations.step(x, surrogate)
    x, direction = jnp.asarray(X, jnp.float32), jnp.arange(16.0)
    np.testing.assert_array_equal(jax.jit(jax.vmap(jax.grad(step)))(x), np.full(16, slope))
    value, tangent = jax.jvp(step, (x,), (direction,))
    np.testing.assert_array_equal(value, X > 0)
    np.testing.assert_array_equal(tangent, slope * direction)


def test_step_refuses_a_surrogate_that_there_is_not():
    with pytest.raises(ValueError, match="surrogate: expected 'zero' or 'straight_through', found 'sigmoid'"):
        activations.step(jnp.ones(3), "sigmoid")  # pyright: ignore[reportArgumentType]


# --- prelu, maxout and the gated ------------------------------------------------------------------------------------


def test_prelu_agrees_with_torch_in_both_gradients():
    torch = pytest.importorskip("torch")
    x, slope = np.random.default_rng(0).normal(size=(5, 3)), np.array([0.1, -0.5, 2.0])
    with jax.enable_x64(True):
        y, gradients = jax.value_and_grad(lambda x, s: (activations.prelu(x, s) ** 2).sum(), (0, 1))(x, slope)
    leaves = [torch.tensor(leaf, requires_grad=True) for leaf in (x, slope)]
    expected = (torch.nn.functional.prelu(*leaves) ** 2).sum()
    expected.backward()
    np.testing.assert_allclose(y, expected.item(), rtol=1e-13)
    for ours, leaf in zip(gradients, leaves, strict=True):
        np.testing.assert_allclose(ours, leaf.grad.numpy(), rtol=1e-12)


def test_prelus_slope_has_a_finite_gradient_beside_infinities():
    slope = jax.grad(lambda s: activations.prelu(jnp.array([jnp.inf, -2.0]), s)[1])(0.25)
    assert slope == -2


@pytest.mark.parametrize("slope", [np.ones(2), np.ones((4, 1, 3)), np.ones((2, 3, 1))])
def test_prelu_refuses_a_slope_that_does_not_fit(slope: np.ndarray):
    with pytest.raises(ValueError, match=r"slope: expected a shape that broadcasts to that of x \(4, 3\), found"):
        activations.prelu(jnp.ones((4, 3)), slope)


def test_two_pieces_of_maxout_make_relu_and_the_absolute_value():
    x = jnp.array([-2.0, 3.0])
    np.testing.assert_array_equal(activations.maxout(jnp.stack([x, 0 * x], -1).reshape(-1), 2), [0, 3])
    np.testing.assert_array_equal(activations.maxout(jnp.stack([x, -x], -1).reshape(-1), 2), [2, 3])
    np.testing.assert_array_equal(activations.maxout(x, 1), x)


def test_maxout_shares_the_gradient_at_a_tie():
    np.testing.assert_array_equal(jax.grad(lambda x: activations.maxout(x, 2)[0])(jnp.ones(4)), [0.5, 0.5, 0, 0])


def test_sizes_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match=r"maxout: expected x \(..., features \* 3\), found \(2, 4\)"):
        activations.maxout(jnp.ones((2, 4)), 3)
    with pytest.raises(ValueError, match="pieces: expected a positive whole number, found 0"):
        activations.maxout(jnp.ones((2, 4)), 0)
    for name in ("glu", "reglu", "geglu", "swiglu"):
        with pytest.raises(ValueError, match=rf"{name}: expected x \(..., 2 \* features\).*\(2, 3\): an odd last axis"):
            getattr(activations, name)(jnp.ones((2, 3)))
        with pytest.raises(ValueError, match="works along the last axis"):
            getattr(activations, name)(jnp.float32(1))
