"""The exponentially weighted average."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer


def exponential_average(values: Any, decay: float = 0.9, *, debias: bool = True) -> jax.Array:
    """The exponentially weighted average, `v_t = decay * v_{t-1} + (1 - decay) * x_t` from `v_0 = 0`.

    It remembers about `1 / (1 - decay)` values. Starting from zero makes the first averages too small;
    `v_t / (1 - decay^t)` corrects that, which is the bias correction in Adam.

    Args:
      values: (T, ...), along the first axis.
      decay: the share that is kept, in [0, 1).
      debias: whether to correct for the start.

    Returns:
      The averages, of the shape of the values.

    Raises:
      ValueError: for a decay outside [0, 1).

    Source: Roberts, 1959; the correction: Kingma and Ba, 2015.

    Example:
      >>> exponential_average(jnp.ones(3), 0.5).tolist(), exponential_average(jnp.ones(3), 0.5, debias=False).tolist()
      ([1.0, 1.0, 1.0], [0.5, 0.75, 0.875])
    """
    if not isinstance(decay, Tracer) and not 0 <= decay < 1:
        raise ValueError(f"decay: expected a number in [0, 1), the share that is kept, found {decay}")
    values = jnp.asarray(values, jnp.result_type(values, jnp.float32) if not _is_floating(values) else None)

    def step(average: Any, x: Any) -> Any:
        average = decay * average + (1 - decay) * x
        return average, average

    averages = lax.scan(step, jnp.zeros_like(values[0]), values)[1] if len(values) else values
    if not debias:
        return averages
    steps = jnp.arange(1, len(values) + 1, dtype=averages.dtype).reshape(-1, *[1] * (values.ndim - 1))
    return averages / (1 - jnp.asarray(decay, averages.dtype) ** steps)


def _is_floating(values: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(values), jnp.floating)
