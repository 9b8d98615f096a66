"""Transposed convolution: both formulations against torch, the gradient of `conv`, and what each program holds."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.ops import _conv_transpose, conv, conv_output_size, conv_transpose, conv_transpose_output_size
from dlcore.ops._spread import Spread, plan_spread

SPATIAL = {1: (5,), 2: (4, 5), 3: (3, 4, 2)}
# Axes, window, strides, padding, output padding, dilation, groups; torch's words.
CASES = [
    (1, (3,), (1,), (0,), (0,), (1,), 1),
    (1, (3,), (2,), (1,), (1,), (1,), 2),
    (1, (2,), (3,), (0,), (0,), (1,), 1),  # stride larger than the kernel: outputs that nothing reaches
    (1, (2,), (4,), (0,), (3,), (1,), 4),
    (1, (4,), (3,), (4,), (1,), (2,), 1),  # more is cut off than one kernel reaches over
    (1, (5,), (1,), (2,), (0,), (1,), 1),
    (2, (2, 2), (2, 2), (0, 0), (0, 0), (1, 1), 1),  # side by side
    (2, (3, 2), (2, 1), (1, 0), (1, 0), (1, 1), 1),
    (2, (4, 3), (2, 3), (1, 2), (0, 1), (1, 1), 2),
    (2, (3, 3), (1, 1), (1, 1), (0, 0), (1, 1), 1),
    (2, (2, 3), (2, 1), (1, 2), (2, 0), (3, 2), 4),
    (3, (2, 3, 2), (2, 1, 3), (0, 1, 0), (1, 0, 2), (1, 1, 1), 2),
    (3, (2, 2, 2), (1, 2, 2), (1, 0, 1), (0, 1, 0), (2, 1, 1), 1),
]


def _normal(seed: int, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def _spread(case) -> Spread:
    axes, window, strides, padding, more, dilation, _ = case
    pads = tuple((p, p - q) for p, q in zip(padding, more, strict=True))
    return plan_spread(SPATIAL[axes], window, strides, pads, dilation)


@pytest.mark.few(2)
@pytest.mark.parametrize("case", CASES)
def test_both_formulations_agree_with_torch_in_value_and_gradients(case):
    torch = pytest.importorskip("torch")
    axes, window, strides, padding, more, dilation, groups = case

    @jax.jit
    def both(*args):
        results = []
        for formulation in (_conv_transpose.as_phases, _conv_transpose.as_native):
            y, pull_back = jax.vjp(functools.partial(formulation, spread=_spread(case), groups=groups), *args)
            results.append((y, *pull_back(jnp.sin(y))))
        return results

    with jax.enable_x64(True):
        x, kernel, bias = (
            _normal(seed, shape, jnp.float64)
            for seed, shape in enumerate([(2, *SPATIAL[axes], 4), (*window, 4 // groups, 8), (8,)])
        )
        ours = both(x, kernel, bias)
    x_t = torch.tensor(np.moveaxis(np.array(x), -1, 1), requires_grad=True)
    by_group = np.moveaxis(np.array(kernel).reshape(*window, 4 // groups, groups, -1), (-2, -3, -1), (0, 1, 2))
    kernel_t = torch.tensor(by_group.reshape(4, 8 // groups, *window), requires_grad=True)
    bias_t = torch.tensor(np.array(bias), requires_grad=True)
    y_t = getattr(torch.nn.functional, f"conv_transpose{axes}d")(
        x_t, kernel_t, bias_t, strides, padding, more, groups, dilation
    )
    y_t.backward(torch.sin(y_t.detach()))
    kernel_bar = np.moveaxis(kernel_t.grad.numpy().reshape(by_group.shape), (0, 1, 2), (-2, -3, -1))
    theirs = (
        np.moveaxis(y_t.detach().numpy(), 1, -1),
        np.moveaxis(x_t.grad.numpy(), 1, -1),
        kernel_bar.reshape(kernel.shape),
        bias_t.grad.numpy(),
    )
    for results in ours:
        for one, other in zip(results, theirs, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)  # sums of under 1000 terms of order 1


@pytest.mark.few(5)
@pytest.mark.parametrize("padding", ["SAME", "VALID", 1, ((2, 0),)])
@pytest.mark.parametrize(("window", "strides", "dilation"), [(3, 2, 1), (4, 3, 1), (3, 1, 2), (2, 3, 1)])
def test_it_is_the_gradient_of_conv(padding, window, strides, dilation):
    cotangent, kernel = _normal(0, (2, 4, 6)), _normal(1, (window, 6, 3))
    options = {"strides": strides, "padding": padding, "dilation": dilation}

    @jax.jit
    def both(cotangent, kernel):
        y = conv_transpose(cotangent, kernel, **options)
        forward = functools.partial(conv, kernel=kernel.swapaxes(-1, -2), **options)
        return y, jax.vjp(forward, jnp.zeros_like(y))[1](cotangent)[0]

    y, expected = both(cotangent, kernel)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    assert padding != "SAME" or y.shape[1] == 4 * strides


@pytest.mark.slow
def test_causal_outputs_see_no_later_input():
    kernel = _normal(0, (5, 1, 1))
    jacobian = jax.jacobian(lambda x: conv_transpose(x, kernel, strides=2, padding="causal").ravel())(
        jnp.zeros((1, 4, 1))
    )
    outputs, inputs = np.nonzero(np.array(jacobian).reshape(8, 4))
    assert (inputs <= outputs // 2).all() and set(outputs) == set(range(8))


@pytest.mark.few(4)
@pytest.mark.parametrize("size", [1, 5])
@pytest.mark.parametrize(
    ("window", "stride", "padding", "dilation", "more"),
    [(5, 2, 0, 1, 0), (4, 2, 1, 1, 1), (2, 3, 0, 1, 2), (3, 3, 2, 2, 2)],
)
def test_the_output_size_is_the_one_that_comes_out(size, window, stride, padding, dilation, more):
    y = conv_transpose(
        jnp.zeros((1, size, 1)),
        jnp.zeros((window, 1, 1)),
        strides=stride,
        padding=((padding, padding - more),),
        dilation=dilation,
    )
    length = conv_transpose_output_size(size, window, stride, padding, dilation, more)
    assert y.shape[1] == length
    assert conv_output_size(length, window, stride, padding, dilation) == size


def test_the_sizes_of_conv_and_its_transpose_are_each_others():
    assert conv_output_size(39, 5, 2) == 18 and conv_transpose_output_size(18, 5, 2) == 39


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_it_computes_in_the_dtype_of_x(dtype):
    x, kernel = _normal(0, (2, 3, 4, 3), dtype), _normal(1, (3, 3, 3, 2))
    y = conv_transpose(x, kernel, strides=2, bias=jnp.ones(2))
    exact = conv_transpose(x.astype(jnp.float32), kernel.astype(dtype).astype(jnp.float32), strides=2, bias=jnp.ones(2))
    assert y.dtype == dtype
    # Summed in float32; the result is rounded, and the bias added and rounded.
    np.testing.assert_allclose(y.astype(jnp.float32), exact, rtol=2 * float(jnp.finfo(dtype).eps), atol=0.01)


def test_it_maps_over_both_arguments():
    x, kernel = _normal(0, (3, 2, 4, 2)), _normal(1, (3, 3, 2, 2))
    apply = functools.partial(conv_transpose, strides=2)
    np.testing.assert_allclose(
        jax.vmap(apply)(x, kernel),
        jnp.stack([apply(*lane) for lane in zip(x, kernel, strict=True)]),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize(("platform", "convolutions"), [("cpu", 0), ("tpu", 2), ("cuda", 2)])
def test_only_accelerators_hold_convolutions(platform, convolutions):
    step = jax.jit(jax.grad(lambda kernel, x: jnp.sum(conv_transpose(x, kernel, strides=2) ** 2)))
    x, kernel = jnp.zeros((2, 4, 4, 3)), jnp.zeros((3, 3, 3, 3))
    program = step.trace(kernel, x).lower(lowering_platforms=(platform,)).as_text()
    assert program.count("stablehlo.convolution") == convolutions


@pytest.mark.parametrize(
    ("x_shape", "kernel_shape", "arguments", "message"),
    [
        ((8, 8), (3, 3, 1, 1), {}, r"x must be a channels-last batch .* got shape \(8, 8\)"),
        ((1, 8, 3), (3, 2, 4), {}, r"takes 2 channels .* has 3 channels; make kernel.shape\[-2\] 3"),
        ((1, 8, 4), (3, 2, 5), {"groups": 2}, "groups must divide both"),
        ((1, 2, 1), (2, 1, 1), {"padding": 2}, r"padding \(2, 2\) cuts off all 3 outputs on spatial axis 0"),
        ((1, 0, 1), (2, 1, 1), {}, "cuts off all 0 outputs"),
        ((1, 4, 1), (2, 1, 1), {"padding": -1}, "padding must be at least 0, got -1"),
        ((1, 4, 4, 1), (2, 2, 1, 1), {"padding": "CAUSAL"}, "'CAUSAL' needs one spatial axis"),
        ((1, 4, 1), (2, 1, 1), {"padding": "FULL"}, "padding must be 'SAME'"),
        ((1, 4, 1), (2, 1, 1), {"strides": 0}, "strides must be at least 1"),
    ],
)
def test_it_refuses_what_does_not_fit(x_shape, kernel_shape, arguments, message):
    with pytest.raises(ValueError, match=message):
        conv_transpose(jnp.zeros(x_shape), jnp.zeros(kernel_shape), **arguments)


def test_it_refuses_integers_and_a_bias_of_another_size():
    with pytest.raises(TypeError, match="floating dtype, got uint8"):
        conv_transpose(jnp.zeros((1, 4, 1), jnp.uint8), jnp.zeros((2, 1, 1)))
    with pytest.raises(ValueError, match=r"bias must have shape \(4,\)"):
        conv_transpose(jnp.zeros((1, 4, 1)), jnp.zeros((2, 1, 4)), bias=jnp.zeros(3))
