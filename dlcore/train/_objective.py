"""The ordinary objective and the ordinary step."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from dlcore.compose import derive
from dlcore.core import Layer
from dlcore.recipe import recipe
from dlcore.train._hparams import is_builder
from dlcore.train._state import TrainState


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


@recipe
def gradient_step(objective: Callable[..., Any], optimizer: Any) -> Any:
    """The ordinary step: one gradient of the mean loss, one update.

    Args:
      objective: see `supervised`; a function of the hyperparameters that builds one will do.
      optimizer: an optax optimizer, or a function of the hyperparameters that builds one.

    Returns:
      `(carry, batch) -> (carry, metrics)` on a `TrainState`. The metrics are the objective's pairs, and the `gradient`.

    Example:
      >>> from dlcore import layers, losses, optim
      >>> gradient_step(supervised(layers.dense(1), losses.mse), optim.adam())
      gradient_step(supervised(dense(1), mse), adam())
    """

    def step(carry: TrainState, batch: Any) -> tuple[TrainState, dict[str, Any]]:
        evaluate, transform = build_function(objective, carry.hparams), build_optimizer(optimizer, carry.hparams)
        key = derive(carry.key, "model", carry.step)

        def mean_loss(params: Any) -> Any:
            loss, (state, pairs) = evaluate(params, carry.state, batch, key=key, train=True, hparams=carry.hparams)
            return ratio(loss), (state, pairs)

        (loss, (state, pairs)), gradient = jax.value_and_grad(mean_loss, has_aux=True)(carry.params)
        # They go along for the few that look at them: `optim.plateau` at the loss, `optim.sam` for another gradient.
        update = optax.with_extra_args_support(transform).update
        extra = {"value": loss, "grad_fn": jax.grad(lambda params: mean_loss(params)[0])}
        change, opt_state = update(gradient, carry.opt_state, carry.params, **extra)
        params = optax.apply_updates(carry.params, change)
        after = dataclasses.replace(carry, step=carry.step + 1, params=params, state=state, opt_state=opt_state)
        return after, pairs | {"gradient": gradient}

    return step


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
