"""Losses: `(predictions, targets) -> array`, unreduced: one value per example, or per position of a sequence.

Whoever calls a loss decides how to weigh and average; `dlcore.train.supervised` sums under a mask. Classification
losses take logits, not probabilities. What `where` leaves out is 0 and has no gradient, whatever stands there.
"""

from dlcore.losses._binary import binary_cross_entropy, binary_focal, hinge, squared_hinge
from dlcore.losses._cross_entropy import cross_entropy, focal, multiclass_hinge
from dlcore.losses._ctc import ctc
from dlcore.losses._divergence import entropy, kl_divergence
from dlcore.losses._partial import partial
from dlcore.losses._penalties import elastic_penalty, is_kernel, l1_penalty, l2_penalty
from dlcore.losses._regression import gaussian_nll, huber, log_cosh, mae, mse
from dlcore.losses._similarity import cosine, info_nce, nt_xent, triplet

__all__ = [
    "binary_cross_entropy",
    "binary_focal",
    "cosine",
    "cross_entropy",
    "ctc",
    "elastic_penalty",
    "entropy",
    "focal",
    "gaussian_nll",
    "hinge",
    "huber",
    "info_nce",
    "is_kernel",
    "kl_divergence",
    "l1_penalty",
    "l2_penalty",
    "log_cosh",
    "mae",
    "mse",
    "multiclass_hinge",
    "nt_xent",
    "partial",
    "squared_hinge",
    "triplet",
]
