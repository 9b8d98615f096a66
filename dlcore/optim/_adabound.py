"""AdaBound, which optax does not have."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from dlcore.optim._checks import check_adam, check_least, check_rate
from dlcore.optim._optimizer import Rate, optimizer


class AdaBoundState(NamedTuple):
    """The number of steps, and the means of the gradient and of its square."""

    count: jax.Array
    mean: Any
    square: Any


@optimizer
def adabound(
    learning_rate: Rate = 1e-3,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    final_rate: float = 0.1,
    gamma: float = 1e-3,
) -> Any:
    """AdaBound: Adam whose rate, each parameter's own, is held between bounds that close in on that of plain descent.

    `w - clip(a_t / (sqrt(n) + eps), final_rate * (1 - 1 / (gamma t + 1)), final_rate * (1 + 1 / (gamma t))) * m`, with
    `a_t = learning_rate * sqrt(1 - b2^t) / (1 - b1^t)`.

    Args:
      learning_rate: a number, a schedule `step -> rate`, or a traced value. A schedule moves the bounds in proportion.
      b1: decay of the mean of the gradient, in [0, 1).
      b2: decay of the mean of its square, in [0, 1).
      eps: added outside the root.
      final_rate: the rate of descent that it comes to.
      gamma: how fast the bounds close.

    Raises:
      ValueError: for rates or gamma that are not positive, b1 or b2 outside [0, 1), a negative eps.

    Source: Luo, Xiong, Liu and Sun, Adaptive Gradient Methods with Dynamic Bound of Learning Rate, 2019.

    Example:
      >>> adabound(final_rate=0.05)
      adabound(final_rate=0.05)
    """
    check_adam(learning_rate, b1, b2, eps)
    check_rate(final_rate)
    check_least("gamma", gamma)

    def init(params: Any) -> AdaBoundState:
        zeros = jax.tree.map(jnp.zeros_like, params)
        return AdaBoundState(jnp.int32(0), zeros, jax.tree.map(jnp.copy, zeros))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, AdaBoundState]:
        rate = learning_rate(state.count) if callable(learning_rate) else learning_rate
        share = rate / learning_rate(0) if callable(learning_rate) else 1.0
        count = state.count + 1
        mean = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mean, updates)
        square = jax.tree.map(lambda n, g: b2 * n + (1 - b2) * jnp.square(g), state.square, updates)

        def step(m: jax.Array, n: jax.Array) -> jax.Array:
            t = count.astype(m.dtype)
            size = rate * jnp.sqrt(1 - jnp.asarray(b2, m.dtype) ** t) / (1 - jnp.asarray(b1, m.dtype) ** t)
            low, high = (final_rate * share * bound for bound in (1 - 1 / (gamma * t + 1), 1 + 1 / (gamma * t)))
            return -jnp.clip(size / (jnp.sqrt(n) + eps), low, high) * m

        return jax.tree.map(step, mean, square), AdaBoundState(count, mean, square)

    return optax.GradientTransformation(init, update)
