"""Penalties of weights, to be added to a mean loss."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def is_kernel(path: str) -> bool:
    """Whether a leaf is a kernel: those are penalised, and biases and the scales of norms are not.

    Example:
      >>> is_kernel("hidden_0/kernel"), is_kernel("hidden_0/bias"), is_kernel("cell/recurrent_kernel")
      (True, False, True)
    """
    return path.rsplit("/", 1)[-1].endswith("kernel")


def l1_penalty(params: Any, *, on: Callable[[str], bool] = is_kernel) -> jax.Array:
    """Sum of sizes, `sum |w|`: it pulls evenly, to 0. (Gradient steps only hover there: see `optim.proximal_l1`.)

    Args:
      params: nested dicts of arrays.
      on: which leaves, by their path (`"encoder/0/kernel"`).

    Returns:
      A number.

    Raises:
      ValueError: where no leaf is meant.

    Source: Tibshirani, 1996.

    Example:
      >>> l1_penalty({"kernel": jnp.array([1.0, -2.0]), "bias": jnp.array([9.0])})
      Array(3., dtype=float32)
    """
    return sum(jnp.sum(jnp.abs(leaf)) for leaf in _leaves(params, on))  # pyright: ignore[reportReturnType]


def l2_penalty(params: Any, *, on: Callable[[str], bool] = is_kernel) -> jax.Array:
    """Half the sum of squares, `sum w^2 / 2`: its gradient is w, so that its factor is a coupled weight decay.

    (Under Adam that is another thing than decoupled decay: see `optim.adamw`.)

    Args:
      params: nested dicts of arrays.
      on: which leaves, by their path.

    Returns:
      A number.

    Source: Hoerl and Kennard, 1970; Krogh and Hertz, 1992.

    Example:
      >>> l2_penalty({"kernel": jnp.array([1.0, -2.0]), "bias": jnp.array([9.0])})
      Array(2.5, dtype=float32)
    """
    return 0.5 * sum(jnp.sum(jnp.square(leaf)) for leaf in _leaves(params, on))  # pyright: ignore[reportReturnType]


def elastic_penalty(params: Any, l1: Any, l2: Any, *, on: Callable[[str], bool] = is_kernel) -> jax.Array:
    """Elastic net, `l1 * sum |w| + l2 * sum w^2 / 2`.

    Args:
      params: nested dicts of arrays.
      l1: strength of the one.
      l2: strength of the other.
      on: which leaves, by their path.

    Source: Zou and Hastie, 2005.

    Example:
      >>> elastic_penalty({"kernel": jnp.array([1.0, -2.0])}, 1.0, 2.0)
      Array(8., dtype=float32)
    """
    return l1 * l1_penalty(params, on=on) + l2 * l2_penalty(params, on=on)


def _leaves(params: Any, on: Callable[[str], bool]) -> list[jax.Array]:
    found = jax.tree_util.tree_leaves_with_path(params)
    paths = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in found]
    chosen = [leaf for path, (_, leaf) in zip(paths, found, strict=True) if on(path)]
    if not chosen:
        raise ValueError(f"on: no leaf is meant among {paths[:8]}")
    return chosen
