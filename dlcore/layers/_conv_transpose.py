"""Transposed convolution in one to three dimensions."""

from collections.abc import Sequence
from typing import Any

from dlcore import ops
from dlcore.checks import expect_positive
from dlcore.core import layer
from dlcore.initializers import Initializer, lecun_normal, zeros
from dlcore.layers._conv import windowed


@layer
def conv_transpose(
    features: int,
    window: int | Sequence[int],
    *,
    strides: int | Sequence[int] = 1,
    padding: Any = "SAME",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    use_bias: bool = True,
    kernel_init: Initializer = lecun_normal(),
    bias_init: Initializer = zeros,
) -> Any:
    """Transposed convolution, which enlarges by `strides`: every input spreads a kernel, and what overlaps adds up.

    `y[strides * p + dilation * q - padding, f] += kernel[q, c, f] * x[p, c]`, plus `bias[f]`: the gradient of a
    convolution, as in PyTorch, and not flipped, as in Flax; see `dlcore.ops.conv_transpose`. A window that is a
    multiple of the strides spreads evenly; others leave a checkerboard.

    Args:
      features: number of output channels.
      window: size of the kernel, one number for all spatial axes or one an axis.
      strides: step between the outputs of neighbouring inputs, in pixels.
      padding: what is cut off: `"SAME"` leaves `strides` times the input, `"VALID"` cuts nothing; `"CAUSAL"` (one
        axis), a number of pixels for both sides, or a (low, high) an axis. PyTorch's `padding=p, output_padding=q` is
        `(p, p - q)`.
      dilation: step between the taps of the kernel, in output pixels.
      groups: number of groups that the channels are split into.
      use_bias: whether to add a bias.
      kernel_init: initializer of `kernel` (*window, inputs / groups, features). It counts the whole window as inputs of
        an output, as Flax and Keras do; with strides s along an axis only 1 / s of it is.
      bias_init: initializer of `bias` (features,).

    Returns:
      A layer from (B, *spatial, inputs) to (B, *larger, features).

    Raises:
      TypeError: for an input that is not floating.
      ValueError: for a wrong rank or number of channels, and for padding that cuts off everything.

    Source: Zeiler, Krishnan, Taylor and Fergus, 2010; Odena, Dumoulin and Olah, 2016 (checkerboards).

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> params, state = conv_transpose(3, 4, strides=2).init(jax.random.key(0), jnp.zeros((2, 7, 7, 8)))
      >>> conv_transpose(3, 4, strides=2).apply(params, state, jnp.zeros((2, 7, 7, 8)))[0].shape
      (2, 14, 14, 3)
    """
    expect_positive(features=features, groups=groups)
    if features % groups:
        raise ValueError(f"features, groups: expected features a multiple of groups, found {features} and {groups}")
    how = {"strides": strides, "padding": padding, "dilation": dilation}
    sizes = lambda inputs: (features, groups)
    return windowed("conv_transpose", ops.conv_transpose, sizes, window, how, use_bias, kernel_init, bias_init)
