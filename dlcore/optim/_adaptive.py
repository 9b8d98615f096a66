"""Steps divided by the size of past gradients, each parameter by its own."""

from typing import Any

import optax

from dlcore.optim._checks import check_least, check_rate, check_share
from dlcore.optim._optimizer import Rate, optimizer


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
    check_rate(learning_rate)
    check_share("decay", decay)
    check_least("eps", eps)
    return optax.rmsprop(learning_rate, decay, eps)


@optimizer
def adagrad(learning_rate: Rate = 0.01, *, initial_accumulator: float = 0.1, eps: float = 1e-7) -> Any:
    """AdaGrad, `n' = n + g^2; w - learning_rate * g / sqrt(n' + eps)`: steps that only shrink.

    Args:
      learning_rate: a number, a schedule `step -> rate`, or a traced value.
      initial_accumulator: what n starts from: .1 as in optax and Keras (PyTorch has 0).
      eps: added inside the root (PyTorch adds it outside).

    Raises:
      ValueError: for a rate that is not positive, a negative accumulator or eps.

    Source: Duchi, Hazan and Singer, 2011.

    Example:
      >>> adagrad(0.1)
      adagrad(learning_rate=0.1)
    """
    check_rate(learning_rate)
    check_least("initial_accumulator", initial_accumulator)
    check_least("eps", eps)
    return optax.adagrad(learning_rate, initial_accumulator, eps)


@optimizer
def adadelta(learning_rate: Rate = 1.0, *, decay: float = 0.9, eps: float = 1e-6) -> Any:
    """AdaDelta, `w - learning_rate * g * sqrt(d + eps) / sqrt(n + eps)` with means d of past steps^2 and n of g^2.

    Args:
      learning_rate: a number, a schedule `step -> rate`, or a traced value; 1 as published.
      decay: the share of the means that is kept, in [0, 1).
      eps: added inside both roots; it also starts the steps.

    Raises:
      ValueError: for a rate that is not positive, a decay outside [0, 1), a negative eps.

    Source: Zeiler, 2012.

    Example:
      >>> adadelta(decay=0.95)
      adadelta(decay=0.95)
    """
    check_rate(learning_rate)
    check_share("decay", decay)
    check_least("eps", eps)
    return optax.adadelta(learning_rate, decay, eps)
