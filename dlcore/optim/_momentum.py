"""Gradient descent, with and without momentum."""

from typing import Any

import optax

from dlcore.optim._checks import check_rate, check_share
from dlcore.optim._optimizer import Rate, optimizer


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
    check_rate(learning_rate)
    return optax.sgd(learning_rate)


@optimizer
def momentum(
    learning_rate: Rate = 0.01, momentum: float = 0.9, *, nesterov: bool = False, averaging: bool = False
) -> Any:
    """Heavy-ball momentum, `v' = momentum * v + g; w - learning_rate * v'`.

    The averaging form, `v' = momentum * v + (1 - momentum) * g`, takes the same path if and only if its rate is
    `1 / (1 - momentum)` times as large.

    Args:
      learning_rate: a number, a schedule `step -> rate`, or a traced value.
      momentum: the share of the velocity that is kept, in [0, 1).
      nesterov: whether to look ahead, `w - learning_rate * (momentum * v' + g)`.
      averaging: whether to take the averaging form.

    Raises:
      ValueError: for a rate that is not positive, and a momentum outside [0, 1).

    Source: Polyak, 1964; Nesterov, 1983; Sutskever, Martens, Dahl and Hinton, 2013.

    Example:
      >>> momentum(0.1, nesterov=True)
      momentum(learning_rate=0.1, nesterov=True)
    """
    check_rate(learning_rate)
    check_share("momentum", momentum)
    descent = optax.sgd(learning_rate, momentum, nesterov)
    return optax.chain(optax.scale(1 - momentum), descent) if averaging else descent
