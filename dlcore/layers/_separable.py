"""Depthwise and separable convolution."""

from collections.abc import Sequence
from typing import Any

from dlcore import ops
from dlcore.checks import expect_positive
from dlcore.core import layer
from dlcore.initializers import Initializer, lecun_normal, zeros
from dlcore.layers._combine import serial
from dlcore.layers._conv import conv, windowed


@layer
def depthwise_conv(
    window: int | Sequence[int],
    *,
    multiplier: int = 1,
    strides: int | Sequence[int] = 1,
    padding: Any = "SAME",
    dilation: int | Sequence[int] = 1,
    use_bias: bool = True,
    kernel_init: Initializer = lecun_normal(),
    bias_init: Initializer = zeros,
) -> Any:
    """Convolves every channel by itself: `conv` with as many groups as there are channels.

    Output channel `c * multiplier + j` comes from input channel `c`.

    Args:
      window: size of the kernel, one number for all spatial axes or one an axis.
      multiplier: number of output channels for each input channel.
      strides: step between windows, in pixels.
      padding: as in `conv`.
      dilation: step between the taps of the kernel, in pixels.
      use_bias: whether to add a bias.
      kernel_init: initializer of `kernel` (*window, 1, inputs * multiplier).
      bias_init: initializer of `bias` (inputs * multiplier,).

    Returns:
      A layer from (B, *spatial, inputs) to (B, *spatial, inputs * multiplier).

    Raises:
      TypeError: for an input that is not floating.
      ValueError: for a wrong rank or number of channels, and for a window that is larger than the padded input.

    Source: Sifre and Mallat, 2014.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> params, _ = depthwise_conv(3).init(jax.random.key(0), jnp.zeros((2, 8, 8, 16)))
      >>> params["kernel"].shape
      (3, 3, 1, 16)
    """
    expect_positive(multiplier=multiplier)
    how = {"strides": strides, "padding": padding, "dilation": dilation}
    sizes = lambda inputs: (inputs * multiplier, inputs)
    return windowed("depthwise_conv", ops.conv, sizes, window, how, use_bias, kernel_init, bias_init)


@layer
def separable_conv(
    features: int,
    window: int | Sequence[int],
    *,
    multiplier: int = 1,
    strides: int | Sequence[int] = 1,
    padding: Any = "SAME",
    dilation: int | Sequence[int] = 1,
    use_bias: bool = True,
    kernel_init: Initializer = lecun_normal(),
    bias_init: Initializer = zeros,
) -> Any:
    """A `depthwise_conv` over space and a pointwise `conv` over channels, without an activation between, as in Keras.

    It takes about `1 / features + 1 / prod(window)` of the parameters and the arithmetic of a `conv`.

    Args:
      features: number of output channels.
      window: size of the depthwise kernel, one number for all spatial axes or one an axis.
      multiplier: number of channels between the two for each input channel.
      strides: step between windows, in pixels.
      padding: as in `conv`.
      dilation: step between the taps of the depthwise kernel, in pixels.
      use_bias: whether to add a bias, once, at the end.
      kernel_init: initializer of both kernels.
      bias_init: initializer of `bias` (features,).

    Returns:
      A layer from (B, *spatial, inputs) to (B, *spatial, features), with params `depthwise` and `pointwise`.

    Raises:
      TypeError: for an input that is not floating.
      ValueError: for a wrong rank or number of channels, and for a window that is larger than the padded input.

    Source: Chollet, "Xception", 2017.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> params, _ = separable_conv(32, 3).init(jax.random.key(0), jnp.zeros((2, 8, 8, 16)))
      >>> sum(leaf.size for leaf in jax.tree.leaves(params))
      688
    """
    how = {"strides": strides, "padding": padding, "dilation": dilation, "multiplier": multiplier}
    return serial(
        depthwise=depthwise_conv(window, use_bias=False, kernel_init=kernel_init, **how),
        pointwise=conv(features, 1, use_bias=use_bias, kernel_init=kernel_init, bias_init=bias_init),
    )
