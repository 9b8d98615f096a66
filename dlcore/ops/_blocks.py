"""Convolution of few channels on CPU: with the batch last, and on blocks of two outputs along every spatial axis."""

import itertools

import jax
import jax.numpy as jnp
from jax import lax

from dlcore.ops._window import Windows, window_slices

__all__ = ["are_few", "conv_on_blocks", "suits_blocks"]


def are_few(channels: int) -> bool:
    """Whether channels-last loops over so many would leave vector registers partly empty on CPU (16 float32 fill one).

    Then the batch goes last: (C, *spatial, B). XLA carries that order through elementwise layers in between and
    transposes nothing. Where it meets channels-last arrays it does, slowly, and normalisation sums channels-last. So
    many channels stay channels-last throughout: with all of them batch-last, networks of 16 to 64 channels took 0.8 of
    the time where there was no normalisation, but up to 1.35 where there was, and depthwise ones 1.7.
    """
    return channels < 16


def suits_blocks(kernel_shape: tuple[int, ...], windows: Windows) -> bool:
    """Whether `conv_on_blocks` can compute this convolution and pays."""
    if set(windows.strides) != {1} or set(windows.dilation) != {1} or not len(windows.size) < 3 <= min(windows.size):
        return False
    channels_in, channels_out = kernel_shape[-2:]
    # 16 outputs suit both orders: batch-last where the input is (LeNet-5's second), channels-last after an image.
    return are_few(channels_out) or (4 <= channels_in and are_few(channels_in) and channels_out == 16)


def conv_on_blocks(x: jax.Array, kernel: jax.Array, bias: jax.Array | None, windows: Windows) -> jax.Array:
    """One matrix product on patches stored as planes; a block of outputs, 2 along each axis, counts as one output.

    In two dimensions a block sees (k + 1)^2 inputs where its outputs see k^2 each: four times as many features on
    patches that are (k + 1)^2 / (2 k)^2 as large, at (k + 1)^2 / k^2 the arithmetic. With few channels memory is the
    bound. A step of LeNet-5 at batch 64 on two cores: channels-last 2.7 ms, so 1.1 (PyTorch 2.3).
    """
    axes, batch = len(windows.size), x.shape[0]
    blocks = [(n + 1) // 2 for n in windows.output]
    sizes = [k // 2 + 1 for k in windows.size]  # a window in blocks

    kernel = jnp.moveaxis(kernel, -2, 0)  # (C, *window, F)
    places = itertools.product((0, 1), repeat=axes)  # of an output in its block
    pads = ([(p, 2 * m - k - p) for p, m, k in zip(place, sizes, windows.size, strict=True)] for place in places)
    rows = _fold(jnp.concatenate([jnp.pad(kernel, ((0, 0), *pad, (0, 0))) for pad in pads], -1), axes)
    rows = rows.reshape(-1, rows.shape[-1])  # (C' * prod(sizes), F'), where C' and F' count a whole block

    x = jnp.swapaxes(x, 0, -1)  # (C, *spatial, B)
    lengths = [2 * (n + m - 1) for n, m in zip(blocks, sizes, strict=True)]
    pads = [(low, n - size - low) for n, size, (low, _) in zip(lengths, x.shape[1:-1], windows.padding, strict=True)]
    planes = _fold(jnp.pad(x, ((0, 0), *pads, (0, 0))), axes)  # (C', *blocks, B)
    for axis in reversed(range(axes)):
        planes = jnp.stack(window_slices(planes, planes.ndim - 1 - axes + axis, sizes[axis], 1), 1)
    planes = planes.reshape(len(rows), -1)

    if bias is not None:  # as one more row: XLA would transpose the gradient of y in order to sum it up for the bias
        rows = jnp.concatenate([rows, jnp.tile(bias, 2**axes)[None]])
        planes = jnp.concatenate([planes, jnp.ones_like(planes[:1])])
    product = lambda a, b: lax.dot_general(a, b, (((0,), (0,)), ((), ())))
    if are_few(kernel.shape[-1]):
        y = product(rows, planes).reshape(*(2,) * axes, -1, *blocks, batch)
    else:  # what comes next is channels-last: a step of LeNet-5 took 1.40 ms with its values gathered, so 1.31
        y = product(planes, rows).reshape(*blocks, batch, *(2,) * axes, -1)
        y = jnp.moveaxis(y, range(axes + 1), range(-axes - 1, 0))
    return _unfold(y, axes)[(slice(None), *map(slice, windows.output))]


def _fold(x: jax.Array, axes: int) -> jax.Array:
    """(C, *spatial, B) to (2**axes * C, *spatial / 2, B)."""
    x = x.reshape(x.shape[0], *(n for size in x.shape[1:-1] for n in (size // 2, 2)), x.shape[-1])
    x = jnp.moveaxis(x, range(2, 2 * axes + 1, 2), range(axes))
    return x.reshape(-1, *x.shape[axes + 1 :])


def _unfold(y: jax.Array, axes: int) -> jax.Array:
    """(2, ..., F, *blocks, B) to (B, *spatial, F)."""
    order = (axis for pair in zip(range(axes + 1, 2 * axes + 1), range(axes), strict=True) for axis in pair)
    y = y.transpose(2 * axes + 1, *order, axes)
    return y.reshape(y.shape[0], *(2 * n for n in y.shape[1:-1:2]), y.shape[-1])
