"""Attention and positions against PyTorch in float64, Flax, and their formulas."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore import ops

RANDOM = np.random.default_rng(0)
B, T, S, H, G, D = 2, 5, 7, 6, 3, 4
Q, K, V = RANDOM.normal(size=(B, T, H, D)), RANDOM.normal(size=(B, S, G, D)), RANDOM.normal(size=(B, S, G, D + 1))
BIAS, MASK = RANDOM.normal(size=(B, H, T, S)), RANDOM.random((B, 1, T, S)) < 0.6
MASK[:, :, :, 0] = True
APART = np.arange(S) - np.arange(T)[:, None]

# Options of ours, and PyTorch's attn_mask: booleans, or numbers to add.
CASES: dict[str, tuple[dict[str, Any], Any]] = {
    "plain": ({}, None),
    "mask": ({"mask": MASK}, MASK),
    "bias": ({"bias": BIAS}, BIAS),
    "bias with -inf": ({"bias": np.where(MASK, BIAS, -np.inf)}, np.where(MASK, BIAS, -np.inf)),
    "mask and bias": ({"mask": MASK, "bias": BIAS[:1, :, :1]}, np.where(MASK, BIAS[:1, :, :1], -np.inf)),
    "a mask for each head": ({"mask": BIAS > -1}, BIAS > -1),
    "causal": ({"causal": True}, APART <= 0),
    "window": ({"window": (2, 1)}, (APART >= -2) & (APART <= 1)),
    "causal window": ({"window": (2, 9), "causal": True}, (APART >= -2) & (APART <= 0)),
    "lengths": (
        {"mask": ops.length_mask(jnp.array([7, 3]), S)[:, None, None]},
        (np.arange(S) < np.array([7, 3])[:, None])[:, None, None],
    ),
    "scale": ({"scale": 0.3}, None),
}


@pytest.mark.few(5)
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_agree_with_torch(name: str):
    torch = pytest.importorskip("torch")
    options, attn_mask = CASES[name]
    leaves = [torch.tensor(one, requires_grad=True) for one in (Q, K, V)]
    mask = None if attn_mask is None else torch.tensor(np.broadcast_to(attn_mask, (B, H, T, S)).copy())
    y = torch.nn.functional.scaled_dot_product_attention(
        *(leaf.transpose(1, 2) for leaf in leaves), attn_mask=mask, enable_gqa=True, scale=options.get("scale")
    ).transpose(1, 2)
    weights = RANDOM.normal(size=y.shape)
    (y * torch.tensor(weights)).sum().backward()
    with jax.enable_x64(True):
        forward = lambda *qkv: ops.attention(*qkv, **options)
        both = lambda *qkv: (forward(*qkv), jax.grad(lambda *qkv: (forward(*qkv) * weights).sum(), (0, 1, 2))(*qkv))
        value, gradients = jax.jit(both)(*map(jnp.asarray, (Q, K, V)))
    np.testing.assert_allclose(value, y.detach().numpy(), rtol=1e-10, atol=1e-12)
    for ours, theirs in zip(gradients, leaves, strict=True):
        np.testing.assert_allclose(ours, theirs.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_each_group_of_heads_has_its_own_keys():
    with jax.enable_x64(True):
        whole = ops.attention(Q, K, V)
        for head in range(H):
            own = ops.attention(Q[:, :, [head]], K[:, :, [head // 2]], V[:, :, [head // 2]])
            np.testing.assert_allclose(whole[:, :, [head]], own, rtol=1e-12)


def test_a_query_that_sees_nothing_gives_zeros_and_a_gradient_of_zero():
    mask = np.broadcast_to(MASK, (B, 1, T, S)).copy()
    mask[0, 0, 2] = False
    bad = Q.copy()
    bad[0, 2] = np.nan
    f = lambda q: ops.attention(q, jnp.asarray(K, jnp.float32), jnp.asarray(V, jnp.float32), mask=mask)
    y, back = jax.vjp(f, jnp.asarray(bad, jnp.float32))
    gradient = back(jnp.ones_like(y))[0]
    assert (y[0, 2] == 0).all() and (gradient[0, 2] == 0).all()
    assert bool(jnp.isfinite(gradient).all()) and bool(jnp.isfinite(y).all())
    none = ops.attention(*(jnp.asarray(one, jnp.float32) for one in (Q, K, V)), mask=jnp.zeros((1, 1, 1, 1), bool))
    assert (none == 0).all()


@pytest.mark.parametrize(("dtype", "bound"), [(jnp.float16, 4e-3), (jnp.bfloat16, 3e-2), (jnp.float32, 2e-6)])
def test_the_softmax_is_float32_or_wider(dtype: Any, bound: float):
    rounded = [jnp.asarray(one * 3, dtype) for one in (Q, K, V)]
    with jax.enable_x64(True):
        exact = ops.attention(*(jnp.asarray(np.asarray(one, np.float64)) for one in rounded))
    y = ops.attention(*rounded)
    assert y.dtype == dtype
    np.testing.assert_allclose(np.asarray(y, np.float64), exact, atol=bound * np.abs(exact).max())


def test_dropped_weights_keep_the_mean():
    q, k, v = (jnp.asarray(one, jnp.float32) for one in (Q, K, V))
    keys = jax.random.split(jax.random.key(0), 2000)
    draws = jax.vmap(lambda key: ops.attention(q, k, v, dropout=0.3, dropout_key=key))(keys)
    error = draws.std(0) / np.sqrt(2000)
    assert float((abs(draws.mean(0) - ops.attention(q, k, v)) / error).max()) < 5


def test_the_flash_kernel_is_asked_for_on_cuda_in_half_precision(monkeypatch: pytest.MonkeyPatch):
    from jax._src.cudnn import fused_attention_stablehlo as fused

    monkeypatch.setattr(fused, "check_cudnn_version", lambda: 91000)  # there is none here
    monkeypatch.setattr(fused, "check_compute_capability", lambda capability: True)
    monkeypatch.setattr(fused, "is_cuda_compute_capability_equal", lambda capability: False)
    x = jnp.zeros((2, 16, 4, 8), jnp.bfloat16)

    def text(platform: str, **options: Any) -> str:
        f = jax.jit(lambda x: ops.attention(x, x[:, :, :2], x[:, :, :2], causal=True, **options))
        return f.trace(x).lower(lowering_platforms=(platform,)).as_text()

    assert "__cudnn$fmha" in text("cuda", implementation="cudnn")
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert "__cudnn$fmha" in text("cuda") and "__cudnn$fmha" not in text("cuda", implementation="xla")
    monkeypatch.undo()
    assert "cudnn" not in text("cuda") and "cudnn" not in text("tpu")


def test_sinusoids_are_those_of_the_paper():
    p, i = np.arange(50)[:, None], np.arange(8)
    angles = p / 10_000 ** (2 * i / 16)
    expected = np.stack([np.sin(angles), np.cos(angles)], -1).reshape(50, 16)
    np.testing.assert_allclose(ops.sinusoidal(50, 16), expected, atol=1e-5)


@pytest.mark.parametrize("interleaved", [True, False])
def test_rotary_turns_complex_numbers(interleaved: bool):
    x, positions = RANDOM.normal(size=(2, 6, 3, 8)), np.array([0, 1, 5, 100, 1000, 7])
    turn = np.exp(1j * positions[:, None] / 10_000 ** (np.arange(4) / 4))[:, None]
    number = x[..., ::2] + 1j * x[..., 1::2] if interleaved else x[..., :4] + 1j * x[..., 4:]
    turned = number * turn
    parts = (turned.real, turned.imag)
    expected = np.stack(parts, -1).reshape(x.shape) if interleaved else np.concatenate(parts, -1)
    with jax.enable_x64(True):
        np.testing.assert_allclose(ops.rotary(jnp.asarray(x), positions, interleaved=interleaved), expected, atol=1e-12)
    wide = np.asarray(ops.rotary(jnp.asarray(x, jnp.float32), positions, interleaved=interleaved))
    np.testing.assert_allclose(wide, expected, atol=2e-4)  # an angle of 1000 is known to 6e-5 in float32


def test_products_of_turned_vectors_depend_on_their_distance_alone():
    q, k = RANDOM.normal(size=(2, 1, 1, 1, 8))
    with jax.enable_x64(True):
        product = lambda a, b: (ops.rotary(q, jnp.array([a])) * ops.rotary(k, jnp.array([b]))).sum()
        np.testing.assert_allclose(product(3, 5), product(103, 105), rtol=1e-9)
        assert abs(product(3, 5) - product(3, 6)) > 1e-3


X = jnp.ones((1, 3, 2, 4))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: ops.attention(X.astype(int), X, X), TypeError, "found query int32"),
        (lambda: ops.attention(X, X.astype(jnp.bfloat16), X), TypeError, "expected one type for all"),
        (lambda: ops.attention(X[0], X, X), ValueError, r"expected query \(B, steps, heads, features\)"),
        (lambda: ops.attention(X, X, X[:, :2]), ValueError, "expected key and value"),
        (lambda: ops.attention(X[:, :, :1], X, X), ValueError, "expected heads that 2 kv_heads divide, found 1"),
        (
            lambda: ops.attention(X, X, X, mask=jnp.ones((5, 5), bool)),
            ValueError,
            "mask and bias: expected",
        ),
        (lambda: ops.attention(X, X, X, window=(1, -1)), ValueError, "window: expected"),
        (lambda: ops.attention(X, X, X, implementation="cudnn"), ValueError, "it computes in half precision"),
        (lambda: ops.attention(X, X, X, implementation="flash"), ValueError, "expected 'xla' or 'cudnn'"),
        (lambda: ops.rotary(X[..., :3]), ValueError, "rotary: expected an even number of features, found 3"),
        (lambda: ops.rotary(X, jnp.arange(4)), ValueError, "positions: expected"),
        (lambda: ops.sinusoidal(3, 5), ValueError, "sinusoidal: expected an even number of features"),
        (lambda: ops.length_mask(jnp.ones(2), 3), TypeError, "lengths: expected whole numbers"),
    ],
)
def test_what_does_not_fit_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()
