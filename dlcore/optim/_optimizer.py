"""What an optimizer is: optax's pair, with a recipe."""

from collections.abc import Callable
from typing import ParamSpec

import jax
import optax

from dlcore.recipe import Function, recipe

P = ParamSpec("P")
Rate = float | jax.Array | optax.Schedule


class Optimizer(optax.GradientTransformationExtraArgs):
    """An optax optimizer, `(init, update)`, with a recipe."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(self.update)


def optimizer(factory: Callable[P, optax.GradientTransformation]) -> Callable[P, Optimizer]:
    """Marks a factory of optax optimizers: `recipe` for them.

    Example:
      >>> @optimizer
      ... def signed(learning_rate=1e-3):
      ...     return optax.chain(optax.scale_by_sign(), optax.scale_by_learning_rate(learning_rate))
      >>> signed(0.1)
      signed(learning_rate=0.1)
    """

    def wrap(made: optax.GradientTransformation) -> Optimizer:
        made = optax.with_extra_args_support(made)
        return Optimizer(made.init, Function(made.update))  # pyright: ignore[reportArgumentType]

    return recipe(factory, wrap)  # pyright: ignore[reportReturnType]
