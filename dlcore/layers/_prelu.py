"""The rectifier with a slope that is learnt."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore import activations
from dlcore.checks import expect_floating, expect_params
from dlcore.core import layer


@layer
def prelu(initial: Any = 0.25) -> Any:
    """Parametric ReLU with a slope per channel, `x` above zero and `slope * x` below.

    Keep weight decay away from the slopes: it would push them to zero, and the unit to a plain ReLU.

    Args:
      initial: what the slopes start from: .25 as published, and as in PyTorch (which has one slope for all channels by
        default); Flax has .01.

    Returns:
      A layer on (..., channels), with the parameter `slope` (channels,).

    Raises:
      TypeError: for an input that is not floating.
      ValueError: for a number of channels that does not fit the params.

    Source: He, Zhang, Ren and Sun, 2015.

    Example:
      >>> params, state = prelu().init(jax.random.key(0), jnp.zeros((2, 3)))
      >>> params["slope"].tolist(), prelu().apply(params, state, jnp.array([[-1.0, 0.0, 2.0]]))[0].tolist()
      ([0.25, 0.25, 0.25], [[-0.25, 0.0, 2.0]])
    """

    def init(key: Any, x: Any) -> tuple[dict, dict]:
        expect_floating(x, "prelu")
        return {"slope": jnp.full(x.shape[-1:], initial, np.promote_types(x.dtype, np.float32))}, {}

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[jax.Array, Any]:
        x = expect_floating(x, "prelu")
        expect_params(params, slope=x.shape[-1:])
        return activations.prelu(x, params["slope"]), state

    return init, apply
