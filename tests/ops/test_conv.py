"""Convolution: its two formulations against each other and torch, and what each platform's program holds."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from dlcore.ops import _conv, _conv_patches, conv, conv_output_size
from dlcore.ops._blocks import suits_blocks
from dlcore.ops._window import plan_windows

SPATIAL = {1: (9,), 2: (7, 6), 3: (4, 5, 4)}
WINDOW = {1: (3,), 2: (3, 2), 3: (2, 3, 2)}
UNEVEN = {1: ((2, 0),), 2: ((0, 2), (1, 0)), 3: ((1, 0), (0, 1), (1, 1))}
CASES = [
    (axes, strides, padding, dilation, groups)
    for axes in (1, 2, 3)
    for strides, padding, dilation, groups in (
        (1, "SAME", 1, 1),
        (2, "SAME", 1, 2),
        (1, "VALID", 1, 2),
        (2, "VALID", 1, 1),
        (1, "uneven", 1, 4),
        (2, 1, 2, 1),
        (1, "SAME", 2, 4),
        (3, "uneven", 1, 2),
    )
]


def _normal(seed: int, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def _case(axes: int, groups: int, dtype=jnp.float32) -> tuple[jax.Array, jax.Array]:
    return _normal(0, (2, *SPATIAL[axes], 4), dtype), _normal(1, (*WINDOW[axes], 4 // groups, 8), dtype)


@pytest.mark.few(3)
@pytest.mark.parametrize(("axes", "strides", "padding", "dilation", "groups"), CASES)
def test_both_formulations_agree_in_value_and_gradients(axes, strides, padding, dilation, groups):
    padding = UNEVEN[axes] if padding == "uneven" else padding
    windows = plan_windows(SPATIAL[axes], WINDOW[axes], strides, padding, dilation, "kernel")

    @jax.jit
    def both(x, kernel, cotangent):
        results = []
        for formulation in (_conv_patches.as_matmul, _conv.as_conv):
            y, pull_back = jax.vjp(functools.partial(formulation, windows=windows, groups=groups), x, kernel)
            results.append((y, *pull_back(cotangent)))
        return results

    with jax.enable_x64(True):
        x, kernel = _case(axes, groups, jnp.float64)
        ours, native = both(x, kernel, _normal(2, (2, *windows.output, 8), jnp.float64))
    for one, other in zip(ours, native, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)  # sums of under 1000 terms of order 1 in float64


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("spatial", "window", "padding"),
    [
        ((9,), (3,), "SAME"),
        ((8,), (4,), "CAUSAL"),
        ((7, 6), (3, 3), "SAME"),
        ((7, 8), (5, 4), "VALID"),
        ((5, 5), (5, 5), "VALID"),
        ((6, 5), (3, 6), ((0, 3), (4, 1))),
    ],
)
@pytest.mark.parametrize("use_bias", [False, True])
def test_blocks_of_outputs_agree_with_the_native_conv(spatial, window, padding, use_bias):
    windows = plan_windows(spatial, window, 1, padding, 1, "kernel")
    assert suits_blocks((*window, 2, 3), windows)

    @jax.jit
    def both(cotangent, *args):
        results = []
        for formulation in (_conv_patches.as_matmul, _conv.as_conv):
            y, pull_back = jax.vjp(functools.partial(formulation, windows=windows, groups=1), *args)
            results.append((y, *pull_back(cotangent)))
        return results

    with jax.enable_x64(True):
        normal = functools.partial(_normal, dtype=jnp.float64)
        args = (normal(0, (3, *spatial, 2)), normal(1, (*window, 2, 3)), normal(2, (3,)))[: 3 if use_bias else 2]
        blocks, native = both(normal(3, (3, *windows.output, 3)), *args)
    for one, other in zip(blocks, native, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)  # sums of under 1000 terms of order 1 in float64


@pytest.mark.parametrize(
    ("channels", "strides", "dilation", "window", "expected"),
    [
        ((1, 6), 1, 1, 5, True),  # LeNet-5's two
        ((6, 16), 1, 1, 5, True),
        ((16, 16), 1, 1, 3, False),
        ((3, 16), 1, 1, 3, False),
        ((3, 64), 1, 1, 3, False),
        ((3, 8), 2, 1, 3, False),
        ((3, 8), 1, 2, 3, False),
        ((3, 8), 1, 1, 2, False),
    ],
)
def test_blocks_are_for_few_channels_and_dense_windows(channels, strides, dilation, window, expected):
    windows = plan_windows((12, 12), (window, window), strides, "SAME", dilation, "kernel")
    assert suits_blocks((window, window, *channels), windows) is expected


@pytest.mark.few(3)
@pytest.mark.parametrize(("axes", "groups"), [(1, 1), (1, 4), (2, 1), (2, 2), (2, 4), (3, 1), (3, 2)])
def test_conv_and_its_gradients_agree_with_torch(axes, groups):
    torch = pytest.importorskip("torch")
    x, kernel = _case(axes, groups)
    bias = _normal(2, (8,))
    strides, padding, dilation = (2, 1, 1)[:axes], (1, 2, 0)[:axes], (1, 2, 1)[:axes]

    @jax.jit
    def ours(x, kernel, bias):
        options = {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}
        y, pull_back = jax.vjp(lambda x, kernel, bias: conv(x, kernel, bias=bias, **options), x, kernel, bias)
        return y, *pull_back(jnp.sin(y))

    x_t = torch.tensor(np.moveaxis(np.array(x), -1, 1), requires_grad=True)
    kernel_t = torch.tensor(np.moveaxis(np.array(kernel), (-1, -2), (0, 1)), requires_grad=True)
    bias_t = torch.tensor(np.array(bias), requires_grad=True)
    y_t = getattr(torch.nn.functional, f"conv{axes}d")(
        x_t, kernel_t, bias_t, stride=strides, padding=padding, dilation=dilation, groups=groups
    )
    y_t.backward(torch.sin(y_t.detach()))
    y, x_bar, kernel_bar, bias_bar = ours(x, kernel, bias)
    close = functools.partial(np.testing.assert_allclose, rtol=2e-5, atol=2e-5)  # float32 sums of up to 70 terms
    close(y, np.moveaxis(y_t.detach().numpy(), 1, -1))
    close(x_bar, np.moveaxis(x_t.grad.numpy(), 1, -1))
    close(kernel_bar, np.moveaxis(kernel_t.grad.numpy(), (0, 1), (-1, -2)))
    close(bias_bar, bias_t.grad.numpy())


def test_causal_padding_sees_no_later_position():
    x, kernel = _normal(0, (1, 9, 2)), _normal(1, (3, 2, 2))
    jacobian = jax.jacobian(lambda x: conv(x, kernel, padding="causal", dilation=2)[0].sum(-1))(x)[:, 0]
    seen = jnp.abs(jacobian).sum(-1) > 0
    offset = np.arange(9)[:, None] - np.arange(9)
    np.testing.assert_array_equal(seen, np.isin(offset, (0, 2, 4)))


def test_a_pointwise_conv_is_a_matrix_product_over_channels():
    x, kernel = _normal(0, (2, 4, 4, 3)), _normal(1, (1, 1, 3, 5))
    np.testing.assert_allclose(conv(x, kernel), jnp.einsum("bhwc,cf->bhwf", x, kernel[0, 0]), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("limit", [1, 2500])
def test_conv_in_chunks_of_examples_is_the_whole_conv(monkeypatch, limit):
    x, kernel = _normal(0, (5, 4, 4, 2)), _normal(1, (3, 3, 2, 3))  # 1152 bytes of patches per example
    windows = plan_windows((4, 4), (3, 3), 1, "SAME", 1, "kernel")

    def value_and_gradients(x, kernel):
        y, pull_back = jax.vjp(
            lambda x, kernel: _conv_patches.as_matmul(x, kernel, windows=windows, groups=1), x, kernel
        )
        return y, *pull_back(jnp.cos(y))

    whole = jax.jit(value_and_gradients)(x, kernel)
    monkeypatch.setattr(_conv_patches, "_CHUNK_BYTES", limit)
    program = jax.jit(lambda x, kernel: value_and_gradients(x, kernel))
    assert "stablehlo.while" in program.lower(x, kernel).as_text()
    for one, other in zip(program(x, kernel), whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)  # the sum over examples is in another order


def test_patches_that_would_not_fit_go_to_the_native_conv(monkeypatch):
    x, kernel = _normal(0, (1, 6, 5, 2)), _normal(1, (3, 3, 2, 3))
    expected = conv(x, kernel)
    monkeypatch.setattr(_conv_patches, "_EXAMPLE_BYTES", 1)
    monkeypatch.setattr(_conv, "_compiled", lambda *args: _conv.by_platform(*args))  # nothing compiled before
    assert "stablehlo.convolution" in _lowered(conv, "cpu", x, kernel)
    np.testing.assert_allclose(conv(x, kernel), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.few(2)
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
@pytest.mark.parametrize("groups", [1, 4])
def test_conv_computes_in_the_dtype_of_x(dtype, groups):
    x, kernel = _case(2, groups)
    x, rounded = x.astype(dtype), kernel.astype(dtype)
    y, x_bar = jax.jit(jax.value_and_grad(lambda x: conv(x, kernel, groups=groups).sum()))(x)
    assert y.dtype == x_bar.dtype == dtype
    exact = conv(x.astype(jnp.float32), rounded.astype(jnp.float32), groups=groups)
    y = conv(x, kernel, groups=groups)
    # Products are summed in float32, so rounding the result is the one error: half a unit in the last place.
    np.testing.assert_allclose(y.astype(jnp.float32), exact, rtol=float(jnp.finfo(dtype).eps), atol=1e-5)


def test_conv_maps_over_x_over_kernels_and_over_both():
    x, kernel = _normal(0, (3, 2, 6, 6, 2)), _normal(1, (3, 3, 3, 2, 4))
    apply = functools.partial(conv, strides=2)
    for x_axis, kernel_axis in ((0, None), (None, 0), (0, 0)):
        xs, kernels = x if x_axis == 0 else x[0], kernel if kernel_axis == 0 else kernel[0]
        mapped = jax.jit(jax.vmap(apply, in_axes=(x_axis, kernel_axis)))(xs, kernels)
        for lane in range(3):
            alone = apply(xs[lane] if x_axis == 0 else xs, kernels[lane] if kernel_axis == 0 else kernels)
            np.testing.assert_allclose(mapped[lane], alone, rtol=1e-5, atol=1e-5)


def test_kernels_under_vmap_stay_one_batched_matrix_product_on_cpu():
    x, kernels = _normal(0, (2, 6, 6, 2)), _normal(1, (5, 3, 3, 2, 4))
    program = _lowered(jax.vmap(conv, in_axes=(None, 0)), "cpu", x, kernels)
    assert program.count("stablehlo.dot_general") == 1
    assert "stablehlo.convolution" not in program and "stablehlo.while" not in program
    batched = jax.vmap(conv)
    assert "batching_dims = [0] x [0]" in _lowered(batched, "cpu", jnp.stack([x] * 5), kernels)


@pytest.mark.slow
def test_conv_is_twice_differentiable_in_both_modes():
    x, kernel = _normal(0, (1, 4, 4, 2)), _normal(1, (3, 3, 2, 2))

    def energy(x, kernel, apply=conv):
        return jnp.sum(jnp.tanh(apply(x, kernel)))

    def native(x, kernel):
        return _conv.as_conv(x, kernel, windows=plan_windows((4, 4), (3, 3), 1, "SAME", 1, "kernel"), groups=1)

    ours = jax.jit(jax.hessian(energy, argnums=(0, 1)))(x, kernel)
    theirs = jax.jit(jax.hessian(functools.partial(energy, apply=native), argnums=(0, 1)))(x, kernel)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), ours, theirs)
    reverse = jax.jit(jax.jacrev(jax.grad(energy)))(x, kernel)
    np.testing.assert_allclose(reverse, theirs[0][0], rtol=1e-4, atol=1e-5)


def _lowered(function, platform: str, *args) -> str:
    fresh = jax.jit(lambda *args: function(*args))  # a function of its own: no trace is taken from an earlier test
    return fresh.trace(*args).lower(lowering_platforms=(platform,)).as_text()


def _two_training_steps(kernel, batches):
    def step(kernel, x):
        loss, gradient = jax.value_and_grad(lambda kernel: jnp.sum(jnp.tanh(conv(jnp.tanh(conv(x, kernel)), kernel))))(
            kernel
        )
        return kernel - 0.1 * gradient, loss

    return lax.scan(step, kernel, batches)


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_accelerators_hold_native_convolutions_alone(platform):
    x, kernel = _normal(0, (2, 8, 8, 3)), _normal(1, (3, 3, 3, 3))
    value = _lowered(conv, platform, x, kernel)
    assert (value.count("stablehlo.convolution"), value.count("stablehlo.dot_general")) == (1, 0)
    training = _lowered(_two_training_steps, platform, kernel, x[None].repeat(2, 0))
    # Two convolutions forward; backward one for each kernel and one for the input of the second.
    assert (training.count("stablehlo.convolution"), training.count("stablehlo.dot_general")) == (5, 0)


def test_cpu_holds_matrix_products_alone():
    x, kernel = _normal(0, (2, 8, 8, 3)), _normal(1, (3, 3, 3, 3))
    training = _lowered(_two_training_steps, "cpu", kernel, x[None].repeat(2, 0))
    assert (training.count("stablehlo.convolution"), training.count("stablehlo.dot_general")) == (0, 5)


def _largest_tensor(program: str) -> int:
    shapes = re.findall(r"tensor<((?:\d+x)+)[a-z]\w*>", program)
    return max(int(np.prod([int(n) for n in shape.split("x") if n])) for shape in shapes)


def _gradient_through_two_steps(kernel, batches):
    def loss(kernel):
        def step(carry, x):
            return jnp.tanh(conv(x + carry, kernel)), None

        return jnp.sum(lax.scan(step, jnp.zeros_like(batches[0]), batches)[0])

    return jax.grad(loss)(kernel)


STEPS, BATCH = 2, (4, 8, 8)
# Channels, and the ratio of patches to images: 3 x 3 windows, and 4 x 4 windows for blocks of 2 x 2 outputs.
FEW, MANY = pytest.param(3, 4, id="few channels"), pytest.param(16, 9, id="many channels")


def _images(channels: int) -> tuple[int, jax.Array, jax.Array]:
    """The size of a step's images, the images of all steps, and a kernel."""
    size = int(np.prod(BATCH)) * channels
    return size, _normal(0, (STEPS, *BATCH, channels)), _normal(1, (3, 3, channels, channels))


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
@pytest.mark.parametrize(("channels", "ratio"), [FEW, MANY])
def test_no_patches_are_kept_for_the_backward_pass_on_accelerators(platform, channels, ratio):
    size, batches, kernel = _images(channels)
    program = _lowered(_gradient_through_two_steps, platform, kernel, batches)
    assert size <= _largest_tensor(program) <= STEPS * size < ratio * size


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
@pytest.mark.parametrize(("channels", "ratio"), [FEW, MANY])
def test_no_patches_of_a_constant_batch_are_made_ahead_of_the_loop_on_accelerators(platform, channels, ratio):
    def gradient(kernel, x):
        def step(kernel, _):
            return kernel * (1 - jnp.mean(conv(x, kernel) ** 2)), None

        return jax.grad(lambda kernel: lax.scan(step, kernel, length=STEPS)[0].sum())(kernel)

    size, batches, kernel = _images(channels)
    program = _lowered(gradient, platform, kernel, batches[0])
    assert _largest_tensor(program) <= STEPS * size < ratio * size


def test_no_stacked_patches_are_kept_for_the_backward_pass_on_cpu():
    size, batches, kernel = _images(3)
    program = _lowered(_gradient_through_two_steps, "cpu", kernel, batches)
    assert _largest_tensor(program) == 4 * size  # those of one step
    size, batches, kernel = _images(16)
    assert _largest_tensor(_lowered(_gradient_through_two_steps, "cpu", kernel, batches)) == STEPS * size  # none at all


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_without_rematerialisation_the_patches_would_be_kept(monkeypatch, platform):
    """The search for patches finds them where they are."""
    monkeypatch.setattr(_conv, "_compiled", lambda *args: _conv.by_platform(*args))  # nothing traced before
    monkeypatch.setattr(jax, "checkpoint", lambda function, **_: function)
    size, batches, kernel = _images(3)
    program = _lowered(_gradient_through_two_steps, platform, kernel, batches)
    assert _largest_tensor(program) == STEPS * 4 * size


@pytest.mark.parametrize(
    ("x_shape", "kernel_shape", "arguments", "message"),
    [
        ((8, 8), (3, 3, 1, 1), {}, r"x must be a channels-last batch .* got shape \(8, 8\)"),
        ((1, 8, 8, 3), (3, 3, 4), {}, r"kernel must be .* 2 window axes .* got shape \(3, 3, 4\)"),
        ((1, 8, 8, 3), (3, 3, 2, 4), {}, r"takes 2 channels .* has 3 channels; make kernel.shape\[-2\] 3"),
        ((1, 8, 8, 3), (3, 3, 1, 4), {"groups": 2}, "groups must divide both channels_in = 3"),
        ((1, 8, 8, 4), (3, 3, 2, 5), {"groups": 2}, "channels_out = 5"),
        ((1, 8, 8, 4), (3, 3, 4, 4), {"groups": 0}, "groups must be at least 1, got 0"),
        ((1, 8, 8, 4), (3, 3, 4, 0), {}, "has no elements"),
        ((1, 4, 8, 1), (5, 5, 1, 1), {"padding": "VALID"}, r"spatial axis 0: it reaches over 5 .* x has 4 \+ 0"),
        ((1, 8, 4, 1), (3, 3, 1, 1), {"padding": "VALID", "dilation": 2}, r"axis 1: .* over 5 .* dilation 2"),
        ((1, 8, 8, 1), (3, 3, 1, 1), {"padding": "HALF"}, "padding must be 'SAME', 'VALID'.* got 'HALF'"),
        ((1, 8, 8, 1), (3, 3, 1, 1), {"padding": "CAUSAL"}, "'CAUSAL' needs one spatial axis, x has 2"),
        ((1, 8, 8, 1), (3, 3, 1, 1), {"padding": (1, 1, 1)}, "padding needs 2 entries"),
        ((1, 8, 8, 1), (3, 3, 1, 1), {"padding": ((1, 1, 1), (1, 1, 1))}, "padding must be .* pair"),
        ((1, 8, 8, 1), (3, 3, 1, 1), {"padding": -1}, "padding must be at least 0, got -1"),
        ((1, 8, 8, 1), (3, 3, 1, 1), {"strides": 0}, "strides must be at least 1, got 0"),
        ((1, 8, 8, 1), (3, 3, 1, 1), {"strides": (1, 1, 1)}, "strides needs an int or 2 ints"),
        ((1, 8, 8, 1), (3, 3, 1, 1), {"dilation": 0}, "dilation must be at least 1"),
    ],
)
def test_conv_refuses_what_does_not_fit(x_shape, kernel_shape, arguments, message):
    with pytest.raises(ValueError, match=message):
        conv(jnp.zeros(x_shape), jnp.zeros(kernel_shape), **arguments)


def test_conv_refuses_a_bias_that_is_not_one_number_per_channel():
    with pytest.raises(ValueError, match=r"bias must have shape \(4,\), one number a channel; got \(3,\)"):
        conv(jnp.zeros((1, 8, 1)), jnp.zeros((3, 1, 4)), bias=jnp.zeros(3))


def test_conv_refuses_dtypes_that_it_cannot_compute_in():
    kernel = jnp.zeros((3, 3, 1, 1))
    with pytest.raises(TypeError, match=r"floating dtype, got uint8; pass x.astype\(jnp.float32\)"):
        conv(jnp.zeros((1, 8, 8, 1), jnp.uint8), kernel)
    with pytest.raises(TypeError, match="kernel must be real, got complex64"):
        conv(jnp.zeros((1, 8, 8, 1)), kernel.astype(jnp.complex64))
    with pytest.raises(TypeError, match="strides must be an int"):
        conv(jnp.zeros((1, 8, 8, 1)), kernel, strides=1.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [5, 8])
@pytest.mark.parametrize(("window", "stride", "padding", "dilation"), [(3, 1, 0, 1), (2, 3, 1, 1), (3, 2, 2, 2)])
def test_conv_output_size_is_the_size_that_conv_gives(size, window, stride, padding, dilation):
    y = conv(jnp.zeros((1, size, 1)), jnp.zeros((window, 1, 1)), strides=stride, padding=padding, dilation=dilation)
    assert y.shape[1] == conv_output_size(size, window, stride, padding, dilation)
    assert y.shape[1] == (size + 2 * padding - dilation * (window - 1) - 1) // stride + 1


def test_conv_output_size_refuses_a_window_larger_than_the_input():
    with pytest.raises(ValueError, match="window is larger than x"):
        conv_output_size(4, 5)
