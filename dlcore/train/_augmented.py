"""Augmentation of training batches, inside the compiled step."""

from collections.abc import Callable
from typing import Any

from dlcore.compose import derive
from dlcore.recipe import recipe
from dlcore.train._objective import build_function
from dlcore.train._state import TrainState

__all__ = ["augmented"]


@recipe
def augmented(step: Callable[..., Any], augment: Callable[..., Any]) -> Any:
    """A step that changes its batch first: `step(carry, augment(key, batch))`.

    The key is a function of the run's key and the number of the step alone, so that a run that is resumed or repeated
    sees the same pictures. `fit(augment=...)` calls this; evaluation is on the data as they are.

    Args:
      step: `(carry, batch) -> (carry, metrics)`, such as `gradient_step(objective, optimizer)`.
      augment: `(key, batch) -> batch`, such as those of `dl.augment`, or a function of the hyperparameters that builds
        one.

    Returns:
      A step.

    Example:
      >>> from dlcore import augment, layers, losses, optim
      >>> from dlcore.train import gradient_step, supervised
      >>> augmented(gradient_step(supervised(layers.dense(1), losses.mse), optim.adam()), augment.noise(0.1))
      augmented(gradient_step(supervised(dense(1), mse), adam()), noise(0.1))
    """

    def changed(carry: TrainState, batch: Any) -> tuple[TrainState, dict[str, Any]]:
        change = build_function(augment, carry.hparams)
        return step(carry, change(derive(carry.key, "augment", carry.step), batch))

    return changed
