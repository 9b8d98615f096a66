"""Initializers that keep the variance of what goes through a layer."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from dlcore.initializers._draw import Initializer, draw_symmetric, draw_truncated, scaled
from dlcore.recipe import recipe

_TRUNCATED_STD = 0.87962566103423978  # standard deviation of a unit normal cut at two deviations


@recipe
def variance_scaling(scale: float, mode: str = "fan_in", distribution: str = "normal") -> Initializer:
    """Variance `scale / fan`, of which all the others here are cases.

    The fan-in of a kernel is the number of inputs of one output: for a convolution, channels times the receptive field.

    Args:
      scale: 1 keeps the variance of linear units, 2 that of ReLU units, 1/2 of whose variance is lost.
      mode: "fan_in" (forward), "fan_out" (backward) or "fan_avg" (between the two).
      distribution: "normal" (cut at two deviations, and the variance corrected for it) or "uniform".

    Raises:
      ValueError: for another mode or distribution, a scale that is not positive; at the draw, for a shape of one axis.

    Source: He, Zhang, Ren and Sun, 2015, for the argument.

    Example:
      >>> variance_scaling(2.0, "fan_out")(jax.random.key(0), (100, 800)).std().round(3)
      Array(0.05, dtype=float32)
    """
    if mode not in ("fan_in", "fan_out", "fan_avg"):
        raise ValueError(f"mode: expected 'fan_in', 'fan_out' or 'fan_avg', found {mode!r}")
    if distribution not in ("normal", "uniform"):
        raise ValueError(f"distribution: expected 'normal' or 'uniform', found {distribution!r}")
    if not isinstance(scale, Tracer) and not scale > 0:
        raise ValueError(f"scale: expected a positive number, found {scale}")

    def init(key: Any, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
        if len(shape) < 2:
            raise ValueError(f"fan-in needs a kernel of two or more axes, found shape {shape}: use `normal` or `zeros`")
        window = math.prod(shape[:-2])  # the receptive field of a convolution kernel
        fan_in, fan_out = window * shape[-2], window * shape[-1]
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
        as_array = jnp.asarray if isinstance(scale, Tracer) else np.asarray
        variance = as_array(scale / max(1.0, fan), dtype)
        if distribution == "normal":
            # rounded step by step in `dtype`, as JAX does
            return scaled(draw_truncated, key, shape, dtype, variance**0.5 / np.asarray(_TRUNCATED_STD, dtype))
        return scaled(draw_symmetric, key, shape, dtype, (np.asarray(3, dtype) * variance) ** 0.5)

    return init


@recipe
def lecun_normal() -> Initializer:
    """Variance `1 / fan_in`: keeps the variance of linear and SELU units. Truncated, with the variance corrected.

    `sqrt(1 / fan_in)` is LeCun's, though it is often called Xavier's.

    Source: LeCun, Bottou, Orr and Mueller, 1998.

    Example:
      >>> lecun_normal()(jax.random.key(0), (400, 100)).std().round(3)
      Array(0.05, dtype=float32)
    """
    return variance_scaling(1.0, "fan_in", "normal")


@recipe
def lecun_uniform() -> Initializer:
    """Variance `1 / fan_in`, uniform on `+-sqrt(3 / fan_in)`.

    Source: LeCun, Bottou, Orr and Mueller, 1998.

    Example:
      >>> lecun_uniform()(jax.random.key(0), (400, 100)).std().round(3)
      Array(0.05, dtype=float32)
    """
    return variance_scaling(1.0, "fan_in", "uniform")


@recipe
def glorot_normal() -> Initializer:
    """Variance `2 / (fan_in + fan_out)`, also Xavier: for tanh, forward and backward. Truncated, corrected.

    Source: Glorot and Bengio, 2010.

    Example:
      >>> glorot_normal()(jax.random.key(0), (400, 400)).std().round(3)
      Array(0.05, dtype=float32)
    """
    return variance_scaling(1.0, "fan_avg", "normal")


@recipe
def glorot_uniform() -> Initializer:
    """Variance `2 / (fan_in + fan_out)`, uniform.

    Source: Glorot and Bengio, 2010.

    Example:
      >>> glorot_uniform()(jax.random.key(0), (400, 400)).std().round(3)
      Array(0.05, dtype=float32)
    """
    return variance_scaling(1.0, "fan_avg", "uniform")


@recipe
def he_normal() -> Initializer:
    """Variance `2 / fan_in`: keeps the variance of ReLU units. Truncated, with the variance corrected.

    Source: He, Zhang, Ren and Sun, 2015.

    Example:
      >>> he_normal()(jax.random.key(0), (800, 100)).std().round(3)
      Array(0.05, dtype=float32)
    """
    return variance_scaling(2.0, "fan_in", "normal")


@recipe
def he_uniform() -> Initializer:
    """Variance `2 / fan_in`, uniform on `+-sqrt(6 / fan_in)`.

    Source: He, Zhang, Ren and Sun, 2015.

    Example:
      >>> he_uniform()(jax.random.key(0), (800, 100)).std().round(3)
      Array(0.05, dtype=float32)
    """
    return variance_scaling(2.0, "fan_in", "uniform")
