"""Normalisation over the batch. Statistics are float32 whatever the input's type."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from dlcore.checks import expect_floating, expect_params
from dlcore.core import layer
from dlcore.layers._affine import affine, expect_epsilon, named
from dlcore.ops import moments, standardise


@layer
def batch_norm(
    *, momentum: float = 0.99, epsilon: float = 1e-5, use_scale: bool = True, use_offset: bool = True
) -> Any:
    """Batch normalisation, `(x - mean) / sqrt(var + epsilon) * scale + offset`, channel by channel.

    In training the statistics are the batch's, over all axes but the last, and the running ones move towards them:
    `running = momentum * running + (1 - momentum) * batch`, for mean and (biased) variance alike. In evaluation they
    are the running ones.

    It was published before the activation (`dense`, `batch_norm`, `relu`); after it works as well.

    Args:
      momentum: the share of the old running statistics that is kept, in [0, 1): .99 as in Flax and Keras. (PyTorch
        gives the complement, .1, and keeps the unbiased variance.)
      epsilon: added to the variance inside the root.
      use_scale: whether to learn `scale` (channels,), from ones.
      use_offset: whether to learn `offset` (channels,), from zeros.

    Returns:
      A layer on (B, ..., channels), with state `mean` and `var` (channels,). It takes a second input, `mask` (B, ...),
      boolean, of as many of the first axes of x as one likes: what it leaves out, such as the padding of sequences, is
      left out of the batch's statistics; it is normalised as all else is. Where a (traced) mask leaves fewer than two
      values per channel, the running statistics are used, and stay as they are.

    Raises:
      TypeError: for an input that is not floating, and a mask that is not boolean.
      ValueError: in training on one value per channel, whose variance is zero whatever it is.

    Source: Ioffe and Szegedy, 2015.

    Example:
      >>> params, state = batch_norm().init(jax.random.key(0), jnp.zeros((4, 3)))
      >>> y, state = batch_norm().apply(params, state, jnp.arange(12.0).reshape(4, 3), train=True)
      >>> bool(jnp.allclose(y.mean(0), 0, atol=1e-6)), state["mean"].tolist()
      (True, [0.045, 0.055, 0.065])
    """
    if not isinstance(momentum, Tracer) and not 0 <= momentum < 1:
        raise ValueError(f"momentum: expected a number in [0, 1), the share that is kept, found {momentum}")
    expect_epsilon(epsilon)

    def init(key: Any, x: Any, mask: Any = None) -> tuple[dict, dict]:
        expect_floating(x, "batch_norm")
        dtype = np.promote_types(x.dtype, np.float32)
        state = {"mean": jnp.zeros(x.shape[-1:], dtype), "var": jnp.ones(x.shape[-1:], dtype)}
        return affine(x.shape[-1:], dtype, use_scale, use_offset), state

    def apply(
        params: Any, state: Any, x: Any, mask: Any = None, *, key: Any = None, train: bool = False
    ) -> tuple[Any, Any]:
        x = expect_floating(x, "batch_norm")
        expect_params(params, **named(x.shape[-1:], x.shape[-1:], use_scale, use_offset))
        expect_params(state, "state", mean=x.shape[-1:], var=x.shape[-1:])
        mask = None if mask is None else _expect_mask(mask, x)
        mean, var = state["mean"], state["var"]
        if train:
            _expect_two_values(x, mask)
            mean, var = moments(x, tuple(range(x.ndim - 1)), mask=mask)
            keep = lambda old, new: momentum * old + (1 - momentum) * new.astype(old.dtype)
            after = {"mean": keep(state["mean"], mean), "var": keep(state["var"], var)}
            if mask is not None:
                enough = jnp.broadcast_to(mask, (*x.shape[:-1], 1)).sum() > 1
                mean = jnp.where(enough, mean, state["mean"].astype(mean.dtype))
                var = jnp.where(enough, var, state["var"].astype(var.dtype))
                after = {name: jnp.where(enough, new, state[name]) for name, new in after.items()}
            state = after
        return standardise(x, mean, var, epsilon=epsilon, **params), state

    return init, apply


def _expect_mask(mask: Any, x: Any) -> jax.Array:
    """Returns the mask with as many axes as x."""
    mask = jnp.asarray(mask)
    if mask.dtype != bool:
        raise TypeError(f"mask: expected booleans, true for what counts, found {mask.dtype}: mask > 0")
    if mask.ndim >= x.ndim or mask.shape != x.shape[: mask.ndim]:
        raise ValueError(f"mask: expected the first axes of x {x.shape}, channels excluded, found {mask.shape}")
    return mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim))


def _expect_two_values(x: jax.Array, mask: jax.Array | None) -> None:
    values, what = math.prod(x.shape[:-1]), f"x {x.shape}"
    if mask is not None and not isinstance(mask, Tracer):
        values, what = int(np.broadcast_to(np.asarray(mask), (*x.shape[:-1], 1)).sum()), f"{what} with a mask"
    if values < 2:
        raise ValueError(
            f"batch norm in training needs two or more values per channel, found {what}: the output would "
            "be zero whatever the input. Use a larger batch, layer_norm, or train=False"
        )
