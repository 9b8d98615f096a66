"""Combinators that are `compose` with a ready-made forward: in a row, side by side, around."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from dlcore.compose import Call, compose
from dlcore.core import Layer, layer


@layer
def serial(*layers: Layer | Callable[..., Any], **named: Layer | Callable[..., Any]) -> Layer:
    """Layers one after another, `y = f_n(... f_1(x))`.

    Args:
      *layers: layers or functions of arrays; they are named "0", "1", ...
      **named: more of them, with names of their own, after those.

    Returns:
      A layer; the first of its layers takes all inputs, each of the others the output before it.

    Example:
      >>> import jax
      >>> from dlcore.layers import dense, relu
      >>> model = serial(dense(32), relu(), head=dense(10))
      >>> params, state = model.init(jax.random.key(0), jnp.zeros((4, 8)))
      >>> sorted(params)
      ['0', 'head']
    """
    children = _named(layers, named)

    def forward(call: Call, *xs: Any) -> Any:
        for name in children:
            xs = (call[name](*xs),)
        return xs[0]

    return compose(forward, **children)


@layer
def parallel(
    *layers: Layer | Callable[..., Any],
    merge: Callable[..., Any] | None = None,
    **named: Layer | Callable[..., Any],
) -> Layer:
    """Layers side by side on the same inputs, `y = (f_1(x), ..., f_n(x))`.

    Args:
      *layers: layers or functions of arrays; they are named "0", "1", ...
      merge: a function of the outputs, `merge(y_1, ..., y_n)`; `None` returns them as a tuple.
      **named: more of them, with names of their own.

    Returns:
      A layer.

    Example:
      >>> import jax
      >>> from dlcore.layers import dense
      >>> model = parallel(dense(3), lambda x: x, merge=lambda *ys: jnp.concatenate(ys, axis=-1))
      >>> params, state = model.init(jax.random.key(0), jnp.zeros((4, 8)))
      >>> model.apply(params, state, jnp.zeros((4, 8)))[0].shape
      (4, 11)
    """
    children = _named(layers, named)

    def forward(call: Call, *xs: Any) -> Any:
        outputs = tuple(call[name](*xs) for name in children)
        return outputs if merge is None else merge(*outputs)

    return compose(forward, **children)


@layer
def residual(block: Layer | Callable[..., Any], shortcut: Layer | Callable[..., Any] | None = None) -> Layer:
    """Residual connection, `y = block(x) + shortcut(x)`; the shortcut is the identity unless given.

    Args:
      block: a layer; without a shortcut it keeps the shape of its input.
      shortcut: a layer that brings x to the shape of the block's output.

    Returns:
      A layer.

    Raises:
      ValueError: where the two sides have different shapes (they are never broadcast).

    Source: He, Zhang, Ren and Sun, 2016.

    Example:
      >>> import jax
      >>> from dlcore.layers import dense
      >>> params, state = residual(dense(8)).init(jax.random.key(0), jnp.zeros((4, 8)))
      >>> sorted(params)
      ['block']
    """
    children = {"block": block} | ({} if shortcut is None else {"shortcut": shortcut})

    def forward(call: Call, *xs: Any) -> Any:
        change, kept = call.block(*xs), xs[0] if shortcut is None else call.shortcut(*xs)
        if jnp.shape(change) != jnp.shape(kept):
            raise ValueError(
                f"residual: the block gives {jnp.shape(change)} and the shortcut {jnp.shape(kept)}: "
                "give a shortcut that brings x to the block's shape"
            )
        return change + kept

    return compose(forward, **children)


def _named(layers: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
    numbered = {str(i): child for i, child in enumerate(layers)}
    if twice := [name for name in named if name in numbered]:
        raise ValueError(f"name {twice[0]!r} is taken by a layer without a name: rename it")
    return numbered | named
