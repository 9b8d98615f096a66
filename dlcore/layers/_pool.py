"""Pooling, and the layers that only change shapes."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from dlcore import ops
from dlcore.checks import expect_floating
from dlcore.core import lambda_layer, layer


@layer
def max_pool(window: int | Sequence[int], *, strides: int | Sequence[int] | None = None, padding: Any = "VALID") -> Any:
    """Largest value of each window, channel by channel; see `dlcore.ops.max_pool`.

    Args:
      window: size of the window, in pixels, one number or one a spatial axis.
      strides: step between windows; the window's size by default, so that windows do not overlap.
      padding: `"VALID"`, `"SAME"`, a number of pixels for both sides, or a (low, high) an axis; it never wins.

    Returns:
      A layer from (B, *spatial, C) to (B, *smaller, C).

    Example:
      >>> max_pool(2).apply({}, {}, jnp.arange(4.0).reshape(1, 2, 2, 1))[0].ravel()
      Array([3.], dtype=float32)
    """
    return lambda_layer(lambda x: ops.max_pool(x, window, strides=strides, padding=padding))


@layer
def avg_pool(
    window: int | Sequence[int],
    *,
    strides: int | Sequence[int] | None = None,
    padding: Any = "VALID",
    count_include_pad: bool = False,
) -> Any:
    """Mean of each window, channel by channel; padded places do not count. See `dlcore.ops.avg_pool`.

    Args:
      window: size of the window, in pixels, one number or one a spatial axis.
      strides: step between windows; the window's size by default, so that windows do not overlap.
      padding: `"VALID"`, `"SAME"`, a number of pixels for both sides, or a (low, high) an axis.
      count_include_pad: whether padded places count, as zeros. They do not by default, as in Keras; in PyTorch and Flax
        they do.

    Returns:
      A layer from (B, *spatial, C) to (B, *smaller, C).

    Example:
      >>> avg_pool(2).apply({}, {}, jnp.arange(4.0).reshape(1, 2, 2, 1))[0].ravel()
      Array([1.5], dtype=float32)
    """
    how = {"strides": strides, "padding": padding, "count_include_pad": count_include_pad}
    return lambda_layer(lambda x: ops.avg_pool(x, window, **how))


@layer
def global_avg_pool() -> Any:
    """Mean over all spatial axes, from (B, *spatial, C) to (B, C).

    Source: Lin, Chen and Yan, 2013.

    Example:
      >>> global_avg_pool().apply({}, {}, jnp.arange(4.0).reshape(1, 2, 2, 1))[0]
      Array([[1.5]], dtype=float32)
    """
    return lambda_layer(ops.global_avg_pool)


@layer
def global_max_pool() -> Any:
    """Largest value over all spatial axes, from (B, *spatial, C) to (B, C).

    Source: Oquab, Bottou, Laptev and Sivic, 2015.

    Example:
      >>> global_max_pool().apply({}, {}, jnp.arange(4.0).reshape(1, 2, 2, 1))[0]
      Array([[3.]], dtype=float32)
    """
    return lambda_layer(ops.global_max_pool)


@layer
def adaptive_avg_pool(output: int | Sequence[int]) -> Any:
    """Means of a given number of bins along every spatial axis; see `dlcore.ops.adaptive_avg_pool`.

    Args:
      output: number of bins, one number or one a spatial axis.

    Returns:
      A layer from (B, *spatial, C) to (B, *output, C).

    Source: He, Zhang, Ren and Sun, 2014.

    Example:
      >>> adaptive_avg_pool(2).apply({}, {}, jnp.arange(5.0).reshape(1, 5, 1))[0].ravel()
      Array([1., 3.], dtype=float32)
    """
    return lambda_layer(lambda x: ops.adaptive_avg_pool(x, output))


@layer
def adaptive_max_pool(output: int | Sequence[int]) -> Any:
    """Largest values of a given number of bins along every spatial axis; see `dlcore.ops.adaptive_max_pool`.

    Args:
      output: number of bins, one number or one a spatial axis.

    Returns:
      A layer from (B, *spatial, C) to (B, *output, C).

    Source: He, Zhang, Ren and Sun, 2014.

    Example:
      >>> adaptive_max_pool(2).apply({}, {}, jnp.arange(5.0).reshape(1, 5, 1))[0].ravel()
      Array([2., 4.], dtype=float32)
    """
    return lambda_layer(lambda x: ops.adaptive_max_pool(x, output))


@layer
def flatten() -> Any:
    """Joins all axes but the first, from (B, ...) to (B, features).

    Example:
      >>> flatten().apply({}, {}, jnp.zeros((2, 3, 4)))[0].shape
      (2, 12)
    """

    def join(x: Any) -> jax.Array:
        if len(x.shape) < 1:
            raise ValueError("flatten: expected x (B, ...) with a batch axis, found a scalar")
        return jnp.reshape(x, (x.shape[0], math.prod(x.shape[1:])))  # -1 would not do for an empty batch

    return lambda_layer(join)


@layer
def resize(shape: Sequence[int], *, method: str = "bilinear") -> Any:
    """Resizes images from (B, *spatial, C) to (B, *shape, C); shrinking is antialiased.

    Args:
      shape: new spatial sizes, in pixels.
      method: `"nearest"`, `"bilinear"` (the default) or `"bicubic"`, as in `jax.image.resize`.

    Raises:
      TypeError: for images that are not floating.
      ValueError: for images with another number of spatial axes, and for an unknown method.

    Example:
      >>> resize((4, 4)).apply({}, {}, jnp.ones((1, 2, 2, 3)))[0].shape
      (1, 4, 4, 3)
    """
    if method not in ("nearest", "bilinear", "bicubic"):
        raise ValueError(f"method: expected 'nearest', 'bilinear' or 'bicubic', found {method!r}")

    def change(x: Any) -> jax.Array:
        x = expect_floating(x, "resize")
        if x.ndim != len(shape) + 2:
            raise ValueError(f"expected x (B, *spatial, channels) with {len(shape)} spatial axes, found {x.shape}")
        return jax.image.resize(x, (x.shape[0], *shape, x.shape[-1]), method)

    return lambda_layer(change)
