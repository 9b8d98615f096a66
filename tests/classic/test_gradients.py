"""Derivatives, the four equations and the graph, against `jax.grad` and PyTorch."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore import activations, classic, losses

RANDOM = np.random.default_rng(0)
X, LABELS = RANDOM.normal(size=(7, 4)), RANDOM.integers(0, 3, 7)
TARGETS = RANDOM.normal(size=(7, 3))


def _params() -> list[Any]:
    sizes = (4, 6, 5, 3)
    return [
        {"kernel": jnp.asarray(RANDOM.normal(size=(a, b))), "bias": jnp.asarray(RANDOM.normal(size=b))}
        for a, b in zip(sizes[:-1], sizes[1:], strict=True)
    ]


@pytest.mark.few(2)
@pytest.mark.parametrize("activation", [activations.sigmoid, activations.tanh, activations.relu, activations.gelu])
@pytest.mark.parametrize(
    ("loss", "output", "targets"),
    [
        (losses.cross_entropy, None, LABELS),
        (losses.mse, None, TARGETS),
        (losses.mse, activations.sigmoid, TARGETS),
        (losses.binary_cross_entropy, None, (TARGETS > 0).astype(float)),
    ],
)
def test_the_four_equations_give_the_gradient(activation, loss, output, targets):
    with jax.enable_x64(True):
        params = _params()

        def cost(params: Any, shifts: Any) -> Any:
            a = jnp.asarray(X)
            for number, (layer, shift) in enumerate(zip(params, shifts, strict=True), 1):
                z = a @ layer["kernel"] + layer["bias"] + shift
                a = activation(z) if number < len(params) else output(z) if output else z
            return loss(a, targets).mean()

        shifts = [jnp.zeros((7, size)) for size in (6, 5, 3)]
        found = classic.backpropagate(params, X, targets, activation=activation, loss=loss, output=output)
        value, (gradients, deltas) = jax.value_and_grad(cost, (0, 1))(params, shifts)
        assert abs(found.cost - value) < 1e-12
        for ours, theirs in ((found.gradients, gradients), (found.deltas, deltas)):
            assert jax.tree.structure(ours) == jax.tree.structure(theirs)
            for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
                np.testing.assert_allclose(a, b, atol=1e-10)


@pytest.mark.slow
def test_softmax_with_cross_entropy_leaves_the_difference_alone():
    logits = jnp.asarray(TARGETS, jnp.float32)
    error = classic.output_error(logits, lambda a: losses.cross_entropy(a, LABELS).sum())
    np.testing.assert_allclose(error, jax.nn.softmax(logits) - np.eye(3)[LABELS], atol=1e-6)


@pytest.mark.slow
def test_a_full_step_by_hand_is_torch_s():
    torch = pytest.importorskip("torch")
    with jax.enable_x64(True):
        params = _params()
        after = classic.update(params, classic.backpropagate(params, X, LABELS).gradients, 0.3)
    modules = []
    for layer in params:
        linear = torch.nn.Linear(*layer["kernel"].shape, dtype=torch.float64)
        linear.weight.data, linear.bias.data = (
            torch.tensor(np.array(one)) for one in (layer["kernel"].T, layer["bias"])
        )
        modules += [linear, torch.nn.Sigmoid()]
    model = torch.nn.Sequential(*modules[:-1])
    optimizer = torch.optim.SGD(model.parameters(), 0.3)
    torch.nn.functional.cross_entropy(model(torch.tensor(X)), torch.tensor(LABELS)).backward()
    optimizer.step()
    for layer, linear in zip(after, modules[::2], strict=True):
        np.testing.assert_allclose(layer["kernel"].T, linear.weight.detach().numpy(), atol=1e-12)
        np.testing.assert_allclose(layer["bias"], linear.bias.detach().numpy(), atol=1e-12)


def test_each_equation_by_itself():
    shapes = ((7, 3), (5, 3), (7, 5))
    delta, kernel, before = (jnp.asarray(RANDOM.normal(size=shape), jnp.float32) for shape in shapes)
    through = classic.error_through_layer(delta, kernel, before, activations.sigmoid)
    slope = 1 / (1 + np.exp(-before)) * (1 - 1 / (1 + np.exp(-before)))
    np.testing.assert_allclose(through, np.einsum("bo,ho->bh", delta, kernel) * slope, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(classic.bias_gradient(delta), np.einsum("bo->o", delta), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        classic.weight_gradient(before, delta), np.einsum("bh,bo->ho", before, delta), rtol=1e-5, atol=1e-6
    )


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"layer 1: expected a kernel \(4, outputs\), found \(3, 2\)"):
        classic.feedforward([{"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)}], X, jnp.tanh)
    with pytest.raises(ValueError, match="expected one or more layers"):
        classic.feedforward([], X, jnp.tanh)


def test_differences_come_near_the_gradient_of_any_tree():
    def f(tree: Any, scale: Any) -> Any:
        return scale * jnp.sum(jnp.sin(tree["a"]) * tree["b"][0]) + tree["b"][1] ** 3

    tree = {"a": jnp.array([0.3, -1.0]), "b": (jnp.array(0.7), jnp.array(2.0))}
    with jax.enable_x64(True):
        tree = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), tree)
        assert classic.check_gradient(f, tree, 2.0).error < 1e-9
        wrong = jax.grad(f)(tree, 2.0)
        wrong["a"] = wrong["a"].at[1].add(0.1)
        found = classic.check_gradient(f, tree, 2.0, gradient=wrong)
    assert found.path == "['a']" and found.index == (1,) and found.error > 0.05
    assert "largest error" in repr(found) and "['a'][1]" in repr(found)


def test_in_float32_three_digits_are_to_be_had():
    assert classic.check_gradient(lambda x: jnp.sum(jnp.tanh(x) * x), jnp.linspace(-2, 2, 9)).error < 3e-3


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: classic.numerical_gradient(lambda x: x, jnp.ones(2)),
            ValueError,
            "expected a function that gives one",
        ),
        (lambda: classic.numerical_gradient(lambda x: x, 1), TypeError, "expected a pytree of floating arrays"),
        (lambda: classic.numerical_gradient(lambda x: x, 1.0, epsilon=0.0), ValueError, "epsilon: expected a positive"),
        (lambda: classic.check_gradient(lambda x: x.sum(), jnp.ones(2), gradient=jnp.ones(3)), ValueError, "shape"),
        (lambda: classic.trace_graph(lambda x: x, 1), TypeError, "argument 0: expected a floating number"),
        (lambda: classic.trace_graph(lambda x: x, jnp.ones(2)), ValueError, "gives one number, found \\(2,\\)"),
        (
            lambda: classic.trace_graph(lambda x: jax.lax.fori_loop(0, 3, lambda i, x: x * x, x), 1.0),
            ValueError,
            "a loop",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


def _looping(x: Any) -> Any:
    return jax.lax.fori_loop(0, 3, lambda i, x: x * x, x)


PROGRAMS = {
    "neuron": (lambda w, x, b: 1 / (1 + jnp.exp(-(w * x + b))), (2.0, -1.0, 3.0)),
    "used twice": (lambda x: x * x + jnp.sin(x) * x, (1.3,)),
    "layers": (lambda w, x: jnp.sum(jnp.tanh(x @ w) ** 2), (jnp.ones((3, 2)), jnp.arange(6.0).reshape(2, 3) / 10)),
    "softmax": (lambda x: -jax.nn.log_softmax(x)[1], (jnp.array([0.1, 0.5, -0.2]),)),
    "unused": (lambda x, y: jnp.sqrt(x), (2.0, 3.0)),
    "an input alone": (lambda x: x, (2.0,)),
}


@pytest.mark.few(2)
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_graph_holds_the_value_and_the_gradients(name):
    f, args = PROGRAMS[name]
    graph = classic.trace_graph(f, *args)
    np.testing.assert_allclose(graph.output.value, f(*args), rtol=1e-6)
    gradients = jax.grad(f, tuple(range(len(args))))(*map(jnp.asarray, args))
    for node, gradient in zip(graph.inputs, gradients, strict=True):
        found = jnp.zeros_like(gradient) if node.gradient is None else node.gradient
        np.testing.assert_allclose(found, gradient, rtol=1e-5, atol=1e-7)
    assert len(graph.plot().axes) == 1 and str(graph).startswith("node")


def test_an_addition_passes_on_and_a_multiplication_swaps():
    graph = classic.trace_graph(lambda a, b, c: (a + b) * c, 2.0, 3.0, 4.0)
    by_name = {node.name: node for node in graph.nodes}
    assert [node.name for node in graph.inputs] == ["a", "b", "c"]
    add, mul = by_name["v1"], by_name["v2"]
    assert (add.operation, mul.operation) == ("add", "mul")
    assert [float(one) for one in add.local] == [1, 1] and [float(one) for one in mul.local] == [4, 5]
    assert [float(by_name[name].gradient) for name in "abc"] == [4, 4, 5]


def test_the_text_of_a_graph_is_a_table():
    lines = str(classic.trace_graph(lambda x, y: (x + y) * y, 2.0, 3.0)).splitlines()
    assert len(lines) == 5 and lines[-1].split()[:4] == ["v2", "mul", "v1,", "y"] and lines[-1].endswith("1")
