"""Normalisation over the batch and over features. Statistics are float32 whatever the input's type."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.checks import expect_floating, expect_params
from dlcore.core import layer


@layer
def batch_norm(
    *, momentum: float = 0.99, epsilon: float = 1e-5, use_scale: bool = True, use_offset: bool = True
) -> Any:
    """Batch normalisation, `(x - mean) / sqrt(var + epsilon) * scale + offset`, channel by channel.

    In training the statistics are the batch's, over all axes but the last, and the running ones move towards them:
    `running = momentum * running + (1 - momentum) * batch`, for mean and (biased) variance alike. In evaluation they
    are the running ones.

    Args:
      momentum: the share of the old running statistics that is kept, in [0, 1): .99 as in Flax and Keras. (PyTorch
        gives the complement, .1, and keeps the unbiased variance.)
      epsilon: added to the variance inside the root.
      use_scale: whether to learn `scale` (channels,), from ones.
      use_offset: whether to learn `offset` (channels,), from zeros.

    Returns:
      A layer on (B, ..., channels), with state `mean` and `var` (channels,).

    Raises:
      ValueError: in training on one value per channel, whose variance is zero whatever it is.

    Source: Ioffe and Szegedy, 2015.

    Example:
      >>> params, state = batch_norm().init(jax.random.key(0), jnp.zeros((4, 3)))
      >>> y, state = batch_norm().apply(params, state, jnp.arange(12.0).reshape(4, 3), train=True)
      >>> bool(jnp.allclose(y.mean(0), 0, atol=1e-6)), state["mean"].tolist()
      (True, [0.045, 0.055, 0.065])
    """
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum: expected a number in [0, 1), the share that is kept, found {momentum}")

    def init(key: Any, x: Any) -> tuple[dict, dict]:
        expect_floating(x, "batch_norm")
        dtype = np.promote_types(x.dtype, np.float32)
        zeros, ones = jnp.zeros(x.shape[-1:], dtype), jnp.ones(x.shape[-1:], dtype)
        return affine(x, use_scale, use_offset), {"mean": zeros, "var": ones}

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        x = expect_floating(x, "batch_norm")
        expect_params(params, **affine_shapes(x, use_scale, use_offset))
        expect_params(state, "state", mean=x.shape[-1:], var=x.shape[-1:])
        mean, var = state["mean"], state["var"]
        if train:
            axes = tuple(range(x.ndim - 1))
            if x.size <= x.shape[-1]:
                raise ValueError(
                    f"batch norm in training needs two or more values per channel, found x {x.shape}: the output would "
                    "be zero whatever the input. Use a larger batch, layer_norm, or train=False"
                )
            mean, var = moments(x, axes)
            keep = lambda old, new: momentum * old + (1 - momentum) * new.astype(old.dtype)
            state = {"mean": keep(state["mean"], mean), "var": keep(state["var"], var)}
        return normalise(x, mean, var, epsilon, params), state

    return init, apply


@layer
def layer_norm(*, epsilon: float = 1e-6, use_scale: bool = True, use_offset: bool = True) -> Any:
    """Layer normalisation over the last axis, `(x - mean) / sqrt(var + epsilon) * scale + offset`.

    Every example (and position) has statistics of its own, so the batch does not matter.

    Args:
      epsilon: added to the variance inside the root: 1e-6 as in Flax (PyTorch has 1e-5).
      use_scale: whether to learn `scale` (features,), from ones.
      use_offset: whether to learn `offset` (features,), from zeros.

    Returns:
      A layer on (..., features).

    Source: Ba, Kiros and Hinton, 2016.

    Example:
      >>> params, state = layer_norm().init(jax.random.key(0), jnp.zeros((2, 4)))
      >>> layer_norm().apply(params, state, jnp.array([[1.0, 2.0, 3.0, 4.0]]))[0].tolist()
      [[-1.34, -0.45, 0.45, 1.34]]
    """

    def init(key: Any, x: Any) -> tuple[dict, dict]:
        expect_floating(x, "layer_norm")
        return affine(x, use_scale, use_offset), {}

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        x = expect_floating(x, "layer_norm")
        expect_params(params, **affine_shapes(x, use_scale, use_offset))
        return normalise(x, *moments(x, (-1,), keepdims=True), epsilon, params), state

    return init, apply


def affine(x: Any, use_scale: bool, use_offset: bool) -> dict[str, jax.Array]:
    """Returns the parameters of a norm of x, as they start: a scale of one, an offset of zero."""
    dtype = np.promote_types(x.dtype, np.float32)
    scale = {"scale": jnp.ones(x.shape[-1:], dtype)} if use_scale else {}
    return scale | ({"offset": jnp.zeros(x.shape[-1:], dtype)} if use_offset else {})


def affine_shapes(x: Any, use_scale: bool, use_offset: bool) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of these parameters by name."""
    wanted = (("scale", use_scale), ("offset", use_offset))
    return {name: tuple(x.shape[-1:]) for name, is_used in wanted if is_used}


def moments(x: jax.Array, axes: tuple[int, ...], keepdims: bool = False) -> tuple[jax.Array, jax.Array]:
    """Returns mean and (biased) variance over some axes, in float32 or wider."""
    x = x.astype(np.promote_types(x.dtype, np.float32))
    # Two passes: E[x^2] - E[x]^2 cancels where the mean is large.
    return x.mean(axes, keepdims=keepdims), x.var(axes, keepdims=keepdims)


def normalise(x: jax.Array, mean: jax.Array, var: jax.Array, epsilon: float, params: Any) -> jax.Array:
    """Returns `(x - mean) / sqrt(var + epsilon) * scale + offset` in the type of x."""
    factor = jax.lax.rsqrt(var + epsilon)
    if "scale" in params:
        factor = factor * params["scale"].astype(factor.dtype)
    y = (x.astype(mean.dtype) - mean) * factor
    return (y + params["offset"].astype(y.dtype) if "offset" in params else y).astype(x.dtype)
