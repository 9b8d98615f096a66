"""Pooling to a number of bins: against torch, and what must not leak from one bin into another."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.ops import adaptive_avg_pool, adaptive_max_pool, global_max_pool

POOLS = {"avg": adaptive_avg_pool, "max": adaptive_max_pool}


def _normal(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape)


@pytest.mark.few(6)
@pytest.mark.parametrize("kind", POOLS)
@pytest.mark.parametrize(
    ("spatial", "output"),
    [
        ((9,), (3,)),
        ((9,), (4,)),
        ((5,), (8,)),  # more bins than positions
        ((100,), (2,)),  # windows too long for slices
        ((7, 6), (3, 3)),
        ((7, 6), (1, 4)),
        ((5, 4, 3), (2, 3, 1)),
    ],
)
@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "ties"])
def test_bins_and_gradients_agree_with_torch(kind, spatial, output, ties):
    torch = pytest.importorskip("torch")
    x = np.maximum(_normal((2, *spatial, 3)), 0) if ties else _normal((2, *spatial, 3))
    x_t = torch.tensor(np.moveaxis(x, -1, 1).copy(), requires_grad=True)
    y_t = getattr(torch.nn.functional, f"adaptive_{kind}_pool{len(spatial)}d")(x_t, output)
    y_t.backward(torch.cos(y_t.detach()) + 2)

    @jax.jit
    def ours(x):
        y, pull_back = jax.vjp(lambda x: POOLS[kind](x, output), x)
        return y, pull_back(jnp.cos(y) + 2)[0]

    with jax.enable_x64(True):
        found = ours(jnp.asarray(x))
    for one, other in zip(found, (y_t.detach(), x_t.grad), strict=True):
        np.testing.assert_allclose(one, np.moveaxis(other.numpy(), 1, -1), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("spatial", [(40,), (4, 5), (3, 2, 2)])
def test_the_global_maximum_and_its_gradient_agree_with_torch(spatial):
    torch = pytest.importorskip("torch")
    x = np.maximum(_normal((2, *spatial, 3)) - 1.5, 0)  # many a channel is all zeros
    x_t = torch.tensor(np.moveaxis(x, -1, 1).copy(), requires_grad=True)
    y_t = getattr(torch.nn.functional, f"adaptive_max_pool{len(spatial)}d")(x_t, 1)
    y_t.sum().backward()
    y, pull_back = jax.vjp(global_max_pool, jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(y, y_t.detach().numpy().reshape(2, 3), rtol=1e-6)
    np.testing.assert_array_equal(pull_back(jnp.ones((2, 3)))[0], np.moveaxis(x_t.grad.numpy(), 1, -1))


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_stays_in_its_bins(bad):
    x = jnp.zeros((1, 7, 1)).at[0, 0].set(bad)
    for pool in POOLS.values():
        y = np.array(pool(x, 3)).ravel()  # of positions 0 to 2, 2 to 4 and 4 to 6
        assert np.isfinite(y[1:]).all()
        assert np.array_equal(y[:1], [bad], equal_nan=True) or (pool is adaptive_max_pool and bad < 0)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_averages_in_half_precision_do_not_overflow(dtype):
    x = jnp.full((1, 17, 1), 60_000, dtype)
    assert (adaptive_avg_pool(x, 2) == x[0, 0, 0]).all() and adaptive_avg_pool(x, 2).dtype == dtype
    assert adaptive_max_pool(x, 2).dtype == global_max_pool(x).dtype == dtype


def test_they_refuse_what_does_not_fit():
    for pool in POOLS.values():
        with pytest.raises(ValueError, match="output needs an int or 2 ints"):
            pool(jnp.zeros((1, 4, 4, 1)), (2, 2, 2))
        with pytest.raises(ValueError, match="output must be at least 1, got 0"):
            pool(jnp.zeros((1, 4, 1)), 0)
        with pytest.raises(TypeError, match="output must be an int"):
            pool(jnp.zeros((1, 4, 1)), 2.0)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="floating dtype, got int32"):
            pool(jnp.zeros((1, 4, 1), int), 2)
        with pytest.raises(ValueError, match="spatial axis without elements"):
            pool(jnp.zeros((1, 0, 1)), 2)
    with pytest.raises(ValueError, match="spatial axis without elements"):
        global_max_pool(jnp.zeros((1, 0, 1)))
    with pytest.raises(ValueError, match="x must be a channels-last batch"):
        global_max_pool(jnp.zeros((4, 4)))
    with pytest.raises(TypeError, match="floating dtype, got int32"):
        global_max_pool(jnp.zeros((1, 4, 1), int))
