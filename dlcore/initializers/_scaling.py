"""Initializers that keep the variance from layer to layer. Fans count the receptive field of a convolution kernel.

The `*_normal` ones are JAX's: cut at two deviations, with the variance corrected for the cut. (PyTorch's are not cut.)
"""

import math
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from dlcore.errors import suggest
from dlcore.initializers._draw import Initializer, draw_symmetric, draw_truncated, scaled
from dlcore.recipe import recipe

_TRUNCATED_STD = 0.87962566103423978  # standard deviation of a unit normal cut at two deviations

Mode = Literal["fan_in", "fan_out", "fan_avg", "fan_geo_avg"]
Distribution = Literal["truncated_normal", "normal", "uniform"]


@recipe
def variance_scaling(
    scale: Any = 1.0, mode: Mode = "fan_in", distribution: Distribution = "truncated_normal"
) -> Initializer:
    """Variance `scale / n`, where `n` is the fan that `mode` names: the family of the named initializers.

    With a window of `k` values (`k = 1` for a matrix), `fan_in = k * inputs` and `fan_out = k * features`.

    Args:
      scale: the variance that a unit fan would get, positive: 1 for linear units, 2 for ReLU (half of whose variance is
        lost); a gain is its square root.
      mode: "fan_in" keeps the variance forward, "fan_out" backward; "fan_avg" is their mean and "fan_geo_avg" their
        geometric mean.
      distribution: "truncated_normal" (cut at two deviations, and corrected for it), "normal", or "uniform" on
        `+-sqrt(3 * scale / n)`.

    Returns:
      An initializer of kernels (*window, inputs, features); for fewer than two axes it raises a ValueError.

    Raises:
      ValueError: for a scale that is not positive, and for names that there are not.

    Source: He, Zhang, Ren and Sun, 2015; in this form Chollet et al., Keras, 2015.

    Example:
      >>> variance_scaling(2.0, "fan_out", "normal")(jax.random.key(0), (100, 800)).std().round(3)
      Array(0.05, dtype=float32)
    """
    if isinstance(scale, int | float) and not 0 < scale < math.inf:
        raise ValueError(f"scale: expected a positive number, the variance for a unit fan, found {scale}")
    for name, given, known in (("mode", mode, Mode), ("distribution", distribution, Distribution)):
        if given not in get_args(known):
            words = ", ".join(map(repr, get_args(known)))
            raise ValueError(f"{name}: expected one of {words}, found {given!r}{suggest(given, get_args(known))}")

    def init(key: Any, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
        if len(shape) < 2:
            raise ValueError(f"fan-in needs a kernel of two or more axes, found shape {shape}: use `normal` or `zeros`")
        # A traced scale is computed in the program; a known one here, rounded step by step in `dtype`, as JAX does.
        numeric = jnp if isinstance(scale, Tracer) else np
        variance = numeric.asarray(scale / max(1.0, _fan(shape, mode)), dtype)
        if distribution == "uniform":
            return scaled(draw_symmetric, key, shape, dtype, numeric.sqrt(np.asarray(3, dtype) * variance))
        if distribution == "normal":
            return scaled(jax.random.normal, key, shape, dtype, numeric.sqrt(variance))
        deviation = numeric.sqrt(variance) / np.asarray(_TRUNCATED_STD, dtype)
        return scaled(draw_truncated, key, shape, dtype, deviation)

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
    return variance_scaling(1.0, "fan_in", "truncated_normal")


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
    return variance_scaling(1.0, "fan_avg", "truncated_normal")


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
    return variance_scaling(2.0, "fan_in", "truncated_normal")


@recipe
def he_uniform() -> Initializer:
    """Variance `2 / fan_in`, uniform on `+-sqrt(6 / fan_in)`.

    Source: He, Zhang, Ren and Sun, 2015.

    Example:
      >>> he_uniform()(jax.random.key(0), (800, 100)).std().round(3)
      Array(0.05, dtype=float32)
    """
    return variance_scaling(2.0, "fan_in", "uniform")


xavier_normal, xavier_uniform = glorot_normal, glorot_uniform
kaiming_normal, kaiming_uniform = he_normal, he_uniform


def _fan(shape: tuple[int, ...], mode: str) -> float:
    window = math.prod(shape[:-2])  # the receptive field of a convolution kernel
    fan_in, fan_out = window * shape[-2], window * shape[-1]
    average, geometric = (fan_in + fan_out) / 2, math.sqrt(fan_in * fan_out)
    return {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": average, "fan_geo_avg": geometric}[mode]
