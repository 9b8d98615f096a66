"""Pooling: both formulations against torch and each other, ties, edges and what each platform's program holds."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.ops import _reduce, avg_pool, global_avg_pool, max_pool
from dlcore.ops._window import plan_windows

SPATIAL = {1: (9,), 2: (7, 6), 3: (4, 5, 4)}
CASES = [  # window, strides and padding; each is cut to the number of spatial axes
    ((2, 2, 2), None, (0, 0, 0)),  # windows side by side, remainders dropped
    ((3, 2, 3), (2, 1, 1), (1, 0, 1)),
    ((2, 3, 2), (3, 3, 3), (0, 1, 1)),  # gaps between windows
]


def _normal(shape: tuple[int, ...], seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def _value_and_gradient(pool, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    def both(x):
        y, pull_back = jax.vjp(pool, x)
        return y, pull_back(jnp.cos(y) + 2)[0]

    return jax.jit(both)(x)


def _torch_value_and_gradient(pool, x: jax.Array) -> tuple[np.ndarray, np.ndarray]:
    torch = pytest.importorskip("torch")
    x_t = torch.tensor(np.moveaxis(np.array(x), -1, 1), requires_grad=True)
    y_t = pool(torch.nn.functional, x_t)
    y_t.backward(torch.cos(y_t.detach()) + 2)
    return np.moveaxis(y_t.detach().numpy(), 1, -1), np.moveaxis(x_t.grad.numpy(), 1, -1)


@pytest.mark.few(3)
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(("window", "strides", "padding"), CASES)
@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "ties"])
def test_max_pool_agrees_with_torch_in_value_and_gradient(axes, window, strides, padding, ties):
    x = _normal((2, *SPATIAL[axes], 3))
    x = jax.nn.relu(x) if ties else x  # after a relu most windows hold several largest elements: zeros
    window, strides, padding = window[:axes], strides and strides[:axes], padding[:axes]
    ours = _value_and_gradient(lambda x: max_pool(x, window, strides=strides, padding=padding), x)
    theirs = _torch_value_and_gradient(
        lambda F, x: getattr(F, f"max_pool{axes}d")(x, window, stride=strides, padding=padding), x
    )
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-6, atol=1e-6)


@pytest.mark.few(3)
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(("window", "strides", "padding"), CASES)
@pytest.mark.parametrize("count_include_pad", [False, True])
def test_avg_pool_agrees_with_torch_in_value_and_gradient(axes, window, strides, padding, count_include_pad):
    x = _normal((2, *SPATIAL[axes], 3))
    window, strides, padding = window[:axes], strides and strides[:axes], padding[:axes]
    arguments = {"padding": padding, "count_include_pad": count_include_pad}
    ours = _value_and_gradient(lambda x: avg_pool(x, window, strides=strides, **arguments), x)
    theirs = _torch_value_and_gradient(
        lambda F, x: getattr(F, f"avg_pool{axes}d")(x, window, stride=strides, **arguments), x
    )
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)  # sums of up to 18 terms in float32


@pytest.mark.few(2)
@pytest.mark.parametrize("padding", ["VALID", "SAME", ((0, 1), (1, 0))])
@pytest.mark.parametrize("strides", [1, 2, (3, 2)])
@pytest.mark.parametrize("channels", [3, 16], ids=["few channels", "many channels"])
@pytest.mark.parametrize(
    ("identity", "pair", "monoid"),
    [(-np.inf, _reduce.first_larger, jax.lax.max), (0.0, jax.lax.add, jax.lax.add)],
    ids=["max", "sum"],
)
def test_both_formulations_agree_in_value_and_gradient(padding, strides, channels, identity, pair, monoid):
    windows = plan_windows((6, 5), (3, 2), strides, padding, 1, "window")
    shared = {"windows": windows, "identity": np.array(identity, np.float32)}
    x = jax.nn.relu(_normal((2, 6, 5, channels)))  # zeros tie
    slices = _value_and_gradient(functools.partial(_reduce.by_slices, pair=pair, **shared), x)
    native = _value_and_gradient(functools.partial(_reduce.by_reduce_window, monoid=monoid, **shared), x)
    for one, other in zip(slices, native, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_avg_pool_of_ones_is_one_at_padded_edges():
    ones = jnp.ones((1, 5, 4, 2))
    np.testing.assert_array_equal(avg_pool(ones, 3, strides=2, padding="SAME"), jnp.ones((1, 3, 2, 2)))
    corner = avg_pool(ones, 3, strides=1, padding="SAME", count_include_pad=True)[0, 0, 0, 0]
    np.testing.assert_allclose(corner, 4 / 9, rtol=1e-6)


def test_max_pool_gives_a_tie_to_the_first_element_alone():
    gradient = jax.grad(lambda x: max_pool(x, 2).sum())(jnp.ones((1, 2, 2, 1)))
    assert gradient.ravel().tolist() == [1.0, 0.0, 0.0, 0.0]


def test_max_pool_lets_nan_win():
    for place in range(4):
        x = jnp.zeros(4).at[place].set(jnp.nan).reshape(1, 2, 2, 1)
        assert jnp.isnan(max_pool(x, 2)).all()


def test_padding_never_wins_a_max_pool():
    x = -jnp.ones((1, 3, 3, 1))
    np.testing.assert_array_equal(max_pool(x, 3, strides=1, padding="SAME"), x)


def test_global_avg_pool_is_the_mean_over_space():
    for axes in (1, 2, 3):
        x = _normal((2, *SPATIAL[axes], 3))
        expected = np.array(x, np.float64).reshape(2, -1, 3).mean(1)
        np.testing.assert_allclose(global_avg_pool(x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_averages_in_half_precision_neither_overflow_nor_drift(dtype):
    x = jnp.full((1, 16, 16, 1), 60_000, dtype)  # one sum of two would overflow float16
    for y in (avg_pool(x, 16), global_avg_pool(x)):
        assert y.dtype == dtype
        assert (y == x[0, 0, 0, 0]).all()
    assert max_pool(x, 2).dtype == dtype


def test_a_window_of_many_elements_is_pooled_like_any_other():
    x = _normal((1, 100, 2))
    blocks = np.array(x).reshape(1, 2, 50, 2)
    np.testing.assert_array_equal(max_pool(x, 50), blocks.max(2))
    np.testing.assert_allclose(avg_pool(x, 50), blocks.mean(2), rtol=1e-5, atol=1e-6)


@pytest.mark.few(1)
@pytest.mark.parametrize("pool", [max_pool, avg_pool])
def test_pools_map_and_differentiate_twice_in_both_modes(pool):
    apply = functools.partial(pool, window=2, strides=1, padding="SAME")
    x = _normal((3, 1, 4, 3, 1))
    np.testing.assert_allclose(jax.vmap(apply)(x), jnp.stack([apply(lane) for lane in x]), rtol=1e-6)

    def energy(x):
        return jnp.sum(jnp.tanh(apply(jnp.sin(x))))

    forward = jax.jit(jax.jacfwd(jax.grad(energy)))(x[0])
    reverse = jax.jit(jax.jacrev(jax.grad(energy)))(x[0])
    np.testing.assert_allclose(forward, reverse, rtol=1e-5, atol=1e-6)
    h = 1e-2 * _normal(x[0].shape, seed=1)  # x has no near-ties that a step of this size would flip
    change = jax.grad(energy)(x[0] + h) - jax.grad(energy)(x[0] - h)
    np.testing.assert_allclose(change, 2 * jnp.tensordot(forward, h, x[0].ndim), atol=1e-4)  # cubic in the step


@pytest.mark.parametrize("pool", [max_pool, avg_pool])
@pytest.mark.parametrize(("platform", "windows"), [("cpu", False), ("tpu", True), ("cuda", True)])
def test_only_accelerators_hold_window_reductions(pool, platform, windows):
    gradient = jax.jit(jax.grad(lambda x: pool(x, 3, strides=2).sum()))
    program = gradient.trace(jnp.zeros((1, 8, 8, 2))).lower(lowering_platforms=(platform,)).as_text()
    assert ("reduce_window" in program or "select_and_scatter" in program) == windows


def test_no_masks_of_the_cpu_program_are_kept_for_the_backward_pass_on_accelerators():
    def loss(x):
        return jax.lax.scan(lambda x, _: (max_pool(x, 3, strides=1, padding="SAME") * x, None), x, length=2)[0].sum()

    program = jax.jit(jax.grad(loss)).trace(jnp.zeros((1, 8, 8, 2))).lower(lowering_platforms=("tpu",)).as_text()
    assert "x8x8x2xi1>" not in program


@pytest.mark.parametrize(
    ("shape", "window", "arguments", "message"),
    [
        ((4, 4), 2, {}, r"x must be a channels-last batch .* got shape \(4, 4\)"),
        ((1, 4, 4, 1), 5, {}, "window is larger than x on spatial axis 0: it reaches over 5"),
        ((1, 4, 4, 1), 0, {}, "window must be at least 1, got 0"),
        ((1, 4, 4, 1), (2, 2, 2), {}, "window needs an int or 2 ints"),
        ((1, 4, 4, 1), 2, {"strides": 0}, "strides must be at least 1, got 0"),
        ((1, 4, 4, 1), 2, {"padding": 2}, "padding must be less than window"),
        ((1, 4, 4, 1), 2, {"padding": "FULL"}, "padding must be 'SAME', 'VALID'"),
    ],
)
def test_pools_refuse_what_does_not_fit(shape, window, arguments, message):
    for pool in (max_pool, avg_pool):
        with pytest.raises(ValueError, match=message):
            pool(jnp.zeros(shape), window, **arguments)


def test_global_avg_pool_refuses_an_image_without_pixels():
    with pytest.raises(ValueError, match="spatial axis without elements"):
        global_avg_pool(jnp.zeros((2, 0, 3, 1)))


def test_pools_refuse_integers():
    images = jnp.zeros((1, 4, 4, 1), jnp.uint8)
    for pool in (functools.partial(max_pool, window=2), functools.partial(avg_pool, window=2), global_avg_pool):
        with pytest.raises(TypeError, match=r"floating dtype, got uint8; pass x.astype\(jnp.float32\)"):
            pool(images)
