"""Convolution in one to three dimensions: the formulation that suits the sizes and the platform."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from dlcore.ops._blocks import suits_blocks
from dlcore.ops._conv_native import native_conv
from dlcore.ops._conv_patches import as_matmul, fits_patches, plus
from dlcore.ops._linear import linear
from dlcore.ops._window import IntOrInts, Padding, Windows, integer, plan_windows, spatial_shape

__all__ = ["conv"]


def conv(
    x: jax.Array,
    kernel: jax.Array,
    *,
    strides: IntOrInts = 1,
    padding: Padding = "SAME",
    dilation: IntOrInts = 1,
    groups: int = 1,
    bias: jax.Array | None = None,
) -> jax.Array:
    """Convolve a channels-last batch with a kernel (cross-correlation, as everywhere in deep learning).

    `y[b, o, f] = sum_{i, c} x[b, o * strides + i * dilation - low_pad, c] * kernel[i, c, f] + bias[f]`

    One definition, two programs: where it is lowered for CPU it is patches and a matrix product (XLA's CPU convolution
    is tens of times slower inside a `lax.scan`), elsewhere the native convolution. Forward, reverse and repeated
    differentiation and `vmap` over either argument work on both. No patches are kept for the backward pass.

    Args:
        x: `(batch, *spatial, channels_in)`, one to three spatial axes, floating dtype.
        kernel: `(*window, channels_in // groups, channels_out)`; cast to the dtype of `x`.
        strides: step between windows, in input positions; an int or one per spatial axis.
        padding: `"SAME"` (ceil(n / stride) outputs, the odd pad at the end), `"VALID"`, `"CAUSAL"` (one spatial axis;
            sees no later position), positions at both ends as an int or one per axis, or `(low, high)` pairs.
        dilation: step between kernel elements, in input positions; an int or one per spatial axis.
        groups: channels are split into this many independent convolutions; `channels_in` makes it depthwise.
        bias: `(channels_out,)`, cast to the dtype of `x`; on CPU its gradient costs less than that of a sum outside.

    Returns:
        `(batch, *output, channels_out)` in the dtype of `x`.

    Raises:
        ValueError: shapes do not fit each other, or the kernel is larger than the padded input.
        TypeError: `x` is not floating, `kernel` is not real, or a size is not an integer.

    Source: LeCun et al., "Backpropagation applied to handwritten zip code recognition" (1989).

    Example:
        >>> import jax.numpy as jnp
        >>> from dlcore.ops import conv
        >>> edges = jnp.array([-1.0, 1.0]).reshape(2, 1, 1)
        >>> conv(jnp.array([0.0, 0.0, 3.0, 3.0]).reshape(1, 4, 1), edges, padding="VALID").ravel().tolist()
        [0.0, 3.0, 0.0]
    """
    x, kernel = jnp.asarray(x), jnp.asarray(kernel)
    groups = check_channels(x, kernel, groups)
    windows = plan_windows(spatial_shape(x), kernel.shape[:-2], strides, padding, dilation, "kernel")
    if bias is not None and jnp.shape(bias) != kernel.shape[-1:]:
        raise ValueError(f"bias must have shape {kernel.shape[-1:]}, one number a channel; got {jnp.shape(bias)}")
    bias = None if bias is None else jnp.asarray(bias, x.dtype)
    return _compiled(x, kernel.astype(x.dtype), bias, windows, groups)


def by_platform(x: jax.Array, kernel: jax.Array, bias: jax.Array | None, windows: Windows, groups: int) -> jax.Array:
    """The formulation that suits the sizes and the platform for which the program is lowered."""
    if not isinstance(x.shape[0], int):  # exported with its batch open: how large patches will be is not known
        return as_conv(x, kernel, bias, windows=windows, groups=groups)
    if windows.is_pointwise and groups == 1:
        return plus(linear(x, kernel.reshape(kernel.shape[-2:])), bias)
    if groups == 1 and not (suits_blocks(kernel.shape, windows) and fits_patches(x, windows, groups)):
        return plus(native_conv(x, kernel, windows), bias)
    native = functools.partial(as_conv, windows=windows, groups=groups)
    if not fits_patches(x, windows, groups):
        return native(x, kernel, bias)
    matmul = functools.partial(as_matmul, windows=windows, groups=groups)
    # Differentiating `platform_dependent` makes room on every platform for the residuals of *all* branches, so under a
    # scan accelerators would stack the CPU branch's patches. The inner checkpoint leaves that branch no residuals but
    # its inputs; the outer one stops a scan over a constant x from making its patches once, ahead, on every platform.
    # Leaving common subexpressions to XLA spares making patches again where that is shorter.
    remat = functools.partial(jax.checkpoint, prevent_cse=False)
    return remat(functools.partial(lax.platform_dependent, cpu=remat(matmul), default=native))(x, kernel, bias)


_compiled = jax.jit(by_platform, static_argnames=("windows", "groups"))  # called eagerly, it is still one program


def as_conv(
    x: jax.Array, kernel: jax.Array, bias: jax.Array | None = None, *, windows: Windows, groups: int
) -> jax.Array:
    """The native convolution."""
    spatial = "DHW"[-len(windows.size) :]
    y = lax.conv_general_dilated(
        x,
        kernel,
        window_strides=windows.strides,
        padding=windows.padding,
        rhs_dilation=windows.dilation,
        dimension_numbers=(f"N{spatial}C", f"{spatial}IO", f"N{spatial}C"),
        feature_group_count=groups,
    )
    return plus(y, bias)


def check_channels(x: jax.Array, kernel: jax.Array, groups: int) -> int:
    """Check dtypes, axes and channels of an input and its kernel; `groups` as an int."""
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"x must have a floating dtype, got {x.dtype}; pass x.astype(jnp.float32)")
    if jnp.issubdtype(kernel.dtype, jnp.complexfloating):
        raise TypeError(f"kernel must be real, got {kernel.dtype}; convolve kernel.real and kernel.imag in turn")
    spatial = spatial_shape(x)
    if kernel.ndim != x.ndim:
        raise ValueError(
            f"kernel must be (*window, channels_in // groups, channels_out) with {len(spatial)} window axes for x of "
            f"shape {x.shape}; got shape {kernel.shape}"
        )
    per_group, channels_out = kernel.shape[-2:]
    channels_in = x.shape[-1]
    groups = integer("groups", groups, 1)
    if 0 in kernel.shape:
        raise ValueError(f"kernel of shape {kernel.shape} has no elements; every size must be at least 1")
    if channels_in % groups or channels_out % groups:
        raise ValueError(
            f"groups must divide both channels_in = {channels_in} (x of shape {x.shape}) and "
            f"channels_out = {channels_out} (kernel of shape {kernel.shape}); got {groups}"
        )
    if per_group * groups != channels_in:
        raise ValueError(
            f"kernel of shape {kernel.shape} takes {per_group} channels in each of {groups} groups, "
            f"x of shape {x.shape} has {channels_in} channels; make kernel.shape[-2] {channels_in // groups}"
        )
    return groups
