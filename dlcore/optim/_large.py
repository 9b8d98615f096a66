"""For large batches and large matrices: steps scaled layer by layer, or made orthogonal."""

from typing import Any

import optax
from optax import contrib

from dlcore.optim._checks import check_adam, check_least, check_rate, check_share
from dlcore.optim._optimizer import Rate, optimizer


@optimizer
def lars(
    learning_rate: Rate = 0.1,
    momentum: float = 0.9,
    *,
    trust: float = 1e-3,
    weight_decay: float = 0.0,
    mask: Any = True,
) -> Any:
    """LARS: momentum on gradients scaled to each leaf, `trust * |w| / |g + weight_decay * w|`.

    Args:
      learning_rate: a number, a schedule `step -> rate`, or a traced value.
      momentum: the share of the velocity that is kept, in [0, 1).
      trust: the size of a step relative to the weights.
      weight_decay: strength of the coupled decay, 0 or more.
      mask: `params -> tree of bools`: which leaves decay and are scaled; all by default, and commonly kernels alone.

    Raises:
      ValueError: for a rate that is not positive, a momentum outside [0, 1), a negative trust or decay.

    Source: You, Gitman and Ginsburg, Large Batch Training of Convolutional Networks, 2017.

    Example:
      >>> lars(1.0)
      lars(learning_rate=1.0)
    """
    check_rate(learning_rate)
    check_share("momentum", momentum)
    check_least("trust", trust)
    check_least("weight_decay", weight_decay)
    return optax.lars(learning_rate, weight_decay, mask, trust, trust_ratio_mask=mask, momentum=momentum)


@optimizer
def lamb(
    learning_rate: Rate = 1e-3,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
    mask: Any = None,
) -> Any:
    """LAMB: Adam's step u with decay, scaled leaf by leaf to the size of the weights, `|w| / |u + weight_decay * w|`.

    Args:
      learning_rate: a number, a schedule `step -> rate`, or a traced value.
      b1: decay of the mean of the gradient, in [0, 1).
      b2: decay of the mean of its square, in [0, 1).
      eps: added outside the root.
      weight_decay: strength of the decay, 0 or more.
      mask: `params -> tree of bools`: which leaves decay; all by default.

    Raises:
      ValueError: for a rate that is not positive, b1 or b2 outside [0, 1), a negative eps or decay.

    Source: You et al., Large Batch Optimization for Deep Learning: Training BERT in 76 Minutes, 2020.

    Example:
      >>> lamb(weight_decay=0.01)
      lamb(weight_decay=0.01)
    """
    check_adam(learning_rate, b1, b2, eps)
    check_least("weight_decay", weight_decay)
    return optax.lamb(learning_rate, b1, b2, eps, weight_decay=weight_decay, mask=mask)


@optimizer
def adafactor(
    learning_rate: Rate = 1e-2,
    *,
    least_factored: int = 128,
    decay_rate: float = 0.8,
    clip: float = 1.0,
    relative: bool = True,
) -> Any:
    """AdaFactor: the mean of squares of a matrix is kept as one row and one column, so memory hardly grows.

    Args:
      learning_rate: a number, a schedule `step -> rate`, or a traced value.
      least_factored: the smallest two sizes of a matrix that is factored.
      decay_rate: the decay at step t is `1 - t^-decay_rate`.
      clip: the largest root mean square of a step before the rate.
      relative: whether steps are scaled by the size of the leaf.

    Raises:
      ValueError: for a rate that is not positive, a negative decay or clip.

    Source: Shazeer and Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost, 2018.

    Example:
      >>> adafactor(1e-3)
      adafactor(learning_rate=0.001)
    """
    check_rate(learning_rate)
    check_least("decay_rate", decay_rate)
    check_least("clip", clip)
    options: dict[str, Any] = {"multiply_by_parameter_scale": relative, "clipping_threshold": clip}
    return optax.adafactor(learning_rate, least_factored, decay_rate, **options)


@optimizer
def muon(
    learning_rate: Rate = 0.02,
    *,
    momentum: float = 0.95,
    nesterov: bool = True,
    iterations: int = 5,
    weight_decay: float = 0.0,
    adam_rate: Rate | None = None,
) -> Any:
    """Muon: momentum made nearly orthogonal by Newton-Schulz iterations, for matrices; Adam for all other leaves.

    Args:
      learning_rate: a number, a schedule `step -> rate`, or a traced value.
      momentum: the share of the velocity that is kept, in [0, 1).
      nesterov: whether to look ahead.
      iterations: how often it is iterated.
      weight_decay: strength of the decoupled decay of matrices, 0 or more.
      adam_rate: the rate of the other leaves; the same unless given.

    Raises:
      ValueError: for a rate that is not positive, a momentum outside [0, 1), a negative decay.

    Source: Jordan et al., Muon: An Optimizer for Hidden Layers in Neural Networks, 2024.

    Example:
      >>> muon(0.01)
      muon(learning_rate=0.01)
    """
    check_rate(learning_rate)
    check_share("momentum", momentum)
    check_least("weight_decay", weight_decay)
    options: dict[str, Any] = {"weight_decay": weight_decay, "nesterov": nesterov, "adam_learning_rate": adam_rate}
    return contrib.muon(learning_rate, ns_steps=iterations, beta=momentum, **options)
