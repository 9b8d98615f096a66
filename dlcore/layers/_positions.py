"""Positions added to a sequence."""

from typing import Any

import jax.numpy as jnp

from dlcore import ops
from dlcore.checks import expect_floating, expect_params, expect_positive
from dlcore.core import layer
from dlcore.initializers import Initializer, normal


@layer
def sinusoidal_positions(*, base: float = 10_000.0) -> Any:
    """Adds the sines and cosines of each position: see `dlcore.ops.sinusoidal`.

    Args:
      base: the longest wave is 2 pi times it.

    Returns:
      A layer on (B, T, features), for sequences of any length.

    Source: Vaswani et al., Attention Is All You Need, 2017.

    Example:
      >>> sinusoidal_positions().apply({}, {}, jnp.zeros((1, 2, 2)))[0].round(2).tolist()
      [[[0.0, 1.0], [0.84, 0.54]]]
    """

    def init(key: Any, x: Any) -> tuple[dict, dict]:
        expect_floating(x, "sinusoidal_positions", 3)
        return {}, {}

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        x = expect_floating(x, "sinusoidal_positions", 3)
        return x + ops.sinusoidal(x.shape[1], x.shape[2], base=base).astype(x.dtype), state

    return init, apply


@layer
def learned_positions(length: int, *, embedding_init: Initializer = normal(0.02)) -> Any:
    """Adds a learned vector for each position.

    Args:
      length: the longest sequence.
      embedding_init: initializer of `embedding` (length, features); the standard deviation .02 is GPT-2's.

    Returns:
      A layer on (B, T, features).

    Raises:
      ValueError: for a sequence longer than that.

    Source: Gehring, Auli, Grangier, Yarats and Dauphin, 2017.

    Example:
      >>> import jax
      >>> params, state = learned_positions(8).init(jax.random.key(0), jnp.zeros((1, 5, 4)))
      >>> params["embedding"].shape
      (8, 4)
    """
    expect_positive(length=length)

    def check(x: Any) -> Any:
        x = expect_floating(x, "learned_positions", 3)
        if x.shape[1] > length:
            raise ValueError(f"learned_positions({length}): expected no more positions, found x {tuple(x.shape)}")
        return x

    def init(key: Any, x: Any) -> tuple[dict, dict]:
        return {"embedding": embedding_init(key, (length, check(x).shape[2]), jnp.float32)}, {}

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        x = check(x)
        expect_params(params, embedding=(length, x.shape[2]))
        return x + params["embedding"][: x.shape[1]].astype(x.dtype), state

    return init, apply
