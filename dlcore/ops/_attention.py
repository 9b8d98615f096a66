"""Attention: softmax-weighted means of values."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.activations import softmax


def attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    window: tuple[int, int] | None = None,
    scale: float | None = None,
    dropout: Any = 0.0,
    dropout_key: Any = None,
    implementation: str | None = None,
) -> jax.Array:
    """Scaled dot-product attention, `softmax(query @ key.T * scale + bias) @ value` for each head.

    The softmax is computed in float32 or wider. A query that may look at nothing gets zeros, with a gradient of zero.

    Args:
      query: (B, T, heads, features).
      key: (B, S, kv_heads, features); heads are a multiple of kv_heads, and neighbouring ones share (grouped-query).
      value: (B, S, kv_heads, any).
      mask: booleans that broadcast to (B, heads, T, S): true where a query may look.
      bias: added to the logits, and broadcast to the same; `-inf` is as a mask.
      causal: whether query t sees keys up to t alone; both count from their first.
      window: (left, right): query t sees keys from t - left to t + right.
      scale: `1 / sqrt(features)` unless given.
      dropout: share of the weights that is dropped where there is a `dropout_key`.
      dropout_key: a JAX key.
      implementation: "xla", or "cudnn" for the flash kernel (half precision, features a multiple of 8 up to 128, no
        mask, bias or dropout, no window to the right). By default that kernel where JAX's backend is a GPU and it can
        be had, and XLA elsewhere.

    Returns:
      (B, T, heads, any) in the type of the query.

    Raises:
      TypeError: for inputs that are not floating, and types that differ.
      ValueError: for shapes that do not fit, and for "cudnn" where that kernel cannot do it.

    Source: Vaswani et al., Attention Is All You Need, 2017; Ainslie et al., GQA, 2023; Beltagy, Peters and Cohan,
    Longformer, 2020 (the window); Dao, Fu, Ermon, Rudra and Re, FlashAttention, 2022.

    Example:
      >>> x = jnp.ones((1, 3, 2, 4))
      >>> attention(x, x, x, causal=True).shape
      (1, 3, 2, 4)
    """
    query, key, value = (jnp.asarray(one) for one in (query, key, value))
    _check(query, key, value, window)
    scale = 1 / np.sqrt(query.shape[-1]) if scale is None else scale
    plain = mask is None and bias is None and dropout_key is None
    problem = "" if plain else "it takes no mask, bias or dropout"
    problem = problem or _flash_problem(query, key, value, causal, window)
    if implementation not in (None, "xla", "cudnn"):
        raise ValueError(f"implementation: expected 'xla' or 'cudnn', found {implementation!r}")
    if implementation == "cudnn" and problem:
        raise ValueError(f"implementation='cudnn': {problem}; use 'xla'")
    if implementation == "cudnn" or (implementation is None and not problem and jax.default_backend() == "gpu"):
        options: dict[str, Any] = {"scale": scale, "is_causal": causal, "local_window_size": window}
        return jax.nn.dot_product_attention(query, key, value, implementation="cudnn", **options)
    (batch, steps, heads, _), groups = query.shape, key.shape[2]
    # The heads of a group one below the other, so that all products are of matrices as they lie in memory.
    rows = query.reshape(batch, steps, groups, heads // groups, -1).transpose(0, 2, 3, 1, 4)
    rows = rows.reshape(batch, groups, -1, query.shape[-1])  # (B, groups, heads of a group * T, features)
    columns, value = key.transpose(0, 2, 3, 1), value.transpose(0, 2, 1, 3)
    wide = np.promote_types(query.dtype, np.float32)
    logits = jnp.matmul(rows, columns, preferred_element_type=wide) * jnp.asarray(scale, wide)
    shape = (batch, groups, heads // groups, steps, key.shape[1])
    allowed = np.tile(_allowed(steps, key.shape[1], causal, window), (heads // groups, 1))
    if bias is not None:
        bias = _in_rows(bias, shape).astype(wide)
        allowed = allowed & (bias > -jnp.inf)
        logits = logits + jnp.where(bias > -jnp.inf, bias, 0)
    if mask is not None:
        allowed = allowed & _in_rows(jnp.asarray(mask, bool), shape)
    weights = _masked_softmax(logits, allowed)
    if dropout_key is not None:
        share = jnp.asarray(dropout, wide)
        kept = jax.random.uniform(dropout_key, weights.shape, wide) >= share
        weights = jnp.where(kept, weights / (1 - share), 0)
    out = (weights.astype(value.dtype) @ value).reshape(batch, heads, steps, -1)
    return out.transpose(0, 2, 1, 3)


def _masked_softmax(logits: jax.Array, allowed: Any) -> jax.Array:
    """The softmax over what is allowed, and zeros in rows where nothing is."""
    known = isinstance(allowed, np.ndarray)
    if known and allowed.all():
        return softmax(logits)
    # A finite number far below, not -inf: a row of those would be NaN. What is allowed outweighs it to exactly 0.
    weights = softmax(jnp.where(allowed, logits, jnp.finfo(logits.dtype).min))
    some = allowed.any(-1, keepdims=True)
    return weights if known and some.all() else jnp.where(some, weights, 0)


def _allowed(steps: int, keys: int, causal: bool, window: tuple[int, int] | None) -> np.ndarray:
    apart = np.arange(keys) - np.arange(steps)[:, None]  # (T, S): how far to the right
    allowed = apart <= 0 if causal else np.ones((steps, keys), bool)
    return allowed if window is None else allowed & (apart >= -window[0]) & (apart <= window[1])


def _in_rows(given: Any, shape: tuple[int, ...]) -> jax.Array:
    """Returns what broadcasts to (B, heads, T, S) as what broadcasts to (B, groups, heads of a group * T, S)."""
    given = jnp.asarray(given)
    batch, groups, inner, steps, keys = shape
    whole = (batch, groups * inner, steps, keys)
    try:
        fits = np.broadcast_shapes(given.shape, whole) == whole
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"mask and bias: expected what broadcasts to (B, heads, T, S) = {whole}, found {given.shape}")
    given = given.reshape((1,) * (4 - given.ndim) + given.shape)
    if inner == 1:
        return given
    # Heads of a group, or one for all, each with all its steps.
    given = given[:, :, None] if given.shape[1] == 1 else given.reshape(-1, groups, inner, *given.shape[2:])
    given = jnp.broadcast_to(given, (*given.shape[:2], inner, steps, given.shape[-1]))
    return given.reshape(*given.shape[:2], inner * steps, given.shape[-1])


def _check(query: Any, key: Any, value: Any, window: Any) -> None:
    for name, one in (("query", query), ("key", key), ("value", value)):
        if not jnp.issubdtype(one.dtype, jnp.floating):
            raise TypeError(f"attention computes in its input's floating type, found {name} {one.dtype}")
        if one.dtype != query.dtype:
            raise TypeError(f"attention: expected one type for all, found query {query.dtype} and {name} {one.dtype}")
        if one.ndim != 4:
            raise ValueError(f"attention: expected {name} (B, steps, heads, features), found {one.shape}")
    if key.shape[:3] != value.shape[:3] or key.shape[0] != query.shape[0] or key.shape[3] != query.shape[3]:
        raise ValueError(
            f"attention: expected key and value {(query.shape[0], 'S', 'kv_heads', query.shape[3])}, found "
            f"{key.shape} and {value.shape}"
        )
    if not key.shape[2] or query.shape[2] % key.shape[2]:
        raise ValueError(f"attention: expected heads that {key.shape[2]} kv_heads divide, found {query.shape[2]}")
    if window is not None and (len(window) != 2 or min(window) < 0):
        raise ValueError(f"window: expected (left, right), each 0 or more, found {window!r}")


def _flash_problem(query: Any, key: Any, value: Any, causal: bool, window: Any) -> str:
    features = query.shape[-1]
    if query.dtype not in (jnp.float16, jnp.bfloat16):
        return f"it computes in half precision, found {query.dtype}"
    if features % 8 or features > 128 or value.shape[-1] != features:
        return f"it takes features in multiples of 8 up to 128, found {features} and {value.shape[-1]}"
    if window is not None and not causal and window[1] != 0:
        return "it has no window to the right"
    if window is not None and query.shape[1] > key.shape[1]:
        return "a query beyond the last key would see nothing"
    return ""
