"""How far outputs see."""

import jax.numpy as jnp
import numpy as np
import pytest

from dlcore import layers, ops
from dlcore.inspect import receptive_field
from dlcore.layers import avg_pool, conv, conv_transpose, dense, flatten, max_pool, relu, residual, serial
from dlcore.models import lenet5

_LINE = jnp.zeros((1, 24, 2))
_IMAGE = jnp.zeros((1, 28, 28, 1))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_chains_have_the_field_of_the_formula(seed):
    rng = np.random.default_rng(seed)
    made, size, jump, start = [], 1, 1, 0
    for is_pool in (False, True, False):
        window, stride, dilation = (int(rng.integers(1, most)) + 1 for most in (4, 3, 2))
        dilation = 1 if is_pool else dilation - 1 + int(rng.integers(0, 2))
        pad = int(rng.integers(0, 2))
        if is_pool:
            made += [max_pool(window, strides=stride, padding=pad)]
        else:
            made += [conv(4, window, strides=stride, dilation=dilation, padding=pad), relu()]
        size, start = size + dilation * (window - 1) * jump, start - pad * jump
        jump *= stride
    assert receptive_field(serial(*made), jnp.zeros((1, 40, 2))) == ((size,), (jump,), (start,))


@pytest.mark.slow
def test_lenet5_sees_all_of_a_digit_at_its_end_and_16_pixels_before_its_dense_layers():
    assert receptive_field(lenet5(), _IMAGE).size == (28, 28)
    head = serial(conv(6, 5, padding="SAME"), relu(), max_pool(2), conv(16, 5, padding="VALID"), relu(), max_pool(2))
    assert receptive_field(head, _IMAGE) == ((16, 16), (4, 4), (-2, -2))


@pytest.mark.slow
def test_residual_branches_count_with_the_widest():
    block = residual(serial(conv(2, 3), relu(), conv(2, 3)))
    assert receptive_field(serial(block, block), _LINE) == ((9,), (1,), (-4,))


def test_axes_have_their_own_fields():
    field = receptive_field(serial(conv(3, (1, 5), strides=(2, 1), padding="VALID"), avg_pool((1, 2))), _IMAGE)
    assert field == ((1, 6), (2, 2), (0, 0))


def test_a_causal_convolution_sees_nothing_later():
    stack = serial(*(conv(2, 2, padding="CAUSAL", dilation=2**i) for i in range(4)))
    assert receptive_field(stack, _LINE) == ((16,), (1,), (-15,))


def test_upsampling_moves_half_a_position_an_output():
    assert receptive_field(conv_transpose(2, 2, strides=2), _LINE) == ((1,), (0.5,), (0,))
    assert receptive_field(lambda x: ops.upsample(x, 2), _LINE).size == (1,)


def test_what_sees_everything_says_so():
    assert receptive_field(serial(conv(2, 3), layers.global_avg_pool()), _IMAGE) == ((28, 28), (0, 0), (0, 0))
    assert receptive_field(serial(flatten(), dense(3)), _LINE) == ((24,), (0,), (0,))


def test_zero_weights_hide_nothing():
    from dlcore.initializers import zeros

    assert receptive_field(conv(2, 3, kernel_init=zeros), _LINE).size == (3,)


def test_a_field_wider_than_the_input_is_measured_on_a_larger_one():
    assert receptive_field(serial(*(conv(2, 9) for _ in range(5))), _LINE).size == (41,)


def test_bad_inputs_are_refused():
    with pytest.raises(ValueError, match="1 to 3 spatial axes, found \\(2, 3\\)"):
        receptive_field(dense(3), jnp.zeros((2, 3)))
    with pytest.raises(ValueError, match="one array"):
        receptive_field(layers.parallel(conv(2, 3), conv(2, 3), merge=lambda *ys: ys), np.zeros((1, 8, 1)))
