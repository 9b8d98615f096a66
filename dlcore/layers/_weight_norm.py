"""Norms of kernels: layers around a layer, which find every leaf of it whose name ends in `kernel`."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from dlcore.core import Layer, Plan, as_layer, layer

ITERATIONS = 15  # of the power method at init, as in PyTorch
LEAST = 1e-12  # a length below it counts as this, as in PyTorch


@layer
def weight_norm(block: Layer) -> Layer:
    """Weight norm: each kernel as `length * direction / |direction|`, one length for each output.

    Args:
      block: a layer, such as `dense(8)` or `conv(8, 3)`. (Within `repeat`, wrap the block and not the repeat.)

    Returns:
      A layer with the params `layer` (those of the block; its kernels are the directions) and `length`.

    Source: Salimans and Kingma, 2016.

    Example:
      >>> from dlcore.layers import dense
      >>> params, state = weight_norm(dense(3)).init(jax.random.key(0), jnp.zeros((1, 2)))
      >>> jax.tree.map(jnp.shape, params["length"])
      {'kernel': (3,)}
    """

    block = as_layer(block, "block")

    def square(w: jax.Array) -> jax.Array:
        return jnp.sum(jnp.square(w), axis=tuple(range(w.ndim - 1)))

    def one(w: jax.Array, length: jax.Array) -> jax.Array:
        return w * (length.astype(w.dtype) * jax.lax.rsqrt(jnp.maximum(square(w), LEAST**2)))

    def plan(*inputs: Any) -> Plan:
        inner = block.plan(*inputs)

        def init(key: Any) -> Any:
            params, state = inner.init(key)
            lengths = _of_kernels(lambda w: jnp.sqrt(_steady_product(None, w.reshape(-1, w.shape[-1]))), params)
            return {"layer": params, "length": _some(lengths, block)}, state

        params, state = jax.eval_shape(init, jax.eval_shape(lambda: jax.random.key(0)))
        return inner._replace(params=params, state=state, init=init)

    def apply(params: Any, state: Any, *xs: Any, key: Any = None, train: bool = False, tap: Any = None) -> Any:
        keywords = {"tap": tap} if tap is not None and block.is_combinator else {}
        made = _map_kernels(one, params["layer"], params["length"])
        return block.apply(made, state, *xs, key=key, train=train, **keywords)

    return Layer(None, apply, plan)


@layer
def spectral_norm(block: Layer) -> Layer:
    """Spectral norm: each kernel divided by its largest singular value, so that the layer stretches nothing.

    The kernel is taken as a matrix (outputs, the rest). Its first singular vectors are followed by one step of the
    power method each time the layer runs in training; in evaluation they stay as they are.

    Args:
      block: a layer, such as `dense(8)` or `conv(8, 3)`.

    Returns:
      A layer with the params of the block, and the state `layer` (where it has one), `left` and `right`.

    Source: Miyato, Kataoka, Koyama and Yoshida, 2018.

    Example:
      >>> from dlcore.layers import dense
      >>> params, state = spectral_norm(dense(3)).init(jax.random.key(0), jnp.zeros((1, 2)))
      >>> y, _ = spectral_norm(dense(3)).apply(params, state, jnp.eye(2))
      >>> jnp.linalg.svd(y)[1].max().round(2).item()
      1.0
    """
    block = as_layer(block, "block")

    def plan(*inputs: Any) -> Plan:
        inner = block.plan(*inputs)

        def init(key: Any) -> Any:
            params, state = inner.init(key)
            draw = jax.random.fold_in(key, 1)
            begin = lambda w: jax.random.normal(draw, (_matrix(w).shape[1],), w.dtype)
            right = _some(_of_kernels(begin, params), block)
            step = lambda _, pair: _iterate(params, pair[1], _steady_product)
            left, right = lax.fori_loop(0, ITERATIONS, step, step(0, (None, right)))
            return params, {**({"layer": state} if state else {}), "left": left, "right": right}

        params, state = jax.eval_shape(init, jax.eval_shape(lambda: jax.random.key(0)))
        return inner._replace(params=params, state=state, init=init)

    def apply(params: Any, state: Any, *xs: Any, key: Any = None, train: bool = False, tap: Any = None) -> Any:
        left, right = state["left"], state["right"]
        if train:
            left, right = jax.lax.stop_gradient(_iterate(params, right))

        def one(w: jax.Array, left: jax.Array, right: jax.Array) -> jax.Array:
            return w / (left.astype(w.dtype) @ _matrix(w) @ right.astype(w.dtype))

        keywords = {"tap": tap} if tap is not None and block.is_combinator else {}
        y, inner = block.apply(
            _map_kernels(one, params, left, right), state.get("layer", {}), *xs, key=key, train=train, **keywords
        )
        return y, {**({"layer": inner} if inner else {}), "left": left, "right": right}

    return Layer(None, apply, plan)


def _iterate(params: Any, right: Any, product: Callable[..., Any] = jnp.matmul) -> tuple[Any, Any]:
    """One step of the power method for each kernel: the left vectors, and the right ones."""
    step = lambda rows, x: _unit(product(x.astype(rows.dtype), rows))
    left = _map_kernels(lambda w, v: step(_matrix(w).T, v), params, right, only=True)
    return left, _map_kernels(lambda w, u: step(_matrix(w), u), params, left, only=True)


def _some(found: dict[str, Any], block: Layer) -> dict[str, Any]:
    if not found:
        raise ValueError(f"expected a layer with a kernel, found {block}")
    return found


def _matrix(w: jax.Array) -> jax.Array:
    return w.reshape(-1, w.shape[-1]).T  # (outputs, the rest)


def _steady_product(x: jax.Array | None, rows: jax.Array) -> jax.Array:
    """Returns `x @ rows`, or the sum of the squares of the rows, by one row after another.

    The bits are the same eagerly, compiled and mapped, as everything has to be that a run starts from; a product or a
    sum in one piece is taken in another order each time.
    """

    def add(total: jax.Array, row: Any) -> tuple[jax.Array, None]:
        return total + row[0] * row[1], None

    weights = rows if x is None else jnp.broadcast_to(x[:, None], rows.shape)
    return lax.scan(add, jnp.zeros_like(rows[0]), (rows, weights))[0]


def _unit(x: jax.Array) -> jax.Array:
    length = jnp.sqrt(_steady_product(None, x[:, None])[0])
    return x / jnp.maximum(length, LEAST)


def _of_kernels(function: Callable[..., Any], params: Any) -> dict[str, Any]:
    """Returns nested dicts of what a function gives for each kernel; the other leaves are left out."""
    found = {}
    for name, value in params.items():
        if isinstance(value, dict):
            inner = _of_kernels(function, value)
            found |= {name: inner} if inner else {}
        elif name.endswith("kernel"):
            found[name] = function(value)
    return found


def _map_kernels(function: Callable[..., Any], params: Any, *others: Any, only: bool = False) -> dict[str, Any]:
    """Returns the params with each kernel changed, by what belongs to it; with `only`, the kernels alone."""
    found = {}
    for name, value in params.items():
        own = [other[name] for other in others] if name in others[0] else None
        if own is None:
            found |= {} if only else {name: value}
        elif isinstance(value, dict):
            found[name] = _map_kernels(function, value, *own, only=only)
        else:
            found[name] = function(value, *own)
    return found
