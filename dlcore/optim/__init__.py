"""Optimizers and schedules: optax's, with a recipe, plain names, and their hyperparameters checked where concrete.

Each optimizer is an `optax.GradientTransformation` like any other. `fit` takes any optax optimizer; these are known to
it, so a new learning rate compiles nothing. Schedules are functions `step -> rate`, and stand where a rate does.
"""

from dlcore.optim._adabound import adabound
from dlcore.optim._adam import adabelief, adam, adamw, lion, nadam, radam
from dlcore.optim._adaptive import adadelta, adagrad, rmsprop
from dlcore.optim._average import accumulate, averaged_weights, ema, lookahead, plateau, swa
from dlcore.optim._large import adafactor, lamb, lars, muon
from dlcore.optim._momentum import momentum, sgd
from dlcore.optim._optimizer import Optimizer, optimizer
from dlcore.optim._sam import sam
from dlcore.optim._schedules import (
    constant,
    cosine_decay,
    exponential_decay,
    inverse_sqrt,
    linear,
    one_cycle,
    piecewise,
    polynomial,
    step_decay,
    warmup_cosine,
)
from dlcore.optim._transform import (
    adaptive_clip,
    chain,
    clip_by_norm,
    clip_by_value,
    coupled_l2,
    decay_mask,
    decoupled_decay,
    max_norm,
    proximal_l1,
)

__all__ = [
    "Optimizer",
    "accumulate",
    "adabelief",
    "adabound",
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamw",
    "adaptive_clip",
    "averaged_weights",
    "chain",
    "clip_by_norm",
    "clip_by_value",
    "constant",
    "cosine_decay",
    "coupled_l2",
    "decay_mask",
    "decoupled_decay",
    "ema",
    "exponential_decay",
    "inverse_sqrt",
    "lamb",
    "lars",
    "linear",
    "lion",
    "lookahead",
    "max_norm",
    "momentum",
    "muon",
    "nadam",
    "one_cycle",
    "optimizer",
    "piecewise",
    "plateau",
    "polynomial",
    "proximal_l1",
    "radam",
    "rmsprop",
    "sam",
    "sgd",
    "step_decay",
    "swa",
    "warmup_cosine",
]
