"""The ordinary objective, and what builds the parts of a run."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from dlcore.core import Layer
from dlcore.recipe import recipe
from dlcore.train._hparams import is_builder


@recipe
def supervised(model: Any, loss: Callable[..., Any], metrics: Sequence[Any] | Mapping[str, Any] = ()) -> Any:
    """Objective of learning from examples: the mean loss of the model's predictions against the targets.

    Args:
      model: a layer, or a function of the hyperparameters that builds one.
      loss: `(predictions, targets) -> array`, unreduced, or a function of the hyperparameters that builds one.
      metrics: more functions like it, under their own names or, in a dict, under yours.

    Returns:
      `(params, state, batch, *, key, train, hparams) -> (loss, (state, metrics))`. The batch is a dict with `x`, `y`
      and optionally `mask` (B,). The loss, and each metric, is a pair (sum, weight), whose ratio is the mean.

    Example:
      >>> from dlcore import layers, losses
      >>> objective = supervised(layers.dense(1), losses.mse)
      >>> params = {"kernel": jnp.ones((2, 1)), "bias": jnp.zeros(1)}
      >>> batch = {"x": jnp.ones((4, 2)), "y": jnp.zeros((4, 1))}
      >>> objective(params, {}, batch, key=None, train=False, hparams={})[0]
      (Array(16., dtype=float32), Array(4., dtype=float32))
    """
    named = metrics if isinstance(metrics, Mapping) else {metric.__name__: metric for metric in metrics}

    def objective(params: Any, state: Any, batch: Any, *, key: Any, train: bool, hparams: Any) -> Any:
        predictions, state = build_layer(model, hparams).apply(params, state, batch["x"], key=key, train=train)
        mask = batch.get("mask")
        measure = build_function(loss, hparams)
        pairs = {"loss": _pair(measure(predictions, batch["y"]), mask)}
        pairs |= {name: _pair(metric(predictions, batch["y"]), mask) for name, metric in named.items()}
        return pairs["loss"], (state, pairs)

    return objective


def build_layer(model: Any, hparams: Any) -> Layer:
    """Returns the model itself, or what its function of the hyperparameters builds."""
    return model if isinstance(model, Layer) else model(hparams)


def build_optimizer(optimizer: Any, hparams: Any) -> Any:
    """Returns the optimizer itself, or what its function of the hyperparameters builds."""
    return optimizer if hasattr(optimizer, "update") else optimizer(hparams)


def build_function(function: Any, hparams: Any) -> Any:
    """Returns a loss or an objective itself, or what its function of the hyperparameters builds."""
    return function(hparams) if is_builder(function) else function


def ratio(pair: Any) -> jax.Array:
    """Returns the mean of a (sum, weight) pair, 0 where nothing has weight; a plain number is its own mean."""
    if not isinstance(pair, tuple):
        return pair
    total, weight = pair
    return jnp.where(weight > 0, total / jnp.where(weight > 0, weight, 1), 0)


def _pair(values: jax.Array, mask: Any) -> tuple[jax.Array, jax.Array]:
    if mask is None:
        return values.sum(), jnp.asarray(values.size, jnp.float32)
    weights = jnp.broadcast_to(mask.reshape(mask.shape + (1,) * (values.ndim - mask.ndim)), values.shape)
    # `where`, not a product: what is masked may be NaN.
    return jnp.where(weights > 0, values * weights, 0).sum(), weights.sum().astype(jnp.float32)
