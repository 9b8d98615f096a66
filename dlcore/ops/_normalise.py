"""Statistics of arrays and what is divided by them, in float32 at least, whatever the input's floating type."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["l2_normalise", "moments", "standardise"]

Axes = int | Sequence[int]


def moments(x: jax.Array, axis: Axes, *, keepdims: bool = False, mask: Any = None) -> tuple[jax.Array, jax.Array]:
    """Mean and (biased) variance over axes, `mean = E[x]` and `var = E[(x - mean)^2]`.

    The variance takes a second pass: `E[x^2] - E[x]^2` cancels where the mean is large.

    Args:
        x: an array of a floating type.
        axis: the axis or axes that the statistics are taken over.
        keepdims: whether these axes stay, with size 1.
        mask: what counts, boolean, of a shape that broadcasts to that of x; everything by default. What does not count
            may hold anything, NaN too. Where nothing counts, both statistics are 0.

    Returns:
        `(mean, var)`, float32; float64 for float64.

    Example:
        >>> mean, var = moments(jnp.array([[1.0, 3.0], [5.0, 5.0]]), -1)
        >>> mean.tolist(), var.tolist()
        ([2.0, 5.0], [1.0, 0.0])
        >>> moments(jnp.array([1.0, 3.0, 100.0]), 0, mask=jnp.array([True, True, False]))[0].item()
        2.0
    """
    axis = axis if isinstance(axis, int) else tuple(axis)
    x = _wide(x)
    if mask is None:
        return x.mean(axis, keepdims=keepdims), x.var(axis, keepdims=keepdims)
    mask = jnp.broadcast_to(mask, x.shape)
    count = jnp.maximum(mask.sum(axis, keepdims=True, dtype=jnp.int32), 1).astype(x.dtype)
    mean = jnp.where(mask, x, 0).sum(axis, keepdims=True) / count
    # Masked before the square, or a NaN would come back through its gradient.
    var = jnp.square(jnp.where(mask, x - mean, 0)).sum(axis, keepdims=True) / count
    return (mean, var) if keepdims else (mean.squeeze(axis), var.squeeze(axis))


def standardise(
    x: jax.Array, mean: jax.Array, var: jax.Array, *, epsilon: Any, scale: Any = None, offset: Any = None
) -> jax.Array:
    """The step that norms share, `(x - mean) / sqrt(var + epsilon) * scale + offset`.

    Args:
        x: an array of a floating type.
        mean: of a shape that broadcasts to that of x, as are all others; computing is in its type.
        var: the variance.
        epsilon: added to the variance inside the root.
        scale: factor; none by default.
        offset: what is added; nothing by default.

    Returns:
        An array of the shape and type of x. Where the variance is 0, it is the offset.

    Example:
        >>> x = jnp.array([1.0, 3.0])
        >>> standardise(x, *moments(x, 0), epsilon=0.0, scale=2.0).tolist()
        [-2.0, 2.0]
    """
    factor = jax.lax.rsqrt(var + epsilon)
    if scale is not None:
        factor = factor * jnp.asarray(scale, factor.dtype)
    y = (x.astype(mean.dtype) - mean) * factor
    return (y if offset is None else y + jnp.asarray(offset, y.dtype)).astype(x.dtype)


def l2_normalise(x: jax.Array, axis: Axes = -1) -> jax.Array:
    """Vectors of length one, `y = x / sqrt(sum(x^2))`.

    A vector of zeros stays zero and has a gradient of zero (that of `x / norm(x)` is NaN there, and PyTorch's
    `normalize` gives 1e12). Neither very long nor very short vectors overflow, so no epsilon is needed.

    Args:
        x: an array of a floating type.
        axis: the axis or axes along which the vectors lie.

    Returns:
        An array of the shape and type of x.

    Raises:
        TypeError: for an array that is not floating.

    Example:
        >>> l2_normalise(jnp.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
        [[0.6, 0.8], [0.0, 0.0]]
    """
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"l2_normalise: expected an array of a floating type, found {x.dtype}: x.astype('float32')")
    axis, wide = axis if isinstance(axis, int) else tuple(axis), _wide(x)
    # The result does not depend on the length, and so neither does the gradient on this factor.
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(wide), axis, keepdims=True, initial=0))
    some = largest > 0
    unit = jnp.where(some, wide / jnp.where(some, largest, 1), 0)
    squares = jnp.square(unit).sum(axis, keepdims=True)
    return (unit * jax.lax.rsqrt(jnp.where(some, squares, 1))).astype(x.dtype)


def _wide(x: jax.Array) -> jax.Array:
    return x.astype(np.promote_types(x.dtype, np.float32))
