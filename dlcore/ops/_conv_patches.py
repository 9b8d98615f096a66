"""Convolution on CPU as patches times a matrix: for few channels, for groups, and for many kernels side by side."""

import functools
import math
import operator

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dlcore.ops._blocks import conv_on_blocks, suits_blocks
from dlcore.ops._linear import linear
from dlcore.ops._window import Windows, window_slices

__all__ = ["as_matmul", "fits_patches", "plus"]

# Patches of more than this many bytes are made a few examples at a time. Measured on two cores, gradient in a scan:
# 72 MiB of patches at once took 55 ms and 170 MiB, in chunks of 2 examples 26 ms and 24 MiB; less gains nothing.
_CHUNK_BYTES = 16 * 2**20

# One example whose patches exceed this goes to the native convolution, in a loop 20 to 45 times slower on CPU.
_EXAMPLE_BYTES = 2**30


def as_matmul(
    x: jax.Array, kernel: jax.Array, bias: jax.Array | None = None, *, windows: Windows, groups: int
) -> jax.Array:
    """Patches times the kernel as a matrix, a few examples at a time where the patches are large."""
    example_bytes = _patch_bytes(x, windows)
    at_once = x.shape[0] * example_bytes <= _CHUNK_BYTES
    if at_once and groups == 1 and suits_blocks(kernel.shape, windows):
        return conv_on_blocks(x, kernel, bias, windows)
    x = jnp.pad(x, ((0, 0), *windows.padding, (0, 0)))
    product = functools.partial(_patch_product, windows=windows, groups=groups)
    if 1 < groups == x.shape[-1]:
        y = _depthwise(x, kernel, windows)
    elif at_once:
        y = product(x, kernel)
    else:
        one_example = jax.checkpoint(lambda image: product(image[None], kernel)[0], prevent_cse=False)
        y = lax.map(one_example, x, batch_size=min(max(_CHUNK_BYTES // example_bytes, 1), x.shape[0]))
    return plus(y, bias)


def plus(y: jax.Array, bias: jax.Array | None) -> jax.Array:
    """Adds a bias, if there is one."""
    return y if bias is None else y + bias


def _patch_product(x: jax.Array, kernel: jax.Array, windows: Windows, groups: int) -> jax.Array:
    if groups == 1:
        return linear(_patches(x, windows), kernel.reshape(-1, kernel.shape[-1]))
    x = jnp.moveaxis(x.reshape(*x.shape[:-1], groups, -1), -2, 0)  # (G, B, *spatial, C_in / G)
    kernel = jnp.moveaxis(kernel.reshape(*kernel.shape[:-1], groups, -1), -2, 0)  # (G, *window, C_in / G, C_out / G)
    y = jax.vmap(lambda x, kernel: linear(_patches(x, windows), kernel.reshape(-1, kernel.shape[-1])))(x, kernel)
    y = jnp.moveaxis(y, 0, -2)  # (B, *output, G, C_out / G)
    return y.reshape(*y.shape[:-2], -1)


def _patches(x: jax.Array, windows: Windows) -> jax.Array:
    """Each window as one row: (B, *output, prod(window) * C), in the order of the kernel's leading axes."""
    # One axis at a time, the last first: k + k slices in place of k * k.
    for axis in reversed(range(len(windows.size))):
        slices = window_slices(x, axis + 1, windows.size[axis], windows.strides[axis], windows.dilation[axis])
        x = jnp.concatenate(slices, axis=-1)
    return x


def _depthwise(x: jax.Array, kernel: jax.Array, windows: Windows) -> jax.Array:
    """One channel per group has no sum over channels to multiply matrices for: a fused sum of shifted products."""
    wide = np.promote_types(x.dtype, np.float32)  # the precision in which a matrix product would accumulate
    shifted = [jnp.repeat(x, kernel.shape[-1] // x.shape[-1], axis=-1)]
    for axis, (size, stride, dilation) in enumerate(zip(windows.size, windows.strides, windows.dilation, strict=True)):
        shifted = [view for base in shifted for view in window_slices(base, axis + 1, size, stride, dilation)]
    rows = kernel.reshape(-1, kernel.shape[-1]).astype(wide)
    products = (view.astype(wide) * row for view, row in zip(shifted, rows, strict=True))
    return functools.reduce(operator.add, products).astype(x.dtype)


def _patch_bytes(x: jax.Array, windows: Windows) -> int:
    """The size of the patches of one example."""
    return math.prod(windows.output) * math.prod(windows.size) * x.shape[-1] * x.dtype.itemsize


def fits_patches(x: jax.Array, windows: Windows, groups: int) -> bool:
    """Whether the patches of an example can be made; a depthwise convolution makes none."""
    return _patch_bytes(x, windows) <= _EXAMPLE_BYTES or 1 < groups == x.shape[-1]
