"""Spectral normalisation: kernels divided by their largest singular value."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dlcore.checks import expect_positive, say_shapes
from dlcore.compose import derive_all
from dlcore.core import Layer, Plan, as_layer, layer
from dlcore.layers._kernels import expect_kernels, found, kernels, matrix, replaced, same_bits
from dlcore.layers._wrap import _inner

_FIRST_ITERATIONS = 15  # as in PyTorch: the norm is good from the first step, and in evaluation before it
_SMALLEST = 1e-12


@layer
def spectral_norm(block: Layer, *, iterations: int = 1) -> Layer:
    """A layer whose kernels have norm one, `kernel / sigma`, with `sigma` the largest singular value of each.

    A kernel is read as a matrix W (window * inputs, features). Power iteration approaches its singular vectors, a step
    of it in each call in training: `u = W'v / |W'v|`, `v = Wu / |Wu|`, from the vectors of the last step, which are
    state. In evaluation they stay as they are. `sigma = v'Wu` is taken with the kernel of the moment, and gradients
    pass through it, not through `u` and `v`. For a convolution this is the norm of the matrix, as published, and not
    that of the whole operator, which may be larger.

    Other leaves (`bias`, `recurrent_kernel`, `embedding`) stay as they are; so does a kernel of zeros.

    Args:
      block: a layer with one or more kernels, however deep inside.
      iterations: steps of power iteration in each call in training: 1 as published.

    Returns:
      A layer with the params of `block`, and the state `{"vectors": ..., "state": ...}`: for each kernel `u`
      (features,) and `v` (window * inputs,), of float32, and the state of `block`, if any.

    Raises:
      ValueError: at init, for a layer without kernels and around a `repeat`, whose kernels are stacked (write
        `repeat(n, spectral_norm(block))`); in apply, for vectors of another kernel.

    Source: Miyato, Kataoka, Koyama and Yoshida, 2018.

    Example:
      >>> from dlcore.layers import dense
      >>> params, state = spectral_norm(dense(3)).init(jax.random.key(0), jnp.zeros((2, 4)))
      >>> jax.tree.map(jnp.shape, state)
      {'vectors': {'kernel': {'u': (3,), 'v': (4,)}}}
      >>> far = 1e4 * params["kernel"]  # however large the kernel, no input is made longer
      >>> y, state = spectral_norm(dense(3)).apply(params | {"kernel": far}, state, jnp.ones((1, 4)))
      >>> bool(jnp.linalg.norm(y) <= 2.001)
      True
    """
    expect_positive(iterations=iterations)
    block = as_layer(block, "block")

    def plan(*inputs: Any) -> Plan:
        inner = block.plan(*inputs)
        expect_kernels(inner, block, "spectral_norm")
        vectors = replaced({}, {path: _shapes(kernel) for path, kernel in kernels(inner.params)})

        def init(key: Any) -> Any:
            params, state = inner.init(key)
            paths, weights = zip(*kernels(params), strict=True)
            # No child's name starts with an underscore: nothing inside draws from these keys.
            keys = derive_all(key, ["_spectral_norm/" + "/".join(path) for path in paths])
            first = {path: _first(keys[i], matrix(weights[i])) for i, path in enumerate(paths)}
            return params, _state(replaced({}, first), state)

        return inner._replace(state=_state(vectors, inner.state), init=init)

    def apply(params: Any, state: Any, *xs: Any, key: Any = None, train: bool = False, tap: Any = None) -> Any:
        vectors, values = state.get("vectors", {}), {}
        for path, kernel in kernels(params):
            _expect_vectors(found(vectors, path), kernel, path)
            wide = kernel.astype(np.promote_types(kernel.dtype, np.float32))
            uv = jax.tree.map(lambda leaf, wide=wide: leaf.astype(wide.dtype), found(vectors, path))
            if train:
                uv = _iterated(lax.stop_gradient(matrix(wide)), uv, iterations)
                kept = jax.tree.map(lambda new, old: new.astype(old.dtype), uv, found(vectors, path))
                vectors = replaced(vectors, {path: kept})
            u, v = lax.stop_gradient((uv["u"], uv["v"]))
            sigma = v @ matrix(wide) @ u
            values[path] = (wide / jnp.where(sigma == 0, 1, sigma)).astype(kernel.dtype)
        y, after = _inner(block, tap)(replaced(params, values), state.get("state", {}), *xs, key=key, train=train)
        return y, _state(vectors, after)

    return Layer(None, apply, plan)


def _state(vectors: Any, inner: Any) -> dict[str, Any]:
    return {"vectors": vectors} | ({"state": inner} if inner else {})


def _shapes(kernel: Any) -> dict[str, jax.ShapeDtypeStruct]:
    inputs, features = jax.eval_shape(matrix, kernel).shape
    dtype = np.promote_types(kernel.dtype, np.float32)
    return {"u": jax.ShapeDtypeStruct((features,), dtype), "v": jax.ShapeDtypeStruct((inputs,), dtype)}


def _first(key: Any, weights: jax.Array) -> dict[str, jax.Array]:
    draws = {
        name: jax.random.normal(part, shape.shape, shape.dtype)
        for part, (name, shape) in zip(jax.random.split(key), _shapes(weights).items(), strict=True)
    }
    return _first_vectors(lax.stop_gradient(weights).astype(draws["u"].dtype), draws["u"], draws["v"])


def _iterated(weights: jax.Array, vectors: dict[str, jax.Array], iterations: int) -> dict[str, jax.Array]:
    def step(_: Any, vectors: dict[str, jax.Array]) -> dict[str, jax.Array]:
        u = _unit(vectors["v"] @ weights, vectors["u"])
        return {"u": u, "v": _unit(weights @ u, vectors["v"])}

    return step(0, vectors) if iterations == 1 else lax.fori_loop(0, iterations, step, vectors)


_first_vectors = same_bits(lambda weights, u, v: _iterated(weights, {"u": u, "v": v}, _FIRST_ITERATIONS))


def _unit(vector: jax.Array, old: jax.Array) -> jax.Array:
    """Returns the vector at length one; of a kernel of zeros nothing is learnt, and the old one stays."""
    length = jnp.sqrt(jnp.square(vector).sum())
    return jnp.where(length > _SMALLEST, vector / jnp.maximum(length, _SMALLEST), old)


def _expect_vectors(vectors: Any, kernel: Any, path: tuple[str, ...]) -> None:
    shapes = {name: shape.shape for name, shape in _shapes(kernel).items()}
    given = {name: jnp.shape(leaf) for name, leaf in vectors.items()} if isinstance(vectors, dict) else {}
    if given != shapes:
        raise ValueError(
            f"spectral_norm: expected state vectors/{'/'.join(path)} {say_shapes(shapes)}, found {say_shapes(given)}"
        )
