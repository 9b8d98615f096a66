"""The keys of a run and of its lanes."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def as_keys(key: Any, seeds: int | Sequence[Any] | None) -> tuple[Any, list[Any]]:
    """Returns the keys of the lanes, stacked, and each as `fit` takes it; without `seeds`, of a lone run.

    Raises:
      TypeError: for a key that is neither a whole number nor a JAX key.
      ValueError: for no seeds.
    """
    if not _is_seed(key) and not _is_key(key):
        raise TypeError(f"key: expected a whole number or a key from jax.random.key, found {key!r}")
    if seeds is None:
        return as_key(key), [key]
    several = range(seeds) if isinstance(seeds, int) else seeds
    if not len(several) or isinstance(seeds, bool):
        raise ValueError(f"seeds: expected one or more, found {seeds!r}")
    if not all(_is_seed(one) or _is_key(one) for one in several):
        raise TypeError(f"seeds: expected a number of lanes, or whole numbers, found {seeds!r}")
    if not _is_seed(key):
        own = [jax.random.fold_in(key, int(one)) if _is_seed(one) else one for one in several]
    else:
        own = [key + one for one in several] if isinstance(seeds, int) else list(several)
    return jnp.stack([as_key(one) for one in own]), own


def as_key(key: Any) -> Any:
    """Returns the JAX key of a seed."""
    return jax.random.key(int(key)) if _is_seed(key) else key


def plain_leaf(leaf: Any) -> Any:
    """Returns the numbers of a key, and any other array as it is."""
    return jax.random.key_data(leaf) if _is_key_array(leaf) else leaf


def key_impl(leaf: Any) -> str:
    """Returns what generates the numbers of a key, and "" of any other array."""
    return str(jax.random.key_impl(leaf)) if _is_key_array(leaf) else ""


def typed_leaf(leaf: Any, impl: str) -> Any:
    """Returns the array that `plain_leaf` and `key_impl` were asked of."""
    return jax.random.wrap_key_data(leaf, impl=impl) if impl else leaf


def _is_key_array(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _is_seed(key: Any) -> bool:
    return isinstance(key, int | np.integer) and not isinstance(key, bool)


def _is_key(key: Any) -> bool:
    return isinstance(key, jax.Array) and key.shape == () and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
