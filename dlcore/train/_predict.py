"""Outputs of a model for any number of examples, in batches of one size."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dlcore.train._cache import compile_cache
from dlcore.train._lanes import map_lanes
from dlcore.train._objective import build_layer


def predict(model: Any, weights: Any, x: Any, batch_size: int, lanes: str | None) -> jax.Array:
    """Returns the outputs for x (N, ...): (N, ...), or (lanes, N, ...); weights are params, state and hparams."""
    x = np.asarray(x)
    if not x.ndim or not len(x):
        raise ValueError(f"x: expected one or more examples (N, ...), found shape {x.shape}")
    size, outputs, forward = min(batch_size, len(x)), [], _forward(model, lanes)
    with compile_cache():
        for start in range(0, len(x), size):
            batch = x[start : start + size]
            outputs.append(forward(weights, np.concatenate([batch, np.repeat(batch[-1:], size - len(batch), axis=0)])))
    axis = 1 if lanes else 0
    return jax.tree.map(lambda *parts: lax.slice_in_dim(jnp.concatenate(parts, axis), 0, len(x), axis=axis), *outputs)


@functools.lru_cache(maxsize=32)
def _forward(model: Any, lanes: str | None) -> Any:
    def outputs(weights: Any, x: Any) -> Any:
        params, state, hparams = weights
        return build_layer(model, hparams).apply(params, state, x)[0]

    return jax.jit(map_lanes(outputs, lanes))
