"""Derivatives of the recurrences: forwards, backwards, again, and mapped, with the kernel's product out of the loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from dlcore import ops

B, T, INPUTS, H = 2, 4, 3, 2
GATES = {"rnn": 1, "lstm": 4, "gru": 3}
MASK = jnp.arange(T) < jnp.array([[4], [2]])


def arguments(name: str, seed: int = 0) -> tuple[Any, Any]:
    generator, wide = np.random.default_rng(seed), GATES[name] * H
    draw = lambda *shape: jnp.asarray(generator.normal(size=shape))
    weights = {"kernel": draw(INPUTS, wide), "recurrent_kernel": draw(H, wide), "bias": draw(wide)}
    weights |= {"recurrent_bias": draw(wide)} if name == "gru" else {}
    carry = (draw(B, H), draw(B, H)) if name == "lstm" else draw(B, H)
    return weights | {"x": draw(B, T, INPUTS)}, carry


def by_scan(
    name: str, x: Any, kernel: Any, recurrent_kernel: Any, bias: Any, carry: Any, recurrent_bias: Any = 0
) -> Any:
    """The textbook, one step after another, for JAX to differentiate."""

    def step(carry: Any, now: Any) -> Any:
        x, valid = now
        h = carry[0] if name == "lstm" else carry
        a, b = x @ kernel + bias, h @ recurrent_kernel + recurrent_bias
        if name == "lstm":
            i, f, g, o = jnp.split(a + b, 4, -1)
            c = jax.nn.sigmoid(f) * carry[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
            new = (jax.nn.sigmoid(o) * jnp.tanh(c), c)
        elif name == "gru":
            (ar, az, an), (br, bz, bn) = (jnp.split(v, 3, -1) for v in (a, b))
            r, z = jax.nn.sigmoid(ar + br), jax.nn.sigmoid(az + bz)
            new = (1 - z) * jnp.tanh(an + r * bn) + z * h
        else:
            new = jnp.tanh(a + b)
        new = jax.tree.map(lambda new, old: jnp.where(valid[:, None], new, old), new, carry)
        y = new[0] if name == "lstm" else new
        return new, jnp.where(valid[:, None], y, 0)

    carry, y = lax.scan(step, carry, (jnp.moveaxis(x, 1, 0), MASK.T))
    return carry, jnp.moveaxis(y, 0, 1)


def both(name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    ours = getattr(ops, name)
    return lambda named, carry: ours(**named, carry=carry, mask=MASK), lambda named, carry: by_scan(
        name, **named, carry=carry
    )


def number(tree: Any) -> Any:
    return sum(jnp.sin(leaf * (1.5 + i)).sum() for i, leaf in enumerate(jax.tree.leaves(tree)))


def agree(found: Any, expected: Any) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11), found, expected)


@pytest.mark.few(1)
@pytest.mark.parametrize("name", GATES)
def test_tangents_and_gradients_are_those_of_a_plain_scan(name: str) -> None:
    with jax.enable_x64(True):
        point, direction = arguments(name), arguments(name, seed=1)

        def everything(function: Callable[..., Any]) -> Any:
            gradient = jax.grad(jax.checkpoint(lambda *args: number(function(*args))), (0, 1))
            return jax.jvp(function, point, direction), gradient(*point)

        ours, plain = both(name)
        agree(*jax.jit(lambda: (everything(ours), everything(plain)))())


@pytest.mark.slow
def test_second_derivatives_are_those_of_a_plain_scan() -> None:
    with jax.enable_x64(True):
        point, direction = arguments("lstm"), arguments("lstm", seed=1)

        def everything(function: Callable[..., Any]) -> Any:
            gradient = jax.grad(lambda *args: number(function(*args)), (0, 1))
            again = jax.grad(lambda *args: number(gradient(*args)), (0, 1))
            return jax.jvp(gradient, point, direction)[1], again(*point)

        ours, plain = both("lstm")
        agree(*jax.jit(lambda: (everything(ours), everything(plain)))())


@pytest.mark.slow
def test_tangents_agree_with_central_differences() -> None:
    with jax.enable_x64(True):
        point, direction = arguments("lstm"), arguments("lstm", seed=1)
        ours = jax.jit(both("lstm")[0])
        at = lambda step: ours(*jax.tree.map(lambda p, d: p + step * d, point, direction))
        differences = jax.tree.map(lambda a, b: (a - b) / 2e-5, at(1e-5), at(-1e-5))
        tangent = jax.jvp(ours, point, direction)[1]
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8), tangent, differences)


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_lanes_of_params_are_a_loop(name: str) -> None:
    with jax.enable_x64(True):
        lanes = [arguments(name, seed) for seed in range(3)]
        gradient = jax.value_and_grad(lambda *args: number(both(name)[0](*args)), (0, 1))
        one, many = jax.jit(gradient), jax.jit(jax.vmap(gradient))
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *lanes)
        expected = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[one(*lane) for lane in lanes])
        agree(many(*stacked), expected)


def test_the_kernels_gradient_is_not_summed_up_in_the_loop() -> None:
    # What the loop back carries is the carry: a kernel among it would be added to at every step.
    weights, carry = arguments("lstm")
    program = jax.make_jaxpr(jax.grad(lambda weights: number(ops.lstm(**weights, carry=carry))))(weights)
    loops = [equation for equation in program.jaxpr.eqns if equation.primitive.name == "scan"]
    # The way there carries h, c and the four gates at all steps, which take the places of the inputs' products.
    for loop, carried in zip(loops, ({(B, H), (T, B, H)}, {(B, H)}), strict=True):
        first = loop.params["num_consts"]
        assert {atom.aval.shape for atom in loop.invars[first : first + loop.params["num_carry"]]} == carried


def test_shapes_that_do_not_fit_are_refused() -> None:
    weights, carry = arguments("lstm")
    with pytest.raises(ValueError, match=r"recurrent_kernel: expected \(2, 8\) for x \(2, 4, 3\), .* found \(2, 6\)"):
        ops.lstm(**weights | {"recurrent_kernel": jnp.zeros((2, 6))}, carry=carry)
    with pytest.raises(ValueError, match=r"lstm: expected x \(B, T, ..., inputs\), found \(4, 3\): one sequence is x"):
        ops.lstm(**weights | {"x": jnp.zeros((4, 3))})
    with pytest.raises(ValueError, match=r"mask: expected \(B, T\) = \(2, 4\), found \(2, 3\)"):
        ops.lstm(**weights, mask=MASK[:, :3])


def test_lengths_make_masks() -> None:
    found = ops.length_mask(jnp.array([0, 2, 3]), 3)
    np.testing.assert_array_equal(found, [[False] * 3, [True, True, False], [True] * 3])
    assert ops.length_mask(jnp.array([0]), 0).shape == (1, 0)
    np.testing.assert_array_equal(jax.jit(ops.length_mask, static_argnums=1)(jnp.array([1]), 2), [[True, False]])


def test_lengths_outside_the_sequence_are_refused() -> None:
    with pytest.raises(ValueError, match=r"lengths: expected numbers in \[0, 3\].*found 1 to 4"):
        ops.length_mask(jnp.array([1, 4]), 3)
    with pytest.raises(TypeError, match="lengths: expected whole numbers"):
        ops.length_mask(jnp.array([1.0]), 3)
    with pytest.raises(ValueError, match="steps must be at least 0, got -1"):
        ops.length_mask(jnp.array([1]), -1)


@pytest.mark.parametrize("name", GATES)
def test_a_wide_carry_over_half_precision_has_the_gradient_of_a_plain_scan(name: str) -> None:
    weights, carry = arguments(name)
    weights = {key: value.astype("bfloat16") for key, value in weights.items()}
    assert carry[0].dtype == "float32"
    found, expected = (jax.grad(lambda named, f=f: number(f(named, carry)))(weights) for f in both(name))
    for one, (key, other) in zip(found.values(), expected.items(), strict=True):
        assert one.dtype == "bfloat16", key
        np.testing.assert_allclose(one.astype("float32"), other.astype("float32"), rtol=0.03, atol=0.03, err_msg=key)
