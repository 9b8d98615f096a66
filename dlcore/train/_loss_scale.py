"""Dynamic loss scaling: small gradients are kept from vanishing in float16."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

START = 2.0**15  # the scale of the first step
PATIENCE = 2000  # steps without an overflow after which the scale doubles
LARGEST = 2.0**24  # one over float16's smallest number: beyond, nothing more would be saved


@struct.dataclass
class LossScale:
    """What the loss is multiplied by before it is differentiated in float16, and the gradient divided by after.

    It halves at each step whose gradients overflow, which is not taken, and doubles after 2000 steps in a row that did
    not. `fit(policy="fp16")` carries it in `TrainState.extra`.

    Attributes:
      scale: a power of two, so that nothing is rounded; 2**15 at first.
      good: steps since it changed, int32.

    Source: Micikevicius et al., Mixed Precision Training, 2018, section 3.2.

    Example:
      >>> LossScale.first().after(False).scale
      Array(16384., dtype=float32)
    """

    scale: Any
    good: Any

    @classmethod
    def first(cls) -> "LossScale":
        """Returns the scale of the first step."""
        return cls(jnp.float32(START), jnp.int32(0))

    def after(self, finite: Any) -> "LossScale":
        """Returns the scale of the next step.

        Args:
          finite: whether the gradients of this one were.
        """
        good = jnp.where(finite, self.good + 1, 0)
        doubles = good >= PATIENCE
        larger = jnp.where(doubles, jnp.minimum(self.scale * 2, LARGEST), self.scale)
        scale = jnp.where(finite, larger, self.scale / 2)
        return LossScale(scale, jnp.where(doubles, 0, good))

    def unscale(self, gradient: Any) -> Any:
        """Returns the gradient of the loss itself."""
        return jax.tree.map(lambda leaf: leaf / self.scale.astype(leaf.dtype), gradient)
