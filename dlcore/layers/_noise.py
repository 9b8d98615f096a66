"""Noise in training that leaves the mean as it is: whole channels, whole examples, or a little of everything."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from dlcore.checks import expect_floating
from dlcore.core import layer


@layer
def spatial_dropout(rate: float = 0.5) -> Any:
    """Dropout of whole channels: each of an example is 0 with probability `rate`, the rest scaled by `1 / (1 - rate)`.

    Neighbouring positions are so alike that dropping single ones takes little away.

    Args:
      rate: probability of dropping, in [0, 1); a traced value will do.

    Returns:
      A layer on (B, ..., channels). It draws if and only if it gets a key.

    Raises:
      ValueError: for a rate outside [0, 1), and in training without a key.

    Source: Tompson, Goroshin, Jain, LeCun and Bregler, 2015.

    Example:
      >>> y, _ = spatial_dropout(0.5).apply({}, {}, jnp.ones((1, 4, 8)), key=jax.random.key(0), train=True)
      >>> set(y.sum(1).ravel().tolist()) == {0.0, 8.0}
      True
    """
    return _dropping("spatial_dropout", rate, lambda shape: (shape[0], *[1] * (len(shape) - 2), shape[-1]), 2)


@layer
def drop_path(rate: float = 0.1) -> Any:
    """Stochastic depth: the whole of an example is 0 with probability `rate`, the rest scaled by `1 / (1 - rate)`.

    At the end of a residual branch it leaves the shortcut alone, and trains nets of many depths in one.

    Args:
      rate: probability of dropping, in [0, 1); a traced value will do. It commonly grows with the depth.

    Returns:
      A layer on (B, ...). It draws if and only if it gets a key.

    Raises:
      ValueError: for a rate outside [0, 1), and in training without a key.

    Source: Huang, Sun, Liu, Sedra and Weinberger, Deep Networks with Stochastic Depth, 2016.

    Example:
      >>> y, _ = drop_path(0.5).apply({}, {}, jnp.ones((8, 3)), key=jax.random.key(0), train=True)
      >>> set(y.sum(1).tolist()) == {0.0, 6.0}
      True
    """
    return _dropping("drop_path", rate, lambda shape: (shape[0], *[1] * (len(shape) - 1)), 1)


@layer
def gaussian_noise(stddev: float = 0.1) -> Any:
    """Adds Gaussian noise, `x + stddev * normal`.

    Args:
      stddev: standard deviation, 0 or more; a traced value will do.

    Returns:
      A layer on arrays of any shape. It draws if and only if it gets a key.

    Raises:
      ValueError: for a negative deviation, and in training without a key.

    Source: Bishop, Training with Noise is Equivalent to Tikhonov Regularization, 1995.

    Example:
      >>> gaussian_noise(0.1).apply({}, {}, jnp.ones(2))[0].tolist()  # evaluation
      [1.0, 1.0]
    """
    if not isinstance(stddev, Tracer) and not 0 <= float(stddev) < float("inf"):
        raise ValueError(f"stddev: expected a number of 0 or more, found {stddev}")

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        x = expect_floating(x, "gaussian_noise", axes=0)
        if _is_still("gaussian_noise", key, train):
            return x, state
        return x + jnp.asarray(stddev, x.dtype) * jax.random.normal(key, x.shape, x.dtype), state

    return lambda key, x: ({}, {}), apply


def _dropping(name: str, rate: Any, mask_shape: Any, axes: int) -> Any:
    if not isinstance(rate, Tracer) and not 0 <= float(rate) < 1:
        raise ValueError(f"rate: expected the probability of dropping, in [0, 1), found {rate}")

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        x = expect_floating(x, name, axes)
        if _is_still(name, key, train):
            return x, state
        share = jnp.float32(rate)
        kept = jax.random.uniform(key, mask_shape(x.shape)) >= share
        return jnp.where(kept, x * (1 / (1 - share)).astype(x.dtype), jnp.zeros((), x.dtype)), state

    return lambda key, x: ({}, {}), apply


def _is_still(name: str, key: Any, train: bool) -> bool:
    if key is None and train:
        raise ValueError(f"{name} needs a key in training: apply(params, state, x, key=key, train=True)")
    return key is None
