"""Noise as a regulariser."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from dlcore.checks import expect_floating
from dlcore.core import layer


@layer
def gaussian_noise(stddev: float = 0.1) -> Any:
    """Adds Gaussian noise, `x + stddev * normal`, in training; in evaluation it is the identity.

    On the inputs of a model, for small noise and a squared error, it acts as a penalty on the gradient of the outputs
    with respect to the inputs. It draws if and only if it gets a key.

    Args:
      stddev: standard deviation, in the units of x, from 0 up; a traced value will do.

    Returns:
      A layer on arrays of any shape.

    Raises:
      TypeError: for an input that is not floating.
      ValueError: for a negative stddev, and in training without a key.

    Source: Bishop, 1995.

    Example:
      >>> y, state = gaussian_noise(0.1).apply({}, {}, jnp.zeros(10000), key=jax.random.key(0), train=True)
      >>> round(float(y.std()), 2)
      0.1
      >>> gaussian_noise(0.1).apply({}, {}, jnp.zeros(2))[0].tolist()
      [0.0, 0.0]
    """
    if not isinstance(stddev, Tracer) and not 0 <= float(stddev) < math.inf:
        raise ValueError(f"stddev: expected a standard deviation from 0 up, found {stddev}")

    def init(key: Any, x: Any) -> tuple[dict, dict]:
        return {}, {}

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        x = expect_floating(x, "gaussian_noise", axes=0)
        if key is None:
            if train:
                raise ValueError("gaussian_noise needs a key in training: apply(params, state, x, key=key, train=True)")
            return x, state
        wide = np.promote_types(x.dtype, np.float32)
        return x + (jnp.asarray(stddev, wide) * jax.random.normal(key, x.shape, wide)).astype(x.dtype), state

    return init, apply
