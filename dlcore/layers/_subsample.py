"""Trainable subsampling."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore import ops
from dlcore.checks import expect_floating, expect_params
from dlcore.core import layer
from dlcore.initializers import Initializer, ones, zeros


@layer
def subsample(
    window: int | Sequence[int],
    *,
    strides: int | Sequence[int] | None = None,
    padding: Any = "VALID",
    scale_init: Initializer = ones,
    bias_init: Initializer = zeros,
) -> Any:
    """Trainable subsampling, `scale[c] * mean(window) + bias[c]`: the pooling of LeNet-5.

    LeCun et al. write the sum of the window for its mean, so that their coefficient is `scale / prod(window)`, and put
    a squashing function behind it: add `tanh()` for theirs.

    Args:
      window: size of the window, in pixels, one number or one a spatial axis.
      strides: step between windows; the window's size by default, so that windows do not overlap.
      padding: as in `avg_pool`; padded places do not count.
      scale_init: initializer of `scale` (channels,): ones, so that it begins as `avg_pool`.
      bias_init: initializer of `bias` (channels,).

    Returns:
      A layer from (B, *spatial, C) to (B, *smaller, C).

    Raises:
      TypeError: for an input that is not floating.
      ValueError: for a wrong rank or number of channels, and for a window that is larger than the padded input.

    Source: LeCun, Bottou, Bengio and Haffner, 1998.

    Example:
      >>> params, _ = subsample(2).init(jax.random.key(0), jnp.zeros((1, 28, 28, 6)))
      >>> sum(leaf.size for leaf in jax.tree.leaves(params))
      12
    """

    def init(key: Any, x: Any) -> tuple[dict, dict]:
        expect_floating(x, "subsample")
        dtype = np.promote_types(x.dtype, np.float32)
        channels = x.shape[-1:]
        key_scale, key_bias = jax.random.split(key)
        return {"scale": scale_init(key_scale, channels, dtype), "bias": bias_init(key_bias, channels, dtype)}, {}

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        x = expect_floating(x, "subsample")
        expect_params(params, scale=x.shape[-1:], bias=x.shape[-1:])
        mean = ops.avg_pool(x, window, strides=strides, padding=padding)
        return mean * jnp.asarray(params["scale"], x.dtype) + jnp.asarray(params["bias"], x.dtype), state

    return init, apply
