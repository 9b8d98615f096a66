"""The three maps of the native convolution against JAX's own derivatives, mapped, repeated, and as programs."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.ops._conv import as_conv
from dlcore.ops._conv_native import native_conv
from dlcore.ops._window import plan_windows

SPATIAL, WINDOW, UNEVEN = (9, 8, 7), (3, 2, 3), ((2, 0), (0, 3), (1, 0))
CASES = [
    *itertools.product((2,), (1, 2, 3), ("SAME", "uneven"), (1, 2)),
    *[(1, 1, "VALID", 2), (1, 2, "uneven", 1), (3, 2, "uneven", 1), (3, 1, "VALID", 2)],
]


def normal(number, shape, dtype=jnp.float64):
    return jax.random.normal(jax.random.key(number), shape, dtype)


def both(windows):
    """Ours, and what JAX makes of `lax.conv_general_dilated`."""
    return functools.partial(native_conv, windows=windows), functools.partial(as_conv, windows=windows, groups=1)


@pytest.mark.few(2)
@pytest.mark.parametrize(("axes", "strides", "padding", "dilation"), CASES)
def test_values_and_derivatives_of_first_and_second_order_are_those_of_jax(axes, strides, padding, dilation):
    padding = UNEVEN[:axes] if padding == "uneven" else padding
    windows = plan_windows(SPATIAL[:axes], WINDOW[:axes], strides, padding, dilation, "kernel")
    with jax.enable_x64(True):
        x, kernel = normal(0, (2, *SPATIAL[:axes], 3)), normal(1, (*WINDOW[:axes], 3, 4))
        cotangent = normal(2, (2, *windows.output, 4))

        @jax.jit
        def everything(x, kernel):
            found = []
            for conv in both(windows):
                y, pull_back = jax.vjp(conv, x, kernel)
                gradient = jax.grad(lambda x, kernel, conv=conv: jnp.vdot(jnp.tanh(conv(x, kernel)), cotangent), (0, 1))
                pushed = jax.jvp(gradient, (x, kernel), (jnp.cos(x), jnp.sin(kernel)))
                found.append((y, pull_back(cotangent), pushed))
            return found

        ours, theirs = everything(x, kernel)
    # Sums of under 1000 terms of order 1 to 10, in float64.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-11), ours, theirs)


WINDOWS = plan_windows((8, 8), (3, 3), 2, "SAME", 1, "kernel")


@pytest.mark.parametrize("order", ["map of gradient", "gradient of map"])
@pytest.mark.parametrize(("x_axis", "kernel_axis"), [(1, None), (None, 1), (1, 1)])
def test_maps_over_examples_and_kernels_commute_with_gradients(order, x_axis, kernel_axis):
    x = normal(0, (2, 3, 8, 8, 4) if x_axis else (2, 8, 8, 4), jnp.float32)
    kernel = normal(1, (3, 3, 3, 4, 5) if kernel_axis else (3, 3, 4, 5), jnp.float32)

    def gradients(conv):
        energy = lambda x, kernel: jnp.sum(jnp.tanh(conv(x, kernel)))
        map_ = functools.partial(jax.vmap, in_axes=(x_axis, kernel_axis))
        if order == "map of gradient":
            return map_(jax.grad(energy, (0, 1)))(x, kernel)
        return jax.grad(lambda x, kernel: map_(energy)(x, kernel).sum(), (0, 1))(x, kernel)

    ours, theirs = (jax.jit(functools.partial(gradients, conv))() for conv in both(WINDOWS))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), ours, theirs)


def lowered(conv, platform, mapped=False):
    def gradient(x, kernel):
        energy = lambda x, kernel: jnp.sum(jnp.tanh(conv(x, kernel)))
        return (jax.vmap(jax.grad(energy, (0, 1))) if mapped else jax.grad(energy, (0, 1)))(x, kernel)

    lanes = (3,) if mapped else ()
    x, kernel = jnp.ones((*lanes, 2, 8, 8, 4)), jnp.ones((*lanes, 3, 3, 4, 5))
    return jax.jit(gradient).trace(x, kernel).lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_accelerators_hold_what_jax_makes_of_it(platform):
    # Adjoints are asked for as other orders of axes, and no array is moved for them.
    ours, theirs = (lowered(conv, platform) for conv in both(WINDOWS))
    assert ours.count("stablehlo.convolution") == theirs.count("stablehlo.convolution") == 3
    assert ours.count("stablehlo.transpose") == theirs.count("stablehlo.transpose")


def test_on_cpu_every_convolution_has_channels_last():
    program = lowered(both(WINDOWS)[0], "cpu")
    assert program.count("stablehlo.convolution") == 3
    assert program.count("dim_numbers = [b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]") == 3
    assert "[f, 0, 1, b]" in lowered(both(WINDOWS)[1], "cpu")  # what JAX asks for, and XLA is slow at


def test_many_kernels_are_matrix_products_on_cpu_and_groups_elsewhere():
    program = lowered(both(WINDOWS)[0], "cpu", mapped=True)
    assert program.count("stablehlo.convolution") == 0 and program.count("stablehlo.dot_general") == 3
    program = lowered(both(WINDOWS)[0], "tpu", mapped=True)
    assert program.count("stablehlo.dot_general") == 0 and program.count("stablehlo.convolution") == 3


def test_shapes_are_told_without_computing():
    x, kernel = jax.ShapeDtypeStruct((2, 8, 8, 4), jnp.bfloat16), jax.ShapeDtypeStruct((3, 3, 4, 5), jnp.bfloat16)
    out = jax.eval_shape(both(WINDOWS)[0], x, kernel)
    assert out.shape == (2, 4, 4, 5) and out.dtype == jnp.bfloat16
