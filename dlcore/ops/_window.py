"""Sliding windows over the spatial axes: what convolution and pooling share."""

import math
import operator
from collections.abc import Sequence
from typing import NamedTuple, SupportsIndex

import jax
from jax import lax

_PADDING_FORMS = "'SAME', 'VALID', 'CAUSAL', an int, one int per spatial axis or one (low, high) pair per spatial axis"

IntOrInts = SupportsIndex | Sequence[SupportsIndex]
Padding = str | SupportsIndex | Sequence[SupportsIndex] | Sequence[tuple[SupportsIndex, SupportsIndex]]


class Windows(NamedTuple):
    """Where the windows lie: one entry per spatial axis; hashable, so that it can be a static argument."""

    size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    output: tuple[int, ...]

    @property
    def is_pointwise(self) -> bool:
        """Whether each window is exactly one input position, in order."""
        return set(self.size) == set(self.strides) == {1} and not self.is_padded

    @property
    def is_padded(self) -> bool:
        return any(low or high for low, high in self.padding)


def plan_windows(
    spatial: tuple[int, ...], size: IntOrInts, strides: IntOrInts, padding: Padding, dilation: IntOrInts, what: str
) -> Windows:
    """Check the arguments against the spatial shape of `x`, work out pads and outputs; `what` names the window."""
    axes = len(spatial)
    size, strides = per_axis(what, size, axes), per_axis("strides", strides, axes)
    dilation = per_axis("dilation", dilation, axes)
    reach = tuple(d * (k - 1) + 1 for k, d in zip(size, dilation, strict=True))  # the extent of a dilated window
    pads = pads_of(padding, spatial, reach, strides)
    output = []
    for axis, (n, extent, stride, (low, high)) in enumerate(zip(spatial, reach, strides, pads, strict=True)):
        if extent > n + low + high:
            raise ValueError(
                f"{what} is larger than x on spatial axis {axis}: it reaches over {extent} positions "
                f"(window {size[axis]}, dilation {dilation[axis]}), x has {n} + {low + high} of padding; "
                "use a smaller window, more padding (padding='SAME') or a larger input"
            )
        output.append((n + low + high - extent) // stride + 1)
    return Windows(size, strides, pads, dilation, tuple(output))


def window_slices(x: jax.Array, axis: int, size: int, stride: int, dilation: int = 1) -> list[jax.Array]:
    """The `size` shifted views of `x` along `axis`: element `o` of view `i` is `x[o * stride + i * dilation]`."""
    count = (x.shape[axis] - dilation * (size - 1) - 1) // stride + 1
    starts = range(0, size * dilation, dilation)
    return [lax.slice_in_dim(x, start, start + (count - 1) * stride + 1, stride, axis) for start in starts]


def conv_output_size(size: int, window: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """How many windows fit along one axis.

    `floor((size + 2 * padding - dilation * (window - 1) - 1) / stride) + 1`

    Args:
        size: length of the input axis, in positions.
        window: length of the window (kernel), in positions.
        stride: step from one window to the next.
        padding: positions added at *each* end.
        dilation: step between neighbouring elements of a window.

    Returns:
        The length of the output axis, at least 1.

    Raises:
        ValueError: a length is out of range, or the dilated window is larger than the padded input.

    Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016).

    Example:
        >>> from dlcore.ops import conv_output_size
        >>> conv_output_size(28, 5), conv_output_size(28, 3, stride=2, padding=1)
        (24, 14)
    """
    return plan_windows((integer("size", size, 1),), window, stride, padding, dilation, "window").output[0]


def per_axis(name: str, value: IntOrInts, axes: int) -> tuple[int, ...]:
    """One positive int per spatial axis."""
    values = tuple(value) if isinstance(value, Sequence) else (value,) * axes
    if len(values) != axes:
        raise ValueError(f"{name} needs an int or {axes} ints, one per spatial axis of x; got {value!r}")
    return tuple(integer(name, entry, 1) for entry in values)


def spatial_shape(x: jax.Array) -> tuple[int, ...]:
    """The spatial part of a channels-last batch, checked to have 1 to 3 axes."""
    if not 3 <= x.ndim <= 5:
        raise ValueError(
            "x must be a channels-last batch with 1 to 3 spatial axes, (batch, *spatial, channels); "
            f"got shape {x.shape}; add a missing axis with x[None] (batch) or x[..., None] (channels)"
        )
    return x.shape[1:-1]


def pads_of(
    padding: Padding, spatial: tuple[int, ...], reach: tuple[int, ...], strides: tuple[int, ...], least: int | None = 0
):
    """The (low, high) pads of each spatial axis; `least` bounds those given as pairs."""
    if isinstance(padding, str):
        match padding.upper():
            case "VALID":
                return ((0, 0),) * len(spatial)
            case "SAME":  # as in TensorFlow: ceil(n / stride) outputs, the odd pad at the end
                sizes = zip(spatial, reach, strides, strict=True)
                totals = [max((math.ceil(n / s) - 1) * s + extent - n, 0) for n, extent, s in sizes]
                return tuple((total // 2, total - total // 2) for total in totals)
            case "CAUSAL" if len(spatial) == 1:
                return ((reach[0] - 1, 0),)
            case "CAUSAL":
                raise ValueError(f"padding='CAUSAL' needs one spatial axis, x has {len(spatial)}; use 'SAME'")
        raise ValueError(f"padding must be {_PADDING_FORMS}; got {padding!r}")
    entries = tuple(padding) if isinstance(padding, Sequence) else (padding,) * len(spatial)
    if len(entries) != len(spatial):
        raise ValueError(f"padding needs {len(spatial)} entries, one per spatial axis of x; got {padding!r}")
    pairs = [tuple(entry) if isinstance(entry, Sequence) else (entry, entry) for entry in entries]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"padding must be {_PADDING_FORMS}; got {padding!r}")
    if least == 0 or not all(isinstance(entry, Sequence) for entry in entries):
        return tuple((integer("padding", low, 0), integer("padding", high, 0)) for low, high in pairs)
    return tuple((integer("padding", low, least), integer("padding", high, least)) for low, high in pairs)


def integer(name: str, value: object, least: int | None) -> int:
    """`value` as an int that is at least `least`, if that is not None."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name} must be an int (or ints), got {value!r}; give a whole number") from None
    if least is not None and number < least:
        raise ValueError(f"{name} must be at least {least}, got {number}")
    return number
