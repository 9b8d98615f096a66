"""Convolution in one to three dimensions."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from dlcore import ops
from dlcore.checks import expect_floating, expect_params, expect_positive
from dlcore.core import layer
from dlcore.initializers import Initializer, lecun_normal, zeros


@layer
def conv(
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
    """Convolution (cross-correlation, as everywhere in the field) over one, two or three spatial axes.

    `y[p, f] = bias[f] + sum_{q, c} kernel[q, c, f] * x[strides * p + dilation * q - padding, c]`; the input's rank
    gives the number of spatial axes.

    Args:
      features: number of output channels.
      window: size of the kernel, one number for all spatial axes or one an axis.
      strides: step between windows, in pixels.
      padding: `"SAME"`, `"VALID"`, `"CAUSAL"` (one axis), a number of pixels for both sides, or a (low, high) an axis.
      dilation: step between the taps of the kernel, in pixels.
      groups: number of groups that the channels are split into; `groups=inputs` is depthwise.
      use_bias: whether to add a bias.
      kernel_init: initializer of `kernel` (*window, inputs / groups, features).
      bias_init: initializer of `bias` (features,).

    Returns:
      A layer from (B, *spatial, inputs) to (B, *spatial, features).

    Raises:
      TypeError: for an input that is not floating.
      ValueError: for a wrong rank or number of channels, and for a window that is larger than the padded input.

    Source: LeCun et al., 1989.

    Example:
      >>> import jax.numpy as jnp
      >>> params, state = conv(6, 5).init(jax.random.key(0), jnp.zeros((2, 28, 28, 1)))
      >>> params["kernel"].shape
      (5, 5, 1, 6)
      >>> conv(6, 5, padding="VALID").apply(params, state, jnp.zeros((2, 28, 28, 1)))[0].shape
      (2, 24, 24, 6)
    """
    expect_positive(features=features, groups=groups)
    if features % groups:
        raise ValueError(f"features, groups: expected features a multiple of groups, found {features} and {groups}")
    how = {"strides": strides, "padding": padding, "dilation": dilation}
    return windowed("conv", ops.conv, lambda inputs: (features, groups), window, how, use_bias, kernel_init, bias_init)


def windowed(
    name: str,
    function: Callable[..., jax.Array],
    outputs: Callable[[int], tuple[int, int]],  # number of input channels -> (features, groups)
    window: int | Sequence[int],
    how: dict[str, Any],
    use_bias: bool,
    kernel_init: Initializer,
    bias_init: Initializer,
) -> Any:
    """What the layers of convolutions share: `kernel` (*window, inputs / groups, features) and `bias`."""

    def shapes(x: Any) -> dict[str, tuple[int, ...]]:
        spatial = len(x.shape) - 2
        sizes = (window,) * max(spatial, 0) if isinstance(window, int) else tuple(window)
        if spatial not in (1, 2, 3) or len(sizes) != spatial:
            axes = len(sizes) if not isinstance(window, int) else "1 to 3"
            raise ValueError(f"expected x (B, *spatial, channels) with {axes} spatial axes, found {tuple(x.shape)}")
        features, groups = outputs(x.shape[-1])
        if x.shape[-1] % groups:
            raise ValueError(f"x has {x.shape[-1]} channels, which {groups} groups do not divide")
        kernel = (*sizes, x.shape[-1] // groups, features)
        return {"kernel": kernel, "bias": (features,)} if use_bias else {"kernel": kernel}

    def init(key: Any, x: Any) -> tuple[dict, dict]:
        expect_floating(x, name)
        dtype = np.promote_types(x.dtype, np.float32)
        key_kernel, key_bias = jax.random.split(key)
        params = {"kernel": kernel_init(key_kernel, shapes(x)["kernel"], dtype)}
        return params | ({"bias": bias_init(key_bias, shapes(x)["bias"], dtype)} if use_bias else {}), {}

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        x = expect_floating(x, name)
        expect_params(params, **shapes(x))
        groups = outputs(x.shape[-1])[1]
        return function(x, params["kernel"], bias=params.get("bias"), groups=groups, **how), state

    return init, apply
