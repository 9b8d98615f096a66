"""Norms against PyTorch in float64, value and gradient, and against their definitions."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore import layers

RANDOM = np.random.default_rng(0)
IMAGE, SCALE, OFFSET = RANDOM.normal(2, 3, (3, 4, 5, 6)), RANDOM.normal(1, 0.3, 6), RANDOM.normal(0, 0.3, 6)
BOTH = {"scale": SCALE, "offset": OFFSET}


def _first(F: Any, norm: Any, x: Any) -> Any:  # channels first and back
    return norm(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


# The layer, its params, and PyTorch's (F, x, scale, offset).
CASES: dict[str, tuple[Any, dict[str, Any], Any]] = {
    "layer_norm": (layers.layer_norm(), BOTH, lambda F, x, s, b: F.layer_norm(x, (6,), s, b, 1e-6)),
    "rms_norm": (layers.rms_norm(), {"scale": SCALE}, lambda F, x, s, b: F.rms_norm(x, (6,), s, 1e-6)),
    "group_norm": (
        layers.group_norm(3),
        BOTH,
        lambda F, x, s, b: _first(F, lambda x: F.group_norm(x, 3, s, b, 1e-6), x),
    ),
    "one group": (
        layers.group_norm(1),
        BOTH,
        lambda F, x, s, b: F.layer_norm(x, (4, 5, 6), None, None, 1e-6) * s + b,
    ),
    "as many groups as channels": (
        layers.group_norm(6),
        BOTH,
        lambda F, x, s, b: _first(F, lambda x: F.instance_norm(x, weight=s, bias=b, eps=1e-6), x),
    ),
    "instance_norm": (
        layers.instance_norm(),
        BOTH,
        lambda F, x, s, b: _first(F, lambda x: F.instance_norm(x, weight=s, bias=b, eps=1e-6), x),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_agree_with_torch(name: str):
    torch = pytest.importorskip("torch")
    layer, params, theirs = CASES[name]
    leaves = {key: torch.tensor(value, requires_grad=True) for key, value in {"x": IMAGE, **params}.items()}
    y = theirs(torch.nn.functional, leaves["x"], leaves["scale"], leaves.get("offset"))
    weights = RANDOM.normal(size=IMAGE.shape)
    (y * torch.tensor(weights)).sum().backward()
    with jax.enable_x64(True):
        forward = lambda x, params: layer.apply(params, {}, x, train=True)[0]
        both = lambda *a: (forward(*a), jax.grad(lambda *a: (forward(*a) * weights).sum(), (0, 1))(*a))
        value, (slope, slopes) = jax.jit(both)(jnp.asarray(IMAGE), jax.tree.map(jnp.asarray, params))
    np.testing.assert_allclose(value, y.detach().numpy(), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(slope, leaves["x"].grad.numpy(), rtol=1e-9, atol=1e-11)
    for key in params:
        np.testing.assert_allclose(slopes[key], leaves[key].grad.numpy(), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_statistics_are_float32_whatever_the_type(name: str, dtype: Any):
    layer, params, _ = CASES[name]
    x = jnp.asarray(IMAGE * 100 + 300, dtype)  # a sum of squares of these overflows float16
    with jax.enable_x64(True):
        exact = layer.apply(params, {}, jnp.asarray(np.asarray(x, np.float64)))[0]
    y = layer.apply(jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), params), {}, x)[0]
    assert y.dtype == dtype
    rounding = float(jnp.finfo(dtype).eps) * 8  # of outputs up to 8 in size
    np.testing.assert_allclose(np.asarray(y, np.float64), exact, atol=rounding)


def test_a_large_mean_costs_no_digits():
    x = np.random.default_rng(1).normal(size=(2, 16, 4))
    for layer in (
        layers.instance_norm(use_scale=False, use_offset=False),
        layers.group_norm(2, use_scale=False, use_offset=False),
    ):
        shifted = np.asarray(x + 1e4, np.float32)
        with jax.enable_x64(True):
            exact = layer.apply({}, {}, jnp.asarray(shifted.astype(np.float64)))[0]
        # Sums of 16 or 32 such numbers are known to 1/64 or 1/32, and their means to .002. E[x^2] - E[x]^2 would be off
        # by 8, and make noise of everything.
        np.testing.assert_allclose(layer.apply({}, {}, jnp.asarray(shifted))[0], exact, atol=4e-3)


def test_no_variance_gives_the_offset_and_a_finite_gradient():
    for name, (layer, params, _) in CASES.items():
        if name == "rms_norm":
            continue
        x, params = jnp.full((2, 3, 3, 6), 5.0), jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), params)
        y, back = jax.vjp(lambda x: layer.apply(params, {}, x)[0], x)  # noqa: B023
        np.testing.assert_allclose(y, np.broadcast_to(np.float32(OFFSET), y.shape), atol=1e-6)
        assert bool(jnp.isfinite(back(jnp.ones_like(y))[0]).all())


def test_adain_takes_on_the_mean_and_the_spread_of_the_style():
    style = RANDOM.normal(-4, 0.5, (3, 7, 6))
    y = layers.adain(epsilon=0.0).apply({}, {}, jnp.asarray(IMAGE), jnp.asarray(style))[0]
    np.testing.assert_allclose(y.mean((1, 2)), style.mean(1), rtol=1e-4)
    np.testing.assert_allclose(y.std((1, 2)), style.std(1), rtol=1e-4)
    centred = (IMAGE - IMAGE.mean((1, 2), keepdims=True)) / IMAGE.std((1, 2), keepdims=True)
    wanted = centred * style.std(1)[:, None, None] + style.mean(1)[:, None, None]
    np.testing.assert_allclose(y, wanted, atol=1e-5)


@pytest.mark.parametrize(("rho", "like"), [(1.0, "instance_norm"), (0.0, "one group"), (7.0, "instance_norm")])
def test_adalin_goes_from_layer_to_instance_norm(rho: float, like: str):
    plain = CASES[like][0].recipe.factory
    gamma, beta = RANDOM.normal(size=(2, 3, 6)).astype(np.float32)
    x = jnp.asarray(IMAGE, jnp.float32)
    y = layers.adalin(epsilon=1e-6).apply({"rho": jnp.full(6, rho)}, {}, x, gamma, beta)[0]
    options = {"use_scale": False, "use_offset": False}
    normed = (plain(1, **options) if like == "one group" else plain(**options)).apply({}, {}, x)[0]
    np.testing.assert_allclose(y, normed * gamma[:, None, None] + beta[:, None, None], atol=2e-5)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: layers.group_norm(4).init(KEY, IMAGE), ValueError, "groups: expected a divisor of the 6 channels"),
        (lambda: layers.group_norm(6).init(KEY, IMAGE[:, 0, 0]), ValueError, "has one value a group"),
        (lambda: layers.group_norm(0), ValueError, "groups: expected a positive whole number, found 0"),
        (lambda: layers.instance_norm().init(KEY, IMAGE[:, :1, :1]), ValueError, "has one position"),
        (lambda: layers.instance_norm().init(KEY, IMAGE[:, 0, 0]), ValueError, "shape"),
        (lambda: layers.rms_norm().init(KEY, jnp.arange(3)), TypeError, "rms_norm computes in its input's floating"),
        (lambda: layers.adain().apply({}, {}, IMAGE, IMAGE[:1]), ValueError, r"adain: expected a style \(3, ..., 6\)"),
        (lambda: layers.adalin(initial=1.5), ValueError, r"initial: expected a share in \[0, 1\], found 1.5"),
        (lambda: layers.adalin().init(KEY, IMAGE, SCALE, SCALE), ValueError, "expected gamma"),
    ],
)
def test_what_does_not_fit_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


KEY = jax.random.key(0)
