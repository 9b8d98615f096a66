"""The ordinary step."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from dlcore.compose import derive
from dlcore.recipe import recipe
from dlcore.train._accumulate import Measured, check_accumulate, in_parts
from dlcore.train._chunk import all_finite
from dlcore.train._loss_scale import LossScale
from dlcore.train._objective import build_function, build_optimizer, ratio
from dlcore.train._state import TrainState


@recipe
def gradient_step(
    objective: Callable[..., Any], optimizer: Any, accumulate: int = 1, loss_scaling: bool = False
) -> Any:
    """The ordinary step: one gradient of the mean loss, one update.

    With `accumulate` the batch is cut into so many parts, whose gradients are computed one after another and added up:
    memory is that of a part, and the update that of the whole batch, also where examples are masked. (Batch norm's
    statistics are those of a part, and each part draws its own dropout.)

    With `loss_scaling` the carry's `extra` is a `LossScale`. A step whose gradients overflow changes nothing but the
    scale, and its `gradient` is reported as zeros; where they are not finite even at a scale of 1, the run stops.

    Args:
      objective: see `supervised`; a function of the hyperparameters that builds one will do. In parts, the weight of
        its loss is a constant, and a loss that is a plain number weighs as much as its part has rows.
      optimizer: an optax optimizer, or a function of the hyperparameters that builds one.
      accumulate: how many parts; it has to divide the rows of a batch.
      loss_scaling: whether the loss is scaled for float16.

    Returns:
      `(carry, batch) -> (carry, metrics)` on a `TrainState`. The metrics are the objective's pairs, and the `gradient`.

    Raises:
      ValueError: for `accumulate` below one; by the step, for one that does not divide the batch.
      TypeError: by the step, for a carry without the `LossScale`.

    Example:
      >>> from dlcore import layers, losses, optim
      >>> from dlcore.train import supervised
      >>> gradient_step(supervised(layers.dense(1), losses.mse), optim.adam())
      gradient_step(supervised(dense(1), mse), adam())
    """
    check_accumulate(accumulate)

    def step(carry: TrainState, batch: Any) -> tuple[TrainState, dict[str, Any]]:
        if loss_scaling and not isinstance(carry.extra, LossScale):
            repair = "fit(policy='fp16') puts it there; by hand: LossScale.first()"
            raise TypeError(f"loss_scaling: expected a LossScale in the carry's extra, found {carry.extra!r}; {repair}")
        evaluate, transform = build_function(objective, carry.hparams), build_optimizer(optimizer, carry.hparams)
        key = derive(carry.key, "model", carry.step)

        def measure(params: Any, state: Any, batch: Any, key: Any) -> Measured:
            def mean_loss(params: Any) -> Any:
                loss, (after, pairs) = evaluate(params, state, batch, key=key, train=True, hparams=carry.hparams)
                mean = ratio(loss)
                return mean * carry.extra.scale if loss_scaling else mean, (loss, after, pairs)

            gradient, (loss, after, pairs) = jax.grad(mean_loss, has_aux=True)(params)
            return Measured(loss, after, pairs, carry.extra.unscale(gradient) if loss_scaling else gradient)

        measure_all = measure if accumulate == 1 else in_parts(measure, accumulate)
        loss, state, pairs, gradient = measure_all(carry.params, carry.state, batch, key)
        finite = jnp.bool(True)
        if loss_scaling:
            finite = all_finite(gradient)
            gradient = _where(finite, gradient, jax.tree.map(jnp.zeros_like, gradient))
        # They go along for the few that look at them: `optim.plateau` at the loss, `optim.sam` for another gradient.
        update = optax.with_extra_args_support(transform).update
        grad_fn = lambda params: measure_all(params, carry.state, batch, key).gradient
        change, opt_state = update(gradient, carry.opt_state, carry.params, value=ratio(loss), grad_fn=grad_fn)
        params = optax.apply_updates(carry.params, change)
        after = dataclasses.replace(carry, step=carry.step + 1, params=params, state=state, opt_state=opt_state)
        measured = pairs | {"gradient": gradient}
        if not loss_scaling:
            return after, measured
        finite &= all_finite(change)  # the optimizer's own gradient may overflow too
        after = _where(finite, after, dataclasses.replace(carry, step=after.step))
        scale = carry.extra.after(finite)
        # Below 1 it is not the scale that makes gradients overflow: the run has to stop, and not to skip for ever.
        told = {"loss_scale": carry.extra.scale, "finite": scale.scale >= 1}
        return dataclasses.replace(after, extra=scale), measured | told

    return step


def _where(condition: Any, yes: Any, no: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)
