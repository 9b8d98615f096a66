"""Where the windows of a transposed convolution lie."""

from collections.abc import Sequence
from typing import NamedTuple

from dlcore.ops._window import IntOrInts, Padding, integer, pads_of, per_axis

__all__ = ["Spread", "conv_transpose_output_size", "plan_spread"]


class Spread(NamedTuple):
    """One entry per spatial axis; hashable."""

    size: tuple[int, ...]
    strides: tuple[int, ...]
    crops: tuple[tuple[int, int], ...]  # positions cut off at both ends; negative ones are added
    dilation: tuple[int, ...]
    output: tuple[int, ...]


def conv_transpose_output_size(
    size: int, window: int, stride: int = 1, padding: int = 0, dilation: int = 1, output_padding: int = 0
) -> int:
    """How many outputs a transposed convolution has along one axis.

    `(size - 1) * stride - 2 * padding + dilation * (window - 1) + output_padding + 1`

    Args:
        size: length of the input axis, in positions.
        window: length of the kernel, in positions.
        stride: step between the outputs of neighbouring inputs.
        padding: positions cut off at *each* end.
        dilation: step between neighbouring elements of the kernel.
        output_padding: positions added at the end. Of the lengths that `conv_output_size` maps to `size`, from 0 to
            `stride - 1` longer, it chooses one.

    Returns:
        The length of the output axis, at least 1.

    Raises:
        ValueError: a length is out of range, or padding cuts off all outputs.

    Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016).

    Example:
        >>> from dlcore.ops import conv_transpose_output_size
        >>> conv_transpose_output_size(18, 5, stride=2), conv_transpose_output_size(18, 5, stride=2, output_padding=1)
        (39, 40)
    """
    pad, more = integer("padding", padding, 0), integer("output_padding", output_padding, 0)
    return plan_spread((integer("size", size, 1),), (window,), stride, ((pad, pad - more),), dilation).output[0]


def plan_spread(
    spatial: tuple[int, ...], size: Sequence[int], strides: IntOrInts, padding: Padding, dilation: IntOrInts
) -> Spread:
    """Check the arguments against the spatial shape of `x`, work out what is cut off and what comes out."""
    axes = len(spatial)
    size, strides = per_axis("kernel", tuple(size), axes), per_axis("strides", strides, axes)
    dilation = per_axis("dilation", dilation, axes)
    reach = tuple(d * (k - 1) + 1 for k, d in zip(size, dilation, strict=True))
    crops = _crops(padding, spatial, reach, strides)
    output = []
    for axis, (n, extent, stride, (low, high)) in enumerate(zip(spatial, reach, strides, crops, strict=True)):
        full = (n - 1) * stride + extent
        if n < 1 or full - low - high < 1:
            raise ValueError(
                f"padding ({low}, {high}) cuts off all {full if n else 0} outputs on spatial axis {axis} of x with {n} "
                "positions; use less padding (padding='SAME') or a larger input"
            )
        output.append(full - low - high)
    return Spread(size, strides, crops, dilation, tuple(output))


def _crops(padding: Padding, spatial: tuple[int, ...], reach: tuple[int, ...], strides: tuple[int, ...]):
    form = padding.upper() if isinstance(padding, str) else ""
    if form == "SAME":  # that of a convolution over n * stride positions; windows shorter than the stride leave gaps
        totals = [extent - stride for extent, stride in zip(reach, strides, strict=True)]
        return tuple((max(total, 0) // 2, total - max(total, 0) // 2) for total in totals)
    if form == "CAUSAL" and len(spatial) == 1:
        return ((0, reach[0] - strides[0]),)
    return pads_of(padding, spatial, reach, strides, least=None)
