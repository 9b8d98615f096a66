"""Adam and its kin."""

from typing import Any

import optax

from dlcore.optim._checks import check_adam, check_least
from dlcore.optim._optimizer import Rate, optimizer


@optimizer
def adam(
    learning_rate: Rate = 1e-3, *, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, eps_root: float | None = None
) -> Any:
    """Adam, `w - learning_rate * m / (sqrt(n) + eps)` with bias-corrected means m of g and n of g^2.

    Args:
      learning_rate: a number, a schedule `step -> rate`, or a traced value.
      b1: decay of the mean of the gradient, in [0, 1).
      b2: decay of the mean of its square, in [0, 1).
      eps: added outside the root.
      eps_root: added inside the root; nothing unless given. With it, gradients through a whole run are finite where a
        gradient is 0.

    Raises:
      ValueError: for a rate that is not positive, b1 or b2 outside [0, 1), a negative eps.

    Source: Kingma and Ba, 2015.

    Example:
      >>> adam(3e-4)
      adam(learning_rate=0.0003)
    """
    check_adam(learning_rate, b1, b2, eps)
    eps_root = 0.0 if eps_root is None else eps_root
    check_least("eps_root", eps_root)
    return optax.adam(learning_rate, b1, b2, eps, eps_root)


@optimizer
def adamw(
    learning_rate: Rate = 1e-3,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float | None = None,
    weight_decay: float = 1e-4,
    mask: Any = None,
) -> optax.GradientTransformation:
    """AdamW: Adam, and beside it the decay `w - learning_rate * weight_decay * w`, which Adam does not rescale.

    Args:
      learning_rate: a number, a schedule `step -> rate`, or a traced value.
      b1: decay of the mean of the gradient, in [0, 1).
      b2: decay of the mean of its square, in [0, 1).
      eps: added outside the root.
      eps_root: added inside the root; nothing unless given. With it, gradients through a whole run are finite where a
        gradient is 0.
      weight_decay: strength of the decay, 0 or more.
      mask: `params -> tree of bools`: which leaves decay; all by default.

    Raises:
      ValueError: for a rate that is not positive, b1 or b2 outside [0, 1), a negative eps or decay.

    Source: Loshchilov and Hutter, 2019.

    Example:
      >>> adamw(weight_decay=0.1)
      adamw(weight_decay=0.1)
    """
    check_adam(learning_rate, b1, b2, eps)
    check_least("weight_decay", weight_decay)
    eps_root = 0.0 if eps_root is None else eps_root
    check_least("eps_root", eps_root)
    return optax.adamw(learning_rate, b1, b2, eps, eps_root, weight_decay=weight_decay, mask=mask)


@optimizer
def nadam(learning_rate: Rate = 1e-3, *, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Any:
    """NAdam, Adam with Nesterov's look ahead: `b1 * m' + (1 - b1) * g`, each corrected, in place of the mean m.

    b1 is held constant, as in optax; PyTorch and Keras follow the paper's schedule of it.

    Args:
      learning_rate: a number, a schedule `step -> rate`, or a traced value.
      b1: decay of the mean of the gradient, in [0, 1).
      b2: decay of the mean of its square, in [0, 1).
      eps: added outside the root.

    Raises:
      ValueError: for a rate that is not positive, b1 or b2 outside [0, 1), a negative eps.

    Source: Dozat, Incorporating Nesterov Momentum into Adam, 2016.

    Example:
      >>> nadam(1e-2)
      nadam(learning_rate=0.01)
    """
    check_adam(learning_rate, b1, b2, eps)
    return optax.nadam(learning_rate, b1, b2, eps)


@optimizer
def radam(learning_rate: Rate = 1e-3, *, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Any:
    """Rectified Adam: plain momentum until the mean of squares can be trusted, and then Adam with a smaller rate.

    Args:
      learning_rate: a number, a schedule `step -> rate`, or a traced value.
      b1: decay of the mean of the gradient, in [0, 1).
      b2: decay of the mean of its square, in [0, 1).
      eps: added outside the root.

    Raises:
      ValueError: for a rate that is not positive, b1 or b2 outside [0, 1), a negative eps.

    Source: Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, 2020.

    Example:
      >>> radam(1e-2)
      radam(learning_rate=0.01)
    """
    check_adam(learning_rate, b1, b2, eps)
    return optax.radam(learning_rate, b1, b2, eps)


@optimizer
def adabelief(learning_rate: Rate = 1e-3, *, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-16) -> Any:
    """AdaBelief, Adam divided by the spread of the gradient about its mean, `(g - m)^2`, not by its size.

    Args:
      learning_rate: a number, a schedule `step -> rate`, or a traced value.
      b1: decay of the mean of the gradient, in [0, 1).
      b2: decay of the mean of its square, in [0, 1).
      eps: added to the spread and outside the root.

    Raises:
      ValueError: for a rate that is not positive, b1 or b2 outside [0, 1), a negative eps.

    Source: Zhuang et al., 2020.

    Example:
      >>> adabelief(1e-2)
      adabelief(learning_rate=0.01)
    """
    check_adam(learning_rate, b1, b2, eps)
    return optax.adabelief(learning_rate, b1, b2, eps, eps)


@optimizer
def lion(
    learning_rate: Rate = 1e-4, *, b1: float = 0.9, b2: float = 0.99, weight_decay: float = 0.0, mask: Any = None
) -> Any:
    """Lion, `w - learning_rate * (sign(b1 * m + (1 - b1) * g) + weight_decay * w)`, with `m' = b2 * m + (1 - b2) * g`.

    Every step has the size of the rate: it wants a third to a tenth of Adam's, and more decay.

    Args:
      learning_rate: a number, a schedule `step -> rate`, or a traced value.
      b1: how much of the mean goes into a step, in [0, 1).
      b2: decay of the mean, in [0, 1).
      weight_decay: strength of the decoupled decay, 0 or more.
      mask: `params -> tree of bools`: which leaves decay; all by default.

    Raises:
      ValueError: for a rate that is not positive, b1 or b2 outside [0, 1), a negative decay.

    Source: Chen et al., Symbolic Discovery of Optimization Algorithms, 2023.

    Example:
      >>> lion(3e-4)
      lion(learning_rate=0.0003)
    """
    check_adam(learning_rate, b1, b2, 0.0)
    check_least("weight_decay", weight_decay)
    return optax.lion(learning_rate, b1, b2, weight_decay=weight_decay, mask=mask)
