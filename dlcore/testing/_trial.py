"""A layer at work on some inputs, and what its laws are told apart by."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.core import Layer


class Broken(Exception):
    pass


def require(holds: Any, found: str) -> None:
    if not holds:
        raise Broken(found)


class Trial:
    """A layer at work on some inputs; what several laws look at is computed once."""

    def __init__(self, layer: Layer, xs: tuple[Any, ...], tolerance: float):
        self.layer, self.xs, self.tolerance = layer, xs, tolerance

    @functools.cached_property
    def variables(self) -> tuple[Any, Any]:
        return self.layer.init(jax.random.key(0), *self.xs)

    def apply(self, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        return self.layer.apply(*self.variables, *self.xs, key=key, train=train)

    @functools.cached_property
    def eager(self) -> dict[str, Any]:
        return _every_way(self.layer, *self.variables, jax.random.key(1), self.xs)

    @functools.cached_property
    def compiled(self) -> dict[str, Any]:
        return jax.jit(functools.partial(_every_way, self.layer))(*self.variables, jax.random.key(1), self.xs)

    @functools.cached_property
    def draws(self) -> bool:
        return "random_bits" in str(jax.make_jaxpr(lambda key: self.apply(key, train=True))(jax.random.key(0)))


def _every_way(layer: Layer, params: Any, state: Any, key: Any, xs: tuple[Any, ...]) -> dict[str, Any]:
    return {
        "evaluation": layer.apply(params, state, *xs),
        "training": layer.apply(params, state, *xs, key=key, train=True),
    }


def keys_from(first: int, n: int) -> jax.Array:
    return jax.vmap(jax.random.key)(jnp.arange(first, first + n))


def plain(leaf: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf)


def same_bits(a: Any, b: Any) -> bool:
    same = jax.tree.structure(a) == jax.tree.structure(b)
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True) if same else ()
    return same and all(x.dtype == y.dtype and plain(x).tobytes() == plain(y).tobytes() for x, y in pairs)


def close(found: Any, expected: Any, tolerance: float) -> tuple[bool, str]:
    if jax.tree.structure(found) != jax.tree.structure(expected):
        return False, f"found {jax.tree.structure(found)}, expected {jax.tree.structure(expected)}"
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        x, y = plain(x).astype(np.float64), plain(y).astype(np.float64)
        far = np.abs(x - y).max(initial=0) if x.shape == y.shape else np.inf
        if not far <= tolerance * max(1.0, np.abs(y).max(initial=0)):
            return False, f"results differ by {far:.2g}, more than the tolerance of {tolerance}"
    return True, ""
