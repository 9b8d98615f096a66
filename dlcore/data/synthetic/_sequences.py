"""Tasks on sequences of tokens: remember, turn around, sort."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from dlcore.data.synthetic._arguments import as_key, whole


def lagged_copy(key: Any, n: int, length: int = 20, lag: int = 3, vocabulary: int = 8) -> dict[str, Array]:
    r"""Say again what was said `lag` steps ago: $y_t = x_{t - \mathrm{lag}}$.

    Token 0 is the blank: it is never drawn, and is the target of the first `lag` steps, which have nothing to copy.

    Args:
        key: an int or a JAX key.
        n: how many sequences; static.
        length: tokens of each, more than `lag`; static.
        lag: how far back, 0 or more; static.
        vocabulary: how many tokens there are, the blank with them; 2 or more; static.

    Returns:
        `{"x": (n, length) int32 in [1, vocabulary), "y": (n, length) int32 in [0, vocabulary)}`.

    Raises:
        TypeError: a size is not an int.
        ValueError: a size is out of range.

    Source: Hochreiter and Schmidhuber, Long Short-Term Memory (1997), for the recall of what is long gone; Arjovsky,
    Shah and Bengio, Unitary Evolution Recurrent Neural Networks (2016), for the copying task.

    Example:
        >>> batch = lagged_copy(0, 1, length=5, lag=2)
        >>> bool((batch["y"][:, 2:] == batch["x"][:, :-2]).all()), batch["y"][0, :2].tolist()
        (True, [0, 0])
    """
    lag = whole("lagged_copy lag", lag, least=0)
    length = whole("lagged_copy length", length, least=lag + 1)
    x = _tokens("lagged_copy", key, n, length, vocabulary, least=1)
    return {"x": x, "y": jnp.pad(x[:, : length - lag], ((0, 0), (lag, 0)))}


def reversal(key: Any, n: int, length: int = 10, vocabulary: int = 10) -> dict[str, Array]:
    r"""Turn a sequence around: $y_t = x_{T - 1 - t}$.

    Args:
        key: an int or a JAX key.
        n: how many sequences; static.
        length: tokens of each; static.
        vocabulary: how many tokens there are, 2 or more; static.

    Returns:
        `{"x": (n, length) int32, "y": (n, length) int32}`, both in `[0, vocabulary)`.

    Raises:
        TypeError: a size is not an int.
        ValueError: a size is out of range.

    Source: Sutskever, Vinyals and Le, Sequence to Sequence Learning with Neural Networks (2014), for the effect of
    the order.

    Example:
        >>> batch = reversal(0, 4, length=6)
        >>> bool((batch["y"] == batch["x"][:, ::-1]).all())
        True
    """
    x = _tokens("reversal", key, n, whole("reversal length", length), vocabulary)
    return {"x": x, "y": x[:, ::-1]}


def sorting(key: Any, n: int, length: int = 10, vocabulary: int = 10) -> dict[str, Array]:
    """Put a sequence in rising order.

    Args:
        key: an int or a JAX key.
        n: how many sequences; static.
        length: tokens of each; static.
        vocabulary: how many tokens there are, 2 or more; static.

    Returns:
        `{"x": (n, length) int32, "y": (n, length) int32}`, both in `[0, vocabulary)`.

    Raises:
        TypeError: a size is not an int.
        ValueError: a size is out of range.

    Source: Graves, Wayne and Danihelka, Neural Turing Machines (2014), section 4.5.

    Example:
        >>> batch = sorting(0, 4, length=6)
        >>> bool((batch["y"] == jnp.sort(batch["x"], axis=1)).all())
        True
    """
    x = _tokens("sorting", key, n, whole("sorting length", length), vocabulary)
    return {"x": x, "y": jnp.sort(x, axis=1)}


def _tokens(where: str, key: Any, n: int, length: int, vocabulary: int, least: int = 0) -> Array:
    shape = whole(f"{where} n", n), length
    vocabulary = whole(f"{where} vocabulary", vocabulary, least=2)
    return jax.random.randint(as_key(where, key), shape, least, vocabulary, dtype=jnp.int32)
