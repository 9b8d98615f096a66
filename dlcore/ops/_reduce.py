"""Reductions over windows: shifted slices where they are lowered for CPU, the native instruction elsewhere."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dlcore.ops._blocks import are_few
from dlcore.ops._window import Windows, window_slices

__all__ = ["MOST_SLICES", "first_larger", "reduce_windows"]

# On CPU a window is reduced axis by axis over shifted slices. Gradient in a scan, two cores, 64 x 28 x 28 x 16, against
# `reduce_window`: maximum 1.0 ms to 4.5 (window 2, stride 2), 1.8 to 36 (3, 1), 5.9 to 33 (7, 2); mean 0.6 to 0.6, 0.6
# to 3.6, 1.7 to 12. Very long windows would make very long programs.
MOST_SLICES = 32


def reduce_windows(x: jax.Array, windows: Windows, identity: np.ndarray, pair: Callable, monoid: Callable) -> jax.Array:
    """Each window reduced to one value: by `pair`, or by `monoid` where that is native; padding holds `identity`."""
    native = functools.partial(by_reduce_window, windows=windows, identity=identity, monoid=monoid)
    if max(windows.size) > MOST_SLICES:
        return native(x)
    slices = functools.partial(by_slices, windows=windows, identity=identity, pair=pair)
    # Rematerialised, or every platform would make room for the masks of the CPU branch when differentiated.
    return lax.platform_dependent(x, cpu=jax.checkpoint(slices, prevent_cse=False), default=native)


def by_reduce_window(x: jax.Array, windows: Windows, identity: np.ndarray, monoid: Callable) -> jax.Array:
    """The native reduction."""
    pads = ((0, 0), *windows.padding, (0, 0))
    return lax.reduce_window(x, identity, monoid, (1, *windows.size, 1), (1, *windows.strides, 1), pads)


def by_slices(x: jax.Array, windows: Windows, identity: np.ndarray, pair: Callable) -> jax.Array:
    """Axis by axis over shifted slices; with few channels the batch comes last, as in a convolution."""
    axes = range(len(windows.size))
    few, side_by_side = are_few(x.shape[-1]), windows.strides == windows.size
    if windows.is_padded:
        x = jnp.pad(x, ((0, 0), *windows.padding, (0, 0)), constant_values=identity)
    if side_by_side:  # split off and put first, the windows' axes make a gradient without gaps
        sides = list(zip(windows.output, windows.size, strict=True))
        x = x[(slice(None), *(slice(n * k) for n, k in sides))]
        x = x.reshape(x.shape[0], *(size for side in sides for size in side), x.shape[-1])
        x = jnp.moveaxis(x, [2 * axis + 2 for axis in axes], list(axes))
    batch = len(axes) if side_by_side else 0
    x = jnp.swapaxes(x, batch, -1) if few else x  # (..., C, *spatial, B) or (..., B, *spatial, C)
    for axis in reversed(axes):  # the first of several largest elements is then the first in memory order
        size, stride = windows.size[axis], windows.strides[axis]
        slices = lax.split(x, (1,) * size, axis) if side_by_side else window_slices(x, axis + 1, size, stride)
        x = functools.reduce(pair, slices)
    x = x.reshape(x.shape[batch:])
    return jnp.swapaxes(x, 0, -1) if few else x


@jax.custom_jvp
def first_larger(a: jax.Array, b: jax.Array) -> jax.Array:
    """The maximum, whose gradient goes to `a` alone on ties (that of `jnp.maximum` is halved); NaN wins."""
    return lax.max(a, b)


@first_larger.defjvp
def _first_larger_jvp(primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]):
    a, b = primals
    return lax.max(a, b), jnp.where((b > a) | (b != b), tangents[1], tangents[0])
