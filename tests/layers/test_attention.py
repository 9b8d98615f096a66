"""Multi-head attention against PyTorch and Flax, and its cache against the full pass."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore import layers
from dlcore.layers import multi_head_attention

RANDOM = np.random.default_rng(0)
X, CONTEXT = RANDOM.normal(size=(2, 5, 12)), RANDOM.normal(size=(2, 7, 12))
KEY = jax.random.key(0)


def _random(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.asarray(RANDOM.normal(size=leaf.shape) * 0.4), tree)


@pytest.mark.few(1)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("cross", [False, True])
def test_it_is_torch_s_multi_head_attention(causal: bool, cross: bool):
    torch = pytest.importorskip("torch")
    with jax.enable_x64(True):
        layer, given = multi_head_attention(3, causal=causal), (X, CONTEXT) if cross else (X,)
        params, state = layer.init(KEY, *map(jnp.asarray, given))
        params = _random(params)
        ours, back = jax.vjp(lambda params, *xs: layer.apply(params, state, *xs)[0], params, *map(jnp.asarray, given))
        slopes = back(jnp.ones_like(ours))
    theirs = torch.nn.MultiheadAttention(12, 3, batch_first=True, dtype=torch.float64)
    parts = [params[name] for name in ("query", "key", "value")]
    theirs.in_proj_weight.data = torch.tensor(np.concatenate([one["kernel"].T for one in parts]))
    theirs.in_proj_bias.data = torch.tensor(np.concatenate([one["bias"] for one in parts]))
    theirs.out_proj.weight.data = torch.tensor(np.array(params["out"]["kernel"].T))
    theirs.out_proj.bias.data = torch.tensor(np.array(params["out"]["bias"]))
    leaves = [torch.tensor(one, requires_grad=True) for one in given]
    source = leaves[-1]
    mask = torch.ones(5, source.shape[1], dtype=torch.bool).triu(1) if causal else None
    y = theirs(leaves[0], source, source, attn_mask=mask, need_weights=False)[0]
    y.sum().backward()
    np.testing.assert_allclose(ours, y.detach().numpy(), rtol=1e-9, atol=1e-12)
    for slope, leaf in zip(slopes[1:], leaves, strict=True):
        np.testing.assert_allclose(slope, leaf.grad.numpy(), rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(slopes[0]["query"]["kernel"].T, theirs.in_proj_weight.grad.numpy()[:12], atol=1e-11)


@pytest.mark.slow
def test_it_is_flax_s_with_heads_of_another_size():
    from flax import linen

    theirs = linen.MultiHeadDotProductAttention(3, qkv_features=24)
    variables: Any = theirs.init(KEY, jnp.asarray(X, jnp.float32))["params"]
    layer = multi_head_attention(3, head_features=8)
    params, state = layer.init(KEY, jnp.asarray(X, jnp.float32))
    for name in ("query", "key", "value"):
        params[name] = {"kernel": variables[name]["kernel"].reshape(12, 24), "bias": variables[name]["bias"].ravel()}
    params["out"] = {"kernel": variables["out"]["kernel"].reshape(24, 12), "bias": variables["out"]["bias"]}
    expected: Any = theirs.apply({"params": variables}, jnp.asarray(X, jnp.float32))
    np.testing.assert_allclose(layer.apply(params, state, jnp.asarray(X, jnp.float32))[0], expected, atol=1e-5)


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "grouped": {"kv_heads": 1},
    "rotary": {"rotary_base": 100.0},
    "window": {"window": (2, 0)},
    "all": {"kv_heads": 2, "rotary_base": 100.0, "window": (3, 0), "head_features": 6, "use_bias": False},
}


@pytest.mark.few(1)
@pytest.mark.parametrize("name", OPTIONS)
def test_step_by_step_is_the_full_pass(name: str):
    options = {"causal": True, **OPTIONS[name]}
    with jax.enable_x64(True):
        x = jnp.asarray(RANDOM.normal(size=(2, 9, 16)))
        full, cached = multi_head_attention(4, **options), multi_head_attention(4, **options, cache=11)
        params, none = full.init(KEY, x)
        same, state = cached.init(KEY, x[:, :1])
        assert jax.tree.map(jnp.shape, same) == jax.tree.map(jnp.shape, params) and none == {}
        expected, step, pieces = full.apply(params, none, x)[0], jax.jit(cached.apply), []
        for piece in (x[:, :4], *jnp.split(x[:, 4:], 5, axis=1)):  # several at first, then one by one
            y, state = step(params, state, piece)
            pieces.append(y)
    np.testing.assert_allclose(jnp.concatenate(pieces, 1), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.slow
def test_ragged_prompts_are_a_vmap_over_caches():
    layer = multi_head_attention(4, causal=True, rotary_base=100.0, cache=8)
    full = multi_head_attention(4, causal=True, rotary_base=100.0)
    x = jnp.asarray(RANDOM.normal(size=(2, 6, 16)), jnp.float32)
    params, state = layer.init(KEY, x[:1, :1])
    states = [layer.apply(params, state, x[[i], :n])[1] for i, n in enumerate((2, 4))]
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    new = jnp.stack([x[0, 2], x[1, 4]])[:, None, None]
    y, after = jax.jit(jax.vmap(layer.apply, (None, 0, 0)))(params, both, new)
    for i, n in enumerate((3, 5)):
        np.testing.assert_allclose(y[i, 0, 0], full.apply(params, {}, x[[i], :n])[0][0, -1], atol=1e-5)
    assert after["cache"]["length"].tolist() == [3, 5]


@pytest.mark.slow
def test_a_cache_that_is_full_says_so_or_gives_nan():
    layer = multi_head_attention(2, causal=True, cache=3)
    x = jnp.ones((1, 2, 4))
    params, state = layer.init(KEY, x)
    y, state = layer.apply(params, state, x)
    with pytest.raises(ValueError, match="of the 3 positions that there is room for, 2 are taken and 2 more"):
        layer.apply(params, state, x)
    y, _ = jax.jit(layer.apply)(params, state, x)
    assert bool(jnp.isnan(y).all())


@pytest.mark.slow
def test_dropout_draws_with_a_key_and_wants_one_in_training():
    layer = multi_head_attention(2, dropout=0.5)
    x = jnp.asarray(X, jnp.float32)
    params, state = layer.init(KEY, x)
    calm = layer.apply(params, state, x)[0]
    assert not np.allclose(layer.apply(params, state, x, key=KEY, train=True)[0], calm)
    with pytest.raises(ValueError, match="attention dropout needs a key in training"):
        layer.apply(params, state, x, train=True)


def test_positions_are_added():
    x = jnp.asarray(X, jnp.float32)
    layer = layers.learned_positions(6)
    params, state = layer.init(KEY, x)
    added = layer.apply(params, state, x)[0] - x
    np.testing.assert_allclose(added, np.broadcast_to(params["embedding"][:5], x.shape), atol=1e-6)
    assert layers.sinusoidal_positions().apply({}, {}, x)[0].shape == x.shape
    with pytest.raises(ValueError, match=r"learned_positions\(6\): expected no more positions, found x \(1, 7, 12\)"):
        layer.apply(params, state, jnp.ones((1, 7, 12)))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: multi_head_attention(4, kv_heads=3), "kv_heads: expected a divisor of the 4 heads, found 3"),
        (lambda: multi_head_attention(5).init(KEY, X), "heads: expected a divisor of the 12 features, found 5"),
        (lambda: multi_head_attention(0), "heads: expected a positive whole number"),
        (lambda: multi_head_attention(2, dropout=1.0), r"dropout: expected the share to drop, in \[0, 1\)"),
        (lambda: multi_head_attention(2, cache=4), "cache: a position must not see those after it; give causal=True"),
    ],
)
def test_what_does_not_fit_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
