"""Oracles: XLA's own cost analysis of the compiled program, where that has no loop, and closed forms."""

import functools

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from dlcore import ops
from dlcore.inspect import flops


def by_xla(function, *args):
    analysis = jax.jit(function).lower(*args).compile().cost_analysis()
    assert analysis is not None
    return analysis["flops"]


def shape(*sides, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(sides, dtype)


def convolve(x, kernel, **options):
    options = {"window_strides": (1, 1), "padding": "VALID"} | options
    return lax.conv_general_dilated(x, kernel, dimension_numbers=("NHWC", "HWIO", "NHWC"), **options)


# --- products and convolutions -------------------------------------------------------------------------------------


def test_matrix_product_takes_two_m_n_k():
    assert flops(jnp.matmul, shape(8, 16), shape(16, 4)) == 2 * 8 * 16 * 4


def test_batched_product_counts_every_product_of_the_batch():
    found = flops(lambda q, k: jnp.einsum("bthd,bshd->bhts", q, k), shape(2, 5, 3, 4), shape(2, 7, 3, 4))
    assert found == 2 * (2 * 3) * 5 * 7 * 4


@pytest.mark.parametrize("options", [{}, {"window_strides": (2, 2)}, {"rhs_dilation": (2, 2)}])
def test_convolution_without_padding_agrees_with_xla(options):
    args = shape(2, 16, 16, 8), shape(3, 3, 8, 16)
    function = lambda x, kernel: convolve(x, kernel, **options)
    assert flops(function, *args) == by_xla(function, *args)


def test_padded_convolution_counts_the_padding_as_papers_do():
    found = flops(lambda x, kernel: convolve(x, kernel, padding="SAME"), shape(2, 16, 16, 8), shape(3, 3, 8, 16))
    assert found == 2 * (2 * 16 * 16 * 16) * (3 * 3) * 8


def test_convolution_and_its_gradients_count_alike_however_they_are_computed():
    x, kernel = jnp.zeros((2, 9, 8, 16)), jnp.zeros((3, 3, 16, 32))

    def gradient(conv):
        return lambda x, kernel: jax.grad(lambda x, kernel: jnp.sum(conv(x, kernel)), (0, 1))(x, kernel)

    def native(x, kernel):
        return lax.conv_general_dilated(x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    ours = functools.partial(ops.conv, strides=2)
    assert flops(ours, x, kernel) == flops(native, x, kernel) > 0
    assert flops(gradient(ours), x, kernel) == flops(gradient(native), x, kernel) > 0


def test_grouped_convolution_counts_the_inputs_of_its_group():
    args = shape(2, 16, 16, 8), shape(3, 3, 2, 16)
    function = lambda x, kernel: convolve(x, kernel, feature_group_count=4)
    assert flops(function, *args) == 2 * (2 * 14 * 14 * 16) * (3 * 3) * 8 // 4 == by_xla(function, *args)


def test_transposed_convolution_does_not_count_the_holes():
    # Without overlap or padding every input meets every place of the window once.
    args = shape(2, 8, 8, 3), shape(2, 2, 3, 5)
    function = lambda x, kernel: lax.conv_transpose(x, kernel, (2, 2), "VALID")
    assert flops(function, *args) == 2 * (2 * 8 * 8 * 3) * (2 * 2) * 5


def test_network_and_its_gradient_agree_with_xla_within_three_percent():
    # XLA counts tanh and exp apart from the rest, and the optimizer fuses some of the cheap operations away.
    def loss(params, x):
        hidden = jnp.tanh(x @ params[0] + params[1])
        return jnp.mean((hidden @ params[2]) ** 2)

    params = shape(64, 128), shape(128), shape(128, 32)
    for function in (loss, jax.grad(loss)):
        assert flops(function, params, shape(32, 64)) == pytest.approx(
            by_xla(function, params, shape(32, 64)), rel=0.03
        )


def test_convolutional_network_and_its_gradient_agree_with_xla_within_three_percent():
    # On kernels of one by one there is no padding, about which the two conventions differ.
    def loss(params, x):
        return jnp.mean(convolve(jax.nn.relu(convolve(x, params[0])), params[1]) ** 2)

    args = (shape(1, 1, 16, 64), shape(1, 1, 64, 64)), shape(4, 12, 12, 16)
    for function in (loss, jax.grad(loss)):
        assert flops(function, *args) == pytest.approx(by_xla(function, *args), rel=0.03)


# --- elementwise, reductions, movement -----------------------------------------------------------------------------


@pytest.mark.parametrize("function", [jnp.negative, jnp.exp, jnp.tanh, lambda x: x + 1, lambda x: x * x, jax.nn.relu])
def test_elementwise_arithmetic_takes_one_per_output(function):
    assert flops(function, shape(4, 6)) == 24


@pytest.mark.parametrize("function", [jnp.sum, jnp.max, jnp.argmax, lambda x: x.sum(0), lambda x: jnp.cumsum(x, 1)])
def test_reduction_takes_one_per_input(function):
    assert flops(function, shape(4, 6)) == 24


def test_pooling_takes_one_per_output_and_window_position():
    pool = lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (3, 3), (3, 3), "VALID")
    assert flops(pool, shape(9, 9)) == 81


def test_scattered_sum_takes_one_per_update():
    assert flops(lambda x, at: jnp.zeros(9).at[at].add(x), shape(5), shape(5, dtype=jnp.int32)) == 5


@pytest.mark.parametrize(
    "function",
    [
        jnp.transpose,
        jnp.ravel,
        jnp.sort,
        lambda x: x.astype(jnp.bfloat16),
        lambda x: jnp.concatenate([x, x])[2:],
        lambda x: jnp.pad(x, 1),
        lambda x: jnp.where(x > 0, x, 0),
        lambda x: x.astype(jnp.int32) * 3 + 1,
    ],
)
def test_moving_comparing_and_integers_take_nothing(function):
    assert flops(function, shape(4, 6)) == 0


def test_factorisations_take_their_leading_terms():
    cholesky = lambda x: lax.linalg.cholesky(x, symmetrize_input=False)
    assert flops(cholesky, shape(5, 12, 12)) == 5 * 12**3 // 3
    solve = flops(jnp.linalg.solve, shape(24, 24), shape(24, 2))
    assert solve == pytest.approx(2 / 3 * 24**3 + 2 * 2 * 24**2, rel=0.05)
    assert flops(jnp.fft.fft, shape(3, 16, dtype=jnp.complex64)) == 3 * 5 * 16 * 4


# --- control flow --------------------------------------------------------------------------------------------------


def test_scan_takes_its_length_times_its_body():
    body = lambda x, w: (jnp.tanh(x @ w), None)
    once = flops(lambda x, w: body(x, w)[0], shape(4, 8), shape(8, 8))
    assert flops(lambda x, ws: lax.scan(body, x, ws)[0], shape(4, 8), shape(12, 8, 8)) == 12 * once > 0


def test_while_takes_its_body_once():
    found = flops(lambda x: lax.while_loop(lambda c: c[0] < 5, lambda c: (c[0] + 1, c[1] * 2), (0, x)), shape(7))
    assert found == 7


def test_cond_takes_its_most_expensive_branch():
    cheap, dear = lambda x: x + 1, lambda x: x @ x
    assert flops(lambda p, x: lax.cond(p, cheap, dear, x), shape(dtype=jnp.bool), shape(4, 4)) == 2 * 4**3


def test_platforms_take_the_most_expensive_of_them():
    found = flops(lambda x: lax.platform_dependent(x, cpu=lambda x: 2 * x, default=lambda x: 2 * x + 1), shape(3))
    assert found == 6


def test_jit_checkpoint_and_custom_derivatives_are_looked_into():
    @jax.custom_vjp
    def product(x, w):
        return x @ w

    product.defvjp(lambda x, w: (x @ w, (x, w)), lambda kept, g: (g @ kept[1].T, kept[0].T @ g))
    args, once = (shape(4, 8), shape(8, 2)), 2 * 4 * 8 * 2
    for function in (product, jax.jit(jnp.matmul), jax.checkpoint(jnp.matmul)):
        assert flops(function, *args) == once
    # The gradient by both: the sum's value is not needed, and with it the product itself.
    assert flops(jax.grad(lambda x, w: product(x, w).sum(), (0, 1)), *args) == 2 * once
    assert flops(jax.nn.relu, shape(5)) == 5  # a custom_jvp around a jit


def test_recomputation_is_counted():
    def loss(block, x, w):
        return (block(x, w) ** 2).sum()

    block = lambda x, w: jnp.tanh(x @ w) @ w.T
    args, once = (shape(16, 16), shape(16, 16)), 2 * 16**3
    plain, again = (flops(jax.grad(lambda *a, b=b: loss(b, *a), (0, 1)), *args) for b in (block, jax.checkpoint(block)))
    assert once <= again - plain < 1.2 * once


def test_what_does_not_reach_the_output_is_not_counted():
    assert flops(lambda x: (x @ x, x + 1)[1], shape(4, 4)) == 16


def test_count_is_exact_beyond_floating_point():
    assert flops(jnp.matmul, shape(10**6, 10**6 + 1), shape(10**6 + 1, 10**6)) == 2 * 10**12 * (10**6 + 1)


def test_arrays_and_shapes_count_alike():
    assert flops(jnp.matmul, jnp.ones((3, 4)), jnp.ones((4, 5))) == flops(jnp.matmul, shape(3, 4), shape(4, 5)) == 120
