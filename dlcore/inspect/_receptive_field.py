"""How much of its input an output of a model can see."""

import bisect
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.checks import shapes_of
from dlcore.core import Layer, as_layer

__all__ = ["ReceptiveField", "receptive_field"]

# Positions added to the input until no border cuts the field off; multiples of 64, so that a padding of "SAME", which
# depends on the remainder, stays that of the input as it is. No input has more than so many positions in all.
_MARGINS = (64, 256, 448, 1024)
_MOST_POSITIONS = 2**19

_DRAWS = 4  # of the input, so that a unit which is dead in one of them is alive in another


class ReceptiveField(NamedTuple):
    """What the outputs of a model see, one entry an axis: output `o` sees `size` positions from `start + o * stride`.

    Example:
        >>> ReceptiveField(size=(5,), stride=(2.0,), start=(-1,)).size
        (5,)
    """

    size: tuple[int, ...]  # positions from the first to the last that one output sees
    stride: tuple[float, ...]  # input positions from one output to the next: the "jump"; 0.5 after upsampling by 2
    start: tuple[float, ...]  # first position that output 0 sees; negative in the padding


def receptive_field(layer: Layer | Callable[..., Any], x: Any) -> ReceptiveField:
    """The receptive field of any model: the part of the input that an output depends on, along each spatial axis.

    For a chain of convolutions and pools with window k, stride s, dilation d and low padding p,

        `size = 1 + sum_l d_l (k_l - 1) jump_(l-1)`, `jump_l = prod_(i <= l) s_i`, `start = -sum_l p_l jump_(l-1)`

    Here it is found by experiment, so that it holds for residual branches, transposed convolutions, masks and anything
    else: positions from the border inwards are changed, in float64 and with random weights, until the output in the
    middle changes. Layers run in evaluation. The input is made larger until no border cuts the field off; where the
    model takes no other size, or sees everything however large it is (global pooling, attention, a dense layer over
    all), the answer is that for the input as it is. An output without the axes of the input sees all that any part of
    it does, with stride 0.

    Args:
        layer: a layer, or a function of one array, from (B, *spatial, channels) to one array.
        x: the input, (B, *spatial, channels), floating; an array or a `jax.ShapeDtypeStruct`: only its shape is read.

    Returns:
        size, stride and start in input positions, one entry for each spatial axis.

    Raises:
        ValueError: for an input without spatial axes, and for a layer that gives several arrays.

    Source: Araujo, Norris and Sim, "Computing receptive fields of convolutional neural networks", 2019.

    Example:
        >>> from dlcore.layers import conv, max_pool, serial
        >>> receptive_field(serial(conv(8, 5), max_pool(2), conv(8, 3)), jnp.zeros((1, 28, 28, 1)))
        ReceptiveField(size=(10, 10), stride=(2.0, 2.0), start=(-4.0, -4.0))
    """
    made = as_layer(layer, "layer")
    shape = shapes_of((x,))[0].shape
    if not 3 <= len(shape) <= 5 or 0 in shape:
        raise ValueError(f"expected an input (B, *spatial, channels) with 1 to 3 spatial axes, found {shape}")
    # Threefry's bits do not depend on this, weights and sums do: in float32 a border's share would be rounded away.
    with jax.enable_x64(True):
        fields = _fields(made, shape)
        for margin in _MARGINS:
            spatial = tuple(n + margin for n in shape[1:-1])
            # What is no longer laid out in space sees everything, however large.
            if not any(field.is_cut for field in fields) or math.prod(spatial) > _MOST_POSITIONS:
                break
            try:
                larger = _fields(made, (shape[0], *spatial, shape[-1]))
            except (TypeError, ValueError):  # the model takes no other size
                break
            fields = [old if new.is_cut else new for old, new in zip(fields, larger, strict=True)]
    size, stride, start, _ = zip(*fields, strict=True)
    return ReceptiveField(size, stride, start)


class _Field(NamedTuple):
    size: int
    stride: float
    start: float
    is_cut: bool  # whether the input was too small to show it


def _fields(layer: Layer, shape: tuple[int, ...]) -> list[_Field]:
    keys = jax.random.split(jax.random.key(0), 4)
    struct = jax.ShapeDtypeStruct((_DRAWS, *shape[1:]), jnp.float64)
    params, state = jax.tree.map(_lively, layer.init(keys[0], struct))
    run = jax.jit(lambda x: layer.apply(params, state, x)[0])
    x, bump = jax.random.normal(keys[1], struct.shape), 100 * jax.random.normal(keys[2], struct.shape)
    usual = run(x)
    if not isinstance(usual, jax.Array):
        raise ValueError(f"expected a layer that gives one array, found {jax.tree.structure(usual)}: take one of them")
    fields = []
    for axis in range(1, len(shape) - 1):
        places = np.arange(shape[axis]).reshape([-1 if at == axis else 1 for at in range(len(shape))])
        fields.append(_field(axis, places, np.asarray(usual), lambda where: run(x + bump * where)))
    return fields


def _field(axis: int, places: np.ndarray, usual: np.ndarray, changed: Callable) -> _Field:
    """One axis; `changed` takes a mask of positions and returns the output with them changed."""
    n, kept = places.size, usual.ndim == places.ndim

    def seen(output: int) -> tuple[int, int]:
        """The first and the last position which that output sees; first > last if it sees nothing."""

        def differs(where: np.ndarray) -> bool:
            different = np.asarray(changed(where)) != usual
            return bool((different.take(output, axis) if kept else different).any())

        first = bisect.bisect_left(range(n), True, key=lambda i: differs(places <= i))
        return first, n - 1 - bisect.bisect_left(range(n), True, key=lambda i: differs(places >= n - 1 - i))

    outputs = usual.shape[axis] if kept else 1
    here = outputs // 2
    first, last = seen(here)
    # Two outputs on, where there are so many: upsampling by 2 moves on at every other output.
    there = min(here + 2, outputs - 1)
    is_cut = kept and (first == 0 or last == n - 1 or there < here + 2)
    stride = (seen(there)[0] - first) / (there - here) if there > here else 0.0
    return _Field(max(last - first + 1, 0), stride, first - here * stride, is_cut)


def _lively(leaf: jax.Array) -> jax.Array:
    """Random positive numbers in place of weights that are all equal: a zero kernel would hide what it could see."""
    if leaf.size == 0 or not jnp.issubdtype(leaf.dtype, jnp.floating) or bool((leaf != leaf.ravel()[0]).any()):
        return leaf
    return jax.random.uniform(jax.random.key(1), leaf.shape, leaf.dtype, 0.5, 1.5)
