"""Pooling over windows in one to three dimensions."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dlcore.ops._reduce import first_larger, reduce_windows
from dlcore.ops._window import IntOrInts, Padding, Windows, plan_windows, spatial_shape

__all__ = ["avg_pool", "global_avg_pool", "max_pool"]


def max_pool(
    x: jax.Array, window: IntOrInts, *, strides: IntOrInts | None = None, padding: Padding = "VALID"
) -> jax.Array:
    """The largest value in each window, channel by channel.

    `y[b, o, c] = max_i x[b, o * strides + i - low_pad, c]`

    Padding never wins, NaN always does. Where several elements are largest the gradient goes to the first alone.

    Args:
        x: `(batch, *spatial, channels)`, one to three spatial axes, floating dtype.
        window: extent in positions; an int or one per spatial axis.
        strides: step between windows; `window` by default, so that windows do not overlap.
        padding: `"SAME"`, `"VALID"`, an int, one int per axis, or `(low, high)` pairs; less than `window` at each end.

    Returns:
        `(batch, *output, channels)` in the dtype of `x`.

    Raises:
        ValueError: a window or pad does not fit `x`.
        TypeError: `x` is not floating, or a size is not an integer.

    Source: Zhou and Chellappa, "Computation of optical flow using a neural network" (1988).

    Example:
        >>> import jax.numpy as jnp
        >>> from dlcore.ops import max_pool
        >>> max_pool(jnp.array([1.0, 4.0, 3.0, 2.0, 9.0]).reshape(1, 5, 1), 2).ravel().tolist()
        [4.0, 3.0]
    """
    x = jnp.asarray(x)
    return _max_pool(x, _plan(x, window, strides, padding))


def avg_pool(
    x: jax.Array,
    window: IntOrInts,
    *,
    strides: IntOrInts | None = None,
    padding: Padding = "VALID",
    count_include_pad: bool = False,
) -> jax.Array:
    """The mean of each window, channel by channel.

    `y[b, o, c] = sum_i x[b, o * strides + i - low_pad, c] / n[o]`

    Args:
        x: `(batch, *spatial, channels)`, one to three spatial axes, floating dtype.
        window: extent in positions; an int or one per spatial axis.
        strides: step between windows; `window` by default, so that windows do not overlap.
        padding: `"SAME"`, `"VALID"`, an int, one int per axis, or `(low, high)` pairs; less than `window` at each end.
        count_include_pad: let `n` be the window's size throughout (padding counts as zeros); by default `n[o]` is the
            number of elements of `x` in window `o`.

    Returns:
        `(batch, *output, channels)` in the dtype of `x`.

    Raises:
        ValueError: a window or pad does not fit `x`.
        TypeError: `x` is not floating, or a size is not an integer.

    Source: LeCun et al., "Gradient-based learning applied to document recognition" (1998).

    Example:
        >>> import jax.numpy as jnp
        >>> from dlcore.ops import avg_pool
        >>> avg_pool(jnp.array([1.0, 3.0, 5.0]).reshape(1, 3, 1), 2, padding="SAME").ravel().tolist()
        [2.0, 5.0]
    """
    x = jnp.asarray(x)
    windows = _plan(x, window, strides, padding)
    return _avg_pool(x, windows, bool(count_include_pad))


def global_avg_pool(x: jax.Array) -> jax.Array:
    """The mean over all spatial axes: one value per channel.

    `y[b, c] = mean_o x[b, o, c]`

    Args:
        x: `(batch, *spatial, channels)`, one to three spatial axes, floating dtype.

    Returns:
        `(batch, channels)` in the dtype of `x`.

    Raises:
        ValueError: `x` has too few or too many axes, or a spatial axis without elements.
        TypeError: `x` is not floating.

    Source: Lin, Chen and Yan, "Network in network" (2013).

    Example:
        >>> import jax.numpy as jnp
        >>> from dlcore.ops import global_avg_pool
        >>> global_avg_pool(jnp.arange(8.0).reshape(1, 2, 2, 2)).tolist()
        [[3.0, 4.0]]
    """
    x = jnp.asarray(x)
    check_floating(x)
    if 0 in spatial_shape(x):
        raise ValueError(f"x of shape {x.shape} has a spatial axis without elements, whose mean is undefined")
    return jnp.mean(x, axis=tuple(range(1, x.ndim - 1)))


@functools.partial(jax.jit, static_argnames="windows")
def _max_pool(x: jax.Array, windows: Windows) -> jax.Array:
    return reduce_windows(x, windows, np.array(-np.inf, x.dtype), first_larger, lax.max)


@functools.partial(jax.jit, static_argnames=("windows", "count_include_pad"))
def _avg_pool(x: jax.Array, windows: Windows, count_include_pad: bool) -> jax.Array:
    wide = np.promote_types(x.dtype, np.float32)  # half precision would round and overflow in the sum
    total = reduce_windows(x.astype(wide), windows, np.zeros((), wide), lax.add, lax.add)
    return (total / _counts(x.shape[1:-1], windows, count_include_pad).astype(wide)).astype(x.dtype)


def _counts(spatial: tuple[int, ...], windows: Windows, count_include_pad: bool) -> np.ndarray:
    """The number of elements in each window, (*output, 1)."""
    counts = np.ones((1,) * (len(spatial) + 1))
    for axis, (n, size, stride, (low, _), outputs) in enumerate(
        zip(spatial, windows.size, windows.strides, windows.padding, windows.output, strict=True)
    ):
        start = np.arange(outputs) * stride - low
        inside = np.minimum(start + size, n) - np.maximum(start, 0)
        along = np.full(1, size) if count_include_pad or (inside == size).all() else inside
        counts = counts * along.reshape([-1 if other == axis else 1 for other in range(counts.ndim)])
    return counts


def _plan(x: jax.Array, window: IntOrInts, strides: IntOrInts | None, padding: Padding) -> Windows:
    check_floating(x)
    windows = plan_windows(spatial_shape(x), window, window if strides is None else strides, padding, 1, "window")
    for size, pads in zip(windows.size, windows.padding, strict=True):
        if max(pads) >= size:
            raise ValueError(
                f"padding must be less than window at each end, or a window would hold padding alone; "
                f"got padding {windows.padding} for window {windows.size}; pad x with jnp.pad if that is meant"
            )
    return windows


def check_floating(x: jax.Array) -> None:
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"x must have a floating dtype, got {x.dtype}; pass x.astype(jnp.float32)")
