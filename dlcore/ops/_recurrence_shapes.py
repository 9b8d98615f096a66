"""Shapes that the recurrences check before they compute."""

from typing import Any

import jax
import jax.numpy as jnp

__all__ = ["expect_recurrence"]


def expect_recurrence(what: str, gates: int, x: jax.Array, mask: Any, **weights: jax.Array) -> jax.Array:
    """Returns the zeros that a recurrence over x (B, T, ..., inputs) starts from, (B, ..., features).

    Raises:
        ValueError: names what was expected and what was found.
    """
    if x.ndim < 3:
        raise ValueError(f"{what}: expected x (B, T, ..., inputs), found {x.shape}: one sequence is x[None]")
    features = weights["recurrent_kernel"].shape[0]
    width = gates * features
    inputs = {"kernel": x.shape[-1], "recurrent_kernel": features}
    for name, array in weights.items():
        expected = (inputs[name], width) if name in inputs else (width,)
        if array.shape != expected:
            raise ValueError(
                f"{name}: expected {expected} for x {x.shape}, {features} features and {gates} gates side by side, "
                f"found {array.shape}"
            )
    if mask is not None and mask.shape != x.shape[:2]:
        raise ValueError(f"mask: expected (B, T) = {x.shape[:2]}, found {mask.shape}")
    return jnp.zeros((x.shape[0], *x.shape[2:-1], features), x.dtype)
