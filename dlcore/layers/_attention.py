"""Multi-head attention, and its cache."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer

from dlcore.checks import expect_floating, expect_positive
from dlcore.compose import Call, compose
from dlcore.core import Layer, layer
from dlcore.initializers import Initializer, glorot_uniform, zeros
from dlcore.layers._dense import dense
from dlcore.ops import attention, rotary


@layer
def multi_head_attention(
    heads: int,
    *,
    kv_heads: int | None = None,
    head_features: int | None = None,
    causal: bool = False,
    window: tuple[int, int] | None = None,
    rotary_base: float | None = None,
    dropout: float = 0.0,
    cache: int | None = None,
    use_bias: bool = True,
    kernel_init: Initializer = glorot_uniform(),
    bias_init: Initializer = zeros,
) -> Layer:
    """Multi-head attention: projections to queries, keys and values, attention in each head, and a projection back.

    Args:
      heads: number of heads.
      kv_heads: heads of keys and values, a divisor of `heads` (grouped-query; 1 is multi-query); as many unless given.
      head_features: size of a head; features / heads unless given.
      causal: whether a position sees itself and those before it alone.
      window: (left, right), how far it sees.
      rotary_base: turns queries and keys by their positions (10,000 is common); not at all unless given.
      dropout: share of the attention weights dropped in training.
      cache: keys and values of so many positions are kept in the state: a sequence may then come piece by piece, and
        the outputs are those of the whole. A cache belongs to one sequence and starts at the zeros that `init` gives;
        the sequences of a batch share its length, and ragged ones are batched by `vmap` over the state. The params are
        those of the layer without. Needs `causal`.
      use_bias: whether the projections have biases.
      kernel_init: initializer of the four kernels; Glorot's, as published and in PyTorch.
      bias_init: initializer of the biases.

    Returns:
      A layer from (x (B, T, features), context (B, S, any)=None, mask=None) to (B, T, features): self-attention
      without a context, cross-attention with one. The mask broadcasts to (B, heads, T, S). The children with
      parameters are `query`, `key`, `value` and `out`.

    Raises:
      ValueError: for heads that do not divide, a cache without `causal`, and a cache that is too short: where lengths
        are concrete; inside compiled code the outputs beyond it are NaN.

    Source: Vaswani et al., Attention Is All You Need, 2017; Shazeer, Fast Transformer Decoding, 2019 (the cache).

    Example:
      >>> layer = multi_head_attention(2, causal=True)
      >>> params, state = layer.init(jax.random.key(0), jnp.zeros((1, 3, 4)))
      >>> sorted(params), layer.apply(params, state, jnp.zeros((1, 3, 4)))[0].shape
      (['key', 'out', 'query', 'value'], (1, 3, 4))
    """
    groups = kv_heads or heads
    expect_positive(heads=heads, kv_heads=groups)
    if heads % groups:
        raise ValueError(f"kv_heads: expected a divisor of the {heads} heads, found {groups}")
    if not isinstance(dropout, Tracer) and not 0 <= float(dropout) < 1:
        raise ValueError(f"dropout: expected the share to drop, in [0, 1), found {dropout}")
    if cache is not None and not causal:
        raise ValueError("cache: a position must not see those after it; give causal=True")

    made: dict[str, Any] = {"use_bias": use_bias, "kernel_init": kernel_init, "bias_init": bias_init}

    def forward(call: Call, x: Any, context: Any = None, mask: Any = None) -> Any:
        if cache is not None and (context is not None or mask is not None):
            raise ValueError("cache: it is for self-attention without a mask")
        source = x if context is None else context
        query, key, value = call.query(x, x), call.key(source, x), call.value(source, x)
        start = 0
        if cache is not None:
            key, value, start = call.cache(key, value)
            mask = _seen(start, x.shape[1], cache, window)
        if rotary_base is not None:
            query = rotary(query, start + jnp.arange(x.shape[1], dtype=jnp.int32), base=rotary_base)
            key = rotary(key, base=rotary_base)
        return call.out(call.attend(query, key, value, mask), x)

    children: dict[str, Any] = {
        "query": _into_heads(heads, heads, head_features, **made),
        "key": _into_heads(groups, heads, head_features, **made),
        "value": _into_heads(groups, heads, head_features, **made),
        **({} if cache is None else {"cache": _cache(cache)}),
        "attend": _attend(dropout) if cache is not None else _attend(dropout, causal, window),
        "out": _out_of_heads(**made),
    }
    return compose(forward, **children)


@layer
def _into_heads(heads: int, of: int, size: int | None, **made: Any) -> Any:
    """A projection to (B, T, heads, size) of what comes; a size is the share of one of `of` heads unless given."""

    def inner(x: Any, like: Any) -> tuple[Layer, int]:
        expect_floating(x, "multi_head_attention", 3)
        if size is None and like.shape[-1] % of:
            raise ValueError(f"heads: expected a divisor of the {like.shape[-1]} features, found {of}")
        width = size or like.shape[-1] // of
        return dense(heads * width, **made), width

    def init(key: Any, x: Any, like: Any) -> Any:
        return inner(x, like)[0].init(key, x)

    def apply(params: Any, state: Any, x: Any, like: Any, *, key: Any = None, train: bool = False) -> Any:
        projection, width = inner(x, like)
        y = projection.apply(params, {}, x)[0]
        return y.reshape(*y.shape[:-1], heads, width), state

    return init, apply


@layer
def _out_of_heads(**made: Any) -> Any:
    """A projection of (B, T, heads, size) to as many features as another array has."""

    def joined(y: Any) -> Any:
        return jax.eval_shape(_join, y) if isinstance(y, jax.ShapeDtypeStruct) else _join(y)

    def init(key: Any, y: Any, like: Any) -> Any:
        return dense(like.shape[-1], **made).init(key, joined(y))

    def apply(params: Any, state: Any, y: Any, like: Any, *, key: Any = None, train: bool = False) -> Any:
        return dense(like.shape[-1], **made).apply(params, state, joined(y))

    return init, apply


@layer
def _attend(dropout: float, causal: bool = False, window: tuple[int, int] | None = None) -> Any:
    """`ops.attention`, with dropout of its weights."""

    def init(key: Any, *xs: Any) -> Any:
        return {}, {}

    def apply(
        params: Any,
        state: Any,
        query: Any,
        keys: Any,
        values: Any,
        mask: Any = None,
        *,
        key: Any = None,
        train: bool = False,
    ) -> Any:
        is_dropping = isinstance(dropout, Tracer) or dropout > 0
        if is_dropping and train and key is None:
            raise ValueError("attention dropout needs a key in training: apply(params, state, x, key=key, train=True)")
        options = {"dropout": dropout, "dropout_key": key} if is_dropping and key is not None else {}
        return attention(query, keys, values, mask=mask, causal=causal, window=window, **options), state

    return init, apply


@layer
def _cache(length: int) -> Any:
    """Keys and values of the positions so far: gives all of them, and how many there were before."""
    expect_positive(cache=length)

    def init(key: Any, keys: Any, values: Any) -> Any:
        room = lambda new: jnp.zeros((new.shape[0], length, *new.shape[2:]), new.dtype)
        return {}, {"key": room(keys), "value": room(values), "length": jnp.int32(0)}

    def apply(params: Any, state: Any, keys: Any, values: Any, *, key: Any = None, train: bool = False) -> Any:
        start, new = state["length"], keys.shape[1]
        if not isinstance(start, Tracer) and int(start) + new > length:
            taken = f"{int(start)} are taken and {new} more do not fit"
            raise ValueError(f"cache: of the {length} positions that there is room for, {taken}; give a larger cache")
        zero = jnp.zeros_like(start)
        place = (zero, start, zero, zero)
        all_keys = lax.dynamic_update_slice(state["key"], keys.astype(state["key"].dtype), place)
        all_values = lax.dynamic_update_slice(state["value"], values.astype(state["value"].dtype), place)
        # Beyond the end the slice above would silently move to the left: the values become NaN instead.
        all_values = jnp.where(start + new > length, jnp.nan, all_values)
        state = {"key": all_keys, "value": all_values, "length": start + new}
        return (all_keys.astype(keys.dtype), all_values.astype(values.dtype), start), state

    return init, apply


def _join(y: jax.Array) -> jax.Array:
    return y.reshape(*y.shape[:-2], -1)


def _seen(start: Any, steps: int, length: int, window: tuple[int, int] | None) -> jax.Array:
    """Which of the cached positions (length) each of the new ones (steps) sees."""
    apart = jnp.arange(length, dtype=jnp.int32) - (start + jnp.arange(steps, dtype=jnp.int32))[:, None]
    seen = apart <= 0
    return seen if window is None else seen & (apart >= -window[0])
