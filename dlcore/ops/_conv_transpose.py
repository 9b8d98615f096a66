"""Transposed convolution: on CPU a convolution that gives all outputs of a stride at once, the native one elsewhere."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
from jax import lax

from dlcore.ops._conv import check_channels
from dlcore.ops._conv_patches import as_matmul, fits_patches
from dlcore.ops._spread import Spread, plan_spread
from dlcore.ops._window import IntOrInts, Padding, Windows, spatial_shape

__all__ = ["conv_transpose"]


def conv_transpose(
    x: jax.Array,
    kernel: jax.Array,
    *,
    strides: IntOrInts = 1,
    padding: Padding = "SAME",
    dilation: IntOrInts = 1,
    groups: int = 1,
    bias: jax.Array | None = None,
) -> jax.Array:
    """Transposed convolution, the gradient of `conv` with respect to its input: every input spreads a kernel.

    `y[b, o * strides + i * dilation - low_pad, f] += x[b, o, c] * kernel[i, c, f]`, plus `bias[f]`

    The kernel is not flipped, as in PyTorch: the gradient of `conv(x, kernel, ...)` is `conv_transpose` of the
    cotangent with `kernel.swapaxes(-1, -2)` and the same strides, padding and dilation. (`jax.lax.conv_transpose` and
    Flax flip it unless told `transpose_kernel=True`.) Its last two axes are, as for `conv`, those of *this* map: from
    channels of `x` to channels of `y`. A weight of PyTorch, (inputs, outputs, *window), is moved by
    `jnp.moveaxis(weight, (0, 1), (-2, -1))`, each group by itself.

    Where it is lowered for CPU it is one convolution without stride, of patches and matrix products, whose channels
    are all the outputs that an input position has under it; elsewhere the native convolution.

    Args:
        x: `(batch, *spatial, channels_in)`, one to three spatial axes, floating dtype.
        kernel: `(*window, channels_in // groups, channels_out)`; cast to the dtype of `x`.
        strides: step between the outputs of neighbouring inputs; an int or one per spatial axis.
        padding: that of the convolution that is transposed, so it is cut off: `"VALID"` cuts nothing, `"SAME"` leaves
            `n * stride` outputs (the odd cut at the end), `"CAUSAL"` (one spatial axis) as many, and output `p` sees no
            input after `p // stride`. Or positions as an int, one per axis or `(low, high)` pairs, where a negative
            number adds outputs: PyTorch's `padding=p, output_padding=q` is `(p, p - q)`.
        dilation: step between kernel elements, in output positions; an int or one per spatial axis.
        groups: channels are split into this many independent convolutions.
        bias: `(channels_out,)`, cast to the dtype of `x`.

    Returns:
        `(batch, *output, channels_out)` in the dtype of `x`; see `conv_transpose_output_size`.

    Raises:
        ValueError: shapes do not fit each other, or padding cuts off all outputs.
        TypeError: `x` is not floating, `kernel` is not real, or a size is not an integer.

    Source: Zeiler, Krishnan, Taylor and Fergus, "Deconvolutional networks" (2010); Dumoulin and Visin (2016).

    Example:
        >>> import jax.numpy as jnp
        >>> from dlcore.ops import conv_transpose
        >>> kernel = jnp.array([1.0, 2.0, 3.0]).reshape(3, 1, 1)
        >>> conv_transpose(jnp.array([1.0, 10.0]).reshape(1, 2, 1), kernel, strides=2, padding="VALID").ravel().tolist()
        [1.0, 2.0, 13.0, 20.0, 30.0]
    """
    x, kernel = jnp.asarray(x), jnp.asarray(kernel)
    groups = check_channels(x, kernel, groups)
    spread = plan_spread(spatial_shape(x), kernel.shape[:-2], strides, padding, dilation)
    if bias is not None and jnp.shape(bias) != kernel.shape[-1:]:
        raise ValueError(f"bias must have shape {kernel.shape[-1:]}, one number a channel; got {jnp.shape(bias)}")
    bias = None if bias is None else jnp.asarray(bias, x.dtype)
    return _compiled(x, kernel.astype(x.dtype), bias, spread, groups)


def by_platform(x: jax.Array, kernel: jax.Array, bias: jax.Array | None, spread: Spread, groups: int) -> jax.Array:
    """The formulation that suits the sizes and the platform for which the program is lowered."""
    native = functools.partial(as_native, spread=spread, groups=groups)
    if not fits_patches(x, _phase_windows(spread), groups):
        return native(x, kernel, bias)
    phases = functools.partial(as_phases, spread=spread, groups=groups)
    remat = functools.partial(jax.checkpoint, prevent_cse=False)  # twice, for the reasons in `_conv.by_platform`
    return remat(functools.partial(lax.platform_dependent, cpu=remat(phases), default=native))(x, kernel, bias)


_compiled = jax.jit(by_platform, static_argnames=("spread", "groups"))  # called eagerly, it is still one program


def as_native(
    x: jax.Array, kernel: jax.Array, bias: jax.Array | None = None, *, spread: Spread, groups: int
) -> jax.Array:
    """The native convolution, of the flipped kernel over the input with holes."""
    spatial = "DHW"[-len(spread.size) :]
    reach = [d * (k - 1) for k, d in zip(spread.size, spread.dilation, strict=True)]
    y = lax.conv_general_dilated(
        x,
        jnp.flip(kernel, range(len(reach))),
        window_strides=(1,) * len(reach),
        padding=[(r - low, r - high) for r, (low, high) in zip(reach, spread.crops, strict=True)],
        lhs_dilation=spread.strides,
        rhs_dilation=spread.dilation,
        dimension_numbers=(f"N{spatial}C", f"{spatial}IO", f"N{spatial}C"),
        feature_group_count=groups,
    )
    return y if bias is None else y + bias


def as_phases(
    x: jax.Array, kernel: jax.Array, bias: jax.Array | None = None, *, spread: Spread, groups: int
) -> jax.Array:
    """A convolution without stride to `prod(strides)` times the channels, then laid out in space."""
    axes = len(spread.size)
    windows = _phase_windows(spread)
    pads = [(0, 0, 0)]
    for n, m, d, s, (low, _), blocks in zip(
        x.shape[1:-1], windows.size, windows.dilation, spread.strides, spread.crops, windows.output, strict=True
    ):
        before = d * (m - 1) - low // s  # negative where the first inputs reach no output
        pads.append((before, blocks + d * (m - 1) - n - before, 0))
    x = lax.pad(x, jnp.zeros((), x.dtype), [*pads, (0, 0, 0)])
    kernel = _phase_kernel(kernel, windows, spread, groups)
    bias = None if bias is None else _phase_bias(bias, spread, groups)
    y = as_matmul(x, kernel, bias, windows=windows, groups=groups)
    y = y.reshape(*y.shape[:-1], groups, *spread.strides, -1)  # (B, *blocks, G, *strides, F / G)
    order = (axis for pair in zip(range(1, axes + 1), range(axes + 2, 2 * axes + 2), strict=True) for axis in pair)
    y = y.transpose(0, *order, axes + 1, 2 * axes + 2)
    lengths = [n * s for n, s in zip(windows.output, spread.strides, strict=True)]
    y = y.reshape(y.shape[0], *lengths, -1)
    starts = [low % s for s, (low, _) in zip(spread.strides, spread.crops, strict=True)]
    return y[(slice(None), *(slice(start, start + n) for start, n in zip(starts, spread.output, strict=True)))]


def _phase_windows(spread: Spread) -> Windows:
    """The windows of inputs that a block of `strides` outputs depends on."""
    sizes, dilation, blocks = [], [], []
    for k, s, d, (low, _), n in zip(
        spread.size, spread.strides, spread.dilation, spread.crops, spread.output, strict=True
    ):
        sizes.append(k if s == 1 else d * (k - 1) // s + 1)
        dilation.append(d if s == 1 else 1)
        blocks.append((low + n - 1) // s - low // s + 1)
    return Windows(tuple(sizes), (1,) * len(sizes), ((0, 0),) * len(sizes), tuple(dilation), tuple(blocks))


def _phase_kernel(kernel: jax.Array, windows: Windows, spread: Spread, groups: int) -> jax.Array:
    """(*window, C, F) to (*windows.size, C, G * prod(strides) * F / G)."""
    axes = len(spread.size)
    holes = [(0, 0, 0) if s == 1 else (0, 0, d - 1) for s, d in zip(spread.strides, spread.dilation, strict=True)]
    kernel = lax.pad(kernel, jnp.zeros((), kernel.dtype), [*holes, (0, 0, 0), (0, 0, 0)])
    ends = [m * s - k for m, s, k in zip(windows.size, spread.strides, kernel.shape, strict=False)]
    kernel = jnp.pad(kernel, [*((0, end) for end in ends), (0, 0), (0, 0)])
    sides = itertools.chain(*zip(windows.size, spread.strides, strict=True))
    kernel = kernel.reshape(*sides, kernel.shape[-2], groups, -1)  # (m, s, ..., C, G, F / G)
    kernel = jnp.flip(kernel, range(0, 2 * axes, 2))
    order = (*range(0, 2 * axes, 2), 2 * axes, 2 * axes + 1, *range(1, 2 * axes, 2), 2 * axes + 2)
    kernel = kernel.transpose(order)
    return kernel.reshape(*kernel.shape[: axes + 1], -1)


def _phase_bias(bias: jax.Array, spread: Spread, groups: int) -> jax.Array:
    bias = bias.reshape(groups, 1, -1)
    return jnp.broadcast_to(bias, (groups, math.prod(spread.strides), bias.shape[-1])).ravel()
