"""What a training run carries from step to step."""

from typing import Any

from flax import struct


@struct.dataclass
class TrainState:
    """Everything that a run is, at one step: a pytree.

    Attributes:
      step: number of updates made, int32.
      params: the model's parameters.
      state: the model's state (running statistics, ...).
      opt_state: the optimizer's state.
      key: the run's key, the same at every step.
      hparams: numeric hyperparameters by name, float32.
      ema: running mean of the params, or None.
      extra: whatever else a step of your own carries.
    """

    step: Any
    params: Any
    state: Any
    opt_state: Any
    key: Any
    hparams: Any
    ema: Any = None
    extra: Any = None
