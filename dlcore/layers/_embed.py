"""Embedding of integers."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from dlcore.checks import expect_params, expect_positive
from dlcore.core import layer
from dlcore.debugging import require
from dlcore.initializers import Initializer, normal


@layer
def embed(vocabulary: int, features: int, *, embedding_init: Initializer = normal(0.02)) -> Any:
    """Looks up a vector for each integer: `y[..., :] = embedding[x[...], :]`.

    Args:
      vocabulary: number of different integers; x is in [0, vocabulary).
      features: size of a vector.
      embedding_init: initializer of `embedding` (vocabulary, features); the standard deviation .02 is GPT-2's.

    Returns:
      A layer from integers (...) to (..., features), in the type of its params.

    Raises:
      TypeError: for x that is not of integers.
      ValueError: for concrete x outside the vocabulary. Inside compiled code such an index gives NaN, not a wrong row.

    Source: Bengio et al., 2003.

    Example:
      >>> params, state = embed(10, 4).init(jax.random.key(0), jnp.zeros((2, 3), int))
      >>> embed(10, 4).apply(params, state, jnp.zeros((2, 3), int))[0].shape
      (2, 3, 4)
    """
    expect_positive(vocabulary=vocabulary, features=features)

    def check(x: Any) -> Any:
        if not jnp.issubdtype(x.dtype, jnp.integer):
            raise TypeError(f"embed looks up integers, found {x.dtype}: x.astype('int32') if they are ids")
        return x

    def init(key: Any, x: Any) -> tuple[dict, dict]:
        check(x)
        return {"embedding": embedding_init(key, (vocabulary, features), jnp.float32)}, {}

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        x = check(jnp.asarray(x))
        expect_params(params, embedding=(vocabulary, features))
        if not isinstance(x, Tracer) and x.size:
            ids = np.asarray(x)  # while tracing, `jnp.min` of a concrete array is a tracer
            low, high = int(ids.min()), int(ids.max())
            if low < 0 or high >= vocabulary:
                raise ValueError(f"embed({vocabulary}): expected ids in [0, {vocabulary}), found {low} to {high}")
        message = f"embed({vocabulary}): expected ids in [0, {vocabulary}); those outside give NaN"
        require(lambda: (x >= 0) & (x < vocabulary), message)
        # A small type could not hold `vocabulary`.
        x = x.astype(jax.dtypes.canonicalize_dtype(np.promote_types(x.dtype, np.int32)))
        # Negative ids would count from the end: send them past it, where the lookup gives NaN.
        return params["embedding"].at[jnp.where(x < 0, vocabulary, x)].get(mode="fill", fill_value=jnp.nan), state

    return init, apply
