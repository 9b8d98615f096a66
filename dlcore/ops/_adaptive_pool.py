"""Pooling to a given number of outputs, and to one."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.ops._pool import avg_pool, check_floating, max_pool
from dlcore.ops._reduce import MOST_SLICES
from dlcore.ops._window import IntOrInts, per_axis, spatial_shape

__all__ = ["adaptive_avg_pool", "adaptive_max_pool", "global_max_pool"]


def adaptive_avg_pool(x: jax.Array, output: IntOrInts) -> jax.Array:
    """The means of `output` bins along every spatial axis, whatever the size of the input.

    Bin `o` of an axis of `n` positions goes from `floor(o * n / output)` up to `ceil((o + 1) * n / output)`, as in
    PyTorch: of one size where `output` divides `n`, overlapping elsewhere, and repeating positions where it is larger.

    Args:
        x: `(batch, *spatial, channels)`, one to three spatial axes, floating dtype.
        output: number of bins; an int or one per spatial axis.

    Returns:
        `(batch, *output, channels)` in the dtype of `x`.

    Raises:
        ValueError: `x` has too few or too many axes, a spatial axis without elements, or `output` does not fit.
        TypeError: `x` is not floating, or `output` is not an integer.

    Source: He, Zhang, Ren and Sun, "Spatial pyramid pooling in deep convolutional networks" (2014).

    Example:
        >>> import jax.numpy as jnp
        >>> from dlcore.ops import adaptive_avg_pool
        >>> adaptive_avg_pool(jnp.array([1.0, 2.0, 3.0, 4.0, 5.0]).reshape(1, 5, 1), 2).ravel().tolist()
        [2.0, 4.0]
    """
    x = jnp.asarray(x)
    bins = _plan(x, output)
    if (window := _even_window(x, bins)) is not None:
        return avg_pool(x, window)
    return _adaptive(x, bins, _mean)


def adaptive_max_pool(x: jax.Array, output: IntOrInts) -> jax.Array:
    """The largest values of `output` bins along every spatial axis, whatever the size of the input.

    The bins are those of `adaptive_avg_pool`. NaN always wins. Where several elements are largest the gradient goes to
    the first alone.

    Args:
        x: `(batch, *spatial, channels)`, one to three spatial axes, floating dtype.
        output: number of bins; an int or one per spatial axis.

    Returns:
        `(batch, *output, channels)` in the dtype of `x`.

    Raises:
        ValueError: `x` has too few or too many axes, a spatial axis without elements, or `output` does not fit.
        TypeError: `x` is not floating, or `output` is not an integer.

    Source: He, Zhang, Ren and Sun, "Spatial pyramid pooling in deep convolutional networks" (2014).

    Example:
        >>> import jax.numpy as jnp
        >>> from dlcore.ops import adaptive_max_pool
        >>> adaptive_max_pool(jnp.array([1.0, 2.0, 3.0, 4.0, 5.0]).reshape(1, 5, 1), 2).ravel().tolist()
        [3.0, 5.0]
    """
    x = jnp.asarray(x)
    bins = _plan(x, output)
    if (window := _even_window(x, bins)) is not None and max(window) <= MOST_SLICES:  # others are slow: `_reduce`
        return max_pool(x, window)
    return _adaptive(x, bins, _first_largest)


def global_max_pool(x: jax.Array) -> jax.Array:
    """The largest value over all spatial axes: one value per channel.

    `y[b, c] = max_o x[b, o, c]`

    NaN always wins. Where several elements are largest the gradient goes to the first alone, as in `max_pool`.

    Args:
        x: `(batch, *spatial, channels)`, one to three spatial axes, floating dtype.

    Returns:
        `(batch, channels)` in the dtype of `x`.

    Raises:
        ValueError: `x` has too few or too many axes, or a spatial axis without elements.
        TypeError: `x` is not floating.

    Source: Oquab, Bottou, Laptev and Sivic, "Is object localization for free?" (2015).

    Example:
        >>> import jax.numpy as jnp
        >>> from dlcore.ops import global_max_pool
        >>> global_max_pool(jnp.arange(8.0).reshape(1, 2, 2, 2)).tolist()
        [[6.0, 7.0]]
    """
    x = jnp.asarray(x)
    _plan(x, 1)
    return _global_max(x)


@jax.jit
def _global_max(x: jax.Array) -> jax.Array:
    flat = x.reshape(x.shape[0], math.prod(x.shape[1:-1]), x.shape[-1])
    return _first_largest(flat, np.ones(flat.shape[1:2], bool), 1)


@functools.partial(jax.jit, static_argnames=("bins", "reduce"))
def _adaptive(x: jax.Array, bins: tuple[int, ...], reduce) -> jax.Array:
    for axis in reversed(range(len(bins))):  # the first of several largest elements is then the first in memory order
        places, inside = _bins(x.shape[axis + 1], bins[axis])
        # Looked up, not multiplied by a matrix: 0 * inf would carry what is not finite into every bin.
        x = reduce(jnp.take(x, places, axis + 1), inside, axis + 2)
    return x


def _bins(size: int, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """The positions in each bin (bins, longest bin), and which of them count: short bins repeat their last one."""
    start, end = np.arange(bins) * size // bins, -(-np.arange(1, bins + 1) * size // bins)
    places = start[:, None] + np.arange(int(np.max(end - start)))
    return np.minimum(places, end[:, None] - 1), places < end[:, None]


def _mean(windows: jax.Array, inside: np.ndarray, axis: int) -> jax.Array:
    shape = [n if at in (axis - 1, axis) else 1 for at, n in enumerate(windows.shape)]
    wide = np.promote_types(windows.dtype, np.float32)  # half precision would round and overflow in the sum
    kept = jnp.where(inside.reshape(shape), windows.astype(wide), jnp.zeros((), wide))
    counts = inside.sum(1).astype(wide).reshape(shape[:axis] + shape[axis + 1 :])
    return (kept.sum(axis) / counts).astype(windows.dtype)


def _first_largest(windows: jax.Array, inside: np.ndarray, axis: int) -> jax.Array:
    place = jnp.argmax(windows, axis, keepdims=True)  # the first NaN, if there is one
    return jnp.take_along_axis(windows, place, axis).squeeze(axis)


def _even_window(x: jax.Array, bins: tuple[int, ...]) -> tuple[int, ...] | None:
    """The window that makes these bins, where every axis is a multiple of its number of bins."""
    if any(n % count for n, count in zip(x.shape[1:-1], bins, strict=True)):
        return None
    return tuple(n // count for n, count in zip(x.shape[1:-1], bins, strict=True))


def _plan(x: jax.Array, output: IntOrInts) -> tuple[int, ...]:
    check_floating(x)
    spatial = spatial_shape(x)
    bins = per_axis("output", output, len(spatial))
    if 0 in spatial:
        raise ValueError(f"x of shape {x.shape} has a spatial axis without elements, which fills no bin")
    return bins
