"""Dropout."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from dlcore.checks import expect_floating
from dlcore.core import layer


@layer
def dropout(rate: float = 0.5) -> Any:
    """Dropout: sets each value to zero with probability `rate`, and scales the rest by `1 / (1 - rate)`.

    The mean is kept, so evaluation needs no scaling. It draws if and only if it gets a key: a key with `train=False` is
    Monte-Carlo dropout (Gal and Ghahramani, 2016).

    Args:
      rate: probability of dropping, in [0, 1); a traced value will do.

    Returns:
      A layer on arrays of any shape.

    Raises:
      ValueError: for a rate outside [0, 1), and in training without a key.

    Source: Srivastava et al., 2014.

    Example:
      >>> y, state = dropout(0.5).apply({}, {}, jnp.ones(100), key=jax.random.key(1), train=True)
      >>> sorted(set(y.tolist()))
      [0.0, 2.0]
      >>> dropout(0.5).apply({}, {}, jnp.ones(4))[0]
      Array([1., 1., 1., 1.], dtype=float32)
    """
    if not isinstance(rate, Tracer) and not 0 <= float(rate) < 1:
        raise ValueError(f"rate: expected the probability of dropping, in [0, 1), found {rate}")

    def init(key: Any, x: Any) -> tuple[dict, dict]:
        return {}, {}

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        x = expect_floating(x, "dropout", axes=0)
        if key is None:
            if train:
                raise ValueError("dropout needs a key in training: apply(params, state, x, key=key, train=True)")
            return x, state
        # Written so that a traced rate and a Python one give the same bits.
        share = jnp.float32(rate)
        kept = jax.random.uniform(key, x.shape) >= share
        return jnp.where(kept, x * (1 / (1 - share)).astype(x.dtype), jnp.zeros((), x.dtype)), state

    return init, apply
