"""Optimizers: optax's, with a recipe, plain names, and their hyperparameters checked where they are concrete.

Each value is an `optax.GradientTransformation` like any other. `fit` takes any optax optimizer; these are known to it,
so a new learning rate compiles nothing.
"""

from collections.abc import Callable
from typing import Any, ParamSpec

import jax
import optax
from jax.core import Tracer

from dlcore.recipe import Function, recipe

__all__ = ["Optimizer", "adam", "adamw", "momentum", "optimizer", "rmsprop", "sgd"]

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


@optimizer
def sgd(learning_rate: Rate = 0.01) -> optax.GradientTransformation:
    """Stochastic gradient descent, `w - learning_rate * g`.

    Args:
      learning_rate: a number, a schedule `step -> rate`, or a traced value.

    Raises:
      ValueError: for a rate that is not positive.

    Source: Robbins and Monro, 1951.

    Example:
      >>> sgd(0.1)
      sgd(learning_rate=0.1)
    """
    _check_rate(learning_rate)
    return optax.sgd(learning_rate)


@optimizer
def momentum(learning_rate: Rate = 0.01, momentum: float = 0.9, *, nesterov: bool = False) -> Any:
    """Heavy-ball momentum, `v' = momentum * v + g; w - learning_rate * v'`.

    The averaging form, `v' = momentum * v + (1 - momentum) * g`, takes the same path at a rate `1 / (1 - momentum)`
    times as large.

    Args:
      learning_rate: a number, a schedule `step -> rate`, or a traced value.
      momentum: the share of the velocity that is kept, in [0, 1).
      nesterov: whether to look ahead, `w - learning_rate * (momentum * v' + g)`.

    Raises:
      ValueError: for a rate that is not positive, and a momentum outside [0, 1).

    Source: Polyak, 1964; Nesterov, 1983; Sutskever, Martens, Dahl and Hinton, 2013.

    Example:
      >>> momentum(0.1, nesterov=True)
      momentum(learning_rate=0.1, nesterov=True)
    """
    _check_rate(learning_rate)
    _check_share("momentum", momentum)
    return optax.sgd(learning_rate, momentum, nesterov)


@optimizer
def rmsprop(learning_rate: Rate = 1e-3, *, decay: float = 0.9, eps: float = 1e-8) -> optax.GradientTransformation:
    """RMSProp, `n' = decay * n + (1 - decay) * g^2; w - learning_rate * g / sqrt(n' + eps)`.

    Args:
      learning_rate: a number, a schedule `step -> rate`, or a traced value.
      decay: the share of the mean square that is kept, in [0, 1).
      eps: added inside the root (PyTorch adds it outside).

    Raises:
      ValueError: for a rate that is not positive, a decay outside [0, 1), a negative eps.

    Source: Tieleman and Hinton, 2012.

    Example:
      >>> rmsprop(decay=0.99)
      rmsprop(decay=0.99)
    """
    _check_rate(learning_rate)
    _check_share("decay", decay)
    _check_least("eps", eps)
    return optax.rmsprop(learning_rate, decay, eps)


@optimizer
def adam(learning_rate: Rate = 1e-3, *, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Any:
    """Adam, `w - learning_rate * m / (sqrt(n) + eps)` with bias-corrected means m of g and n of g^2.

    Args:
      learning_rate: a number, a schedule `step -> rate`, or a traced value.
      b1: decay of the mean of the gradient, in [0, 1).
      b2: decay of the mean of its square, in [0, 1).
      eps: added outside the root.

    Raises:
      ValueError: for a rate that is not positive, b1 or b2 outside [0, 1), a negative eps.

    Source: Kingma and Ba, 2015.

    Example:
      >>> adam(3e-4)
      adam(learning_rate=0.0003)
    """
    _check_adam(learning_rate, b1, b2, eps)
    return optax.adam(learning_rate, b1, b2, eps)


@optimizer
def adamw(
    learning_rate: Rate = 1e-3,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 1e-4,
    mask: Any = None,
) -> optax.GradientTransformation:
    """AdamW: Adam, and beside it the decay `w - learning_rate * weight_decay * w`, which Adam does not rescale.

    Args:
      learning_rate: a number, a schedule `step -> rate`, or a traced value.
      b1: decay of the mean of the gradient, in [0, 1).
      b2: decay of the mean of its square, in [0, 1).
      eps: added outside the root.
      weight_decay: strength of the decay, 0 or more.
      mask: `params -> tree of bools`: which leaves decay; all by default.

    Raises:
      ValueError: for a rate that is not positive, b1 or b2 outside [0, 1), a negative eps or decay.

    Source: Loshchilov and Hutter, 2019.

    Example:
      >>> adamw(weight_decay=0.1)
      adamw(weight_decay=0.1)
    """
    _check_adam(learning_rate, b1, b2, eps)
    _check_least("weight_decay", weight_decay)
    return optax.adamw(learning_rate, b1, b2, eps, weight_decay=weight_decay, mask=mask)


def _concrete(name: str, value: Any) -> float | None:
    """Returns a number that can be looked at; None for a traced value."""
    if isinstance(value, Tracer):
        return None
    if isinstance(value, str | bytes | bool) or not hasattr(value, "__float__"):
        raise TypeError(f"{name}: expected a number or a traced value, found {value!r}")
    return float(value)


def _check_rate(rate: Any) -> None:
    number = None if callable(rate) else _concrete("learning_rate", rate)
    if number is not None and not 0 < number < float("inf"):  # not a number is refused too
        raise ValueError(f"learning_rate: expected a positive number, found {rate}")


def _check_share(name: str, value: Any) -> None:
    number = _concrete(name, value)
    if number is not None and not 0 <= number < 1:
        raise ValueError(f"{name}: expected a number in [0, 1), found {value}")


def _check_least(name: str, value: Any) -> None:
    number = _concrete(name, value)
    if number is not None and not 0 <= number < float("inf"):
        raise ValueError(f"{name}: expected a number of 0 or more, found {value}")


def _check_adam(learning_rate: Any, b1: Any, b2: Any, eps: Any) -> None:
    _check_rate(learning_rate)
    _check_share("b1", b1)
    _check_share("b2", b2)
    _check_least("eps", eps)
