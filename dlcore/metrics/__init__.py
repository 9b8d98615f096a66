"""Metrics.

Those of single examples are functions `(predictions, targets) -> array`, unreduced like losses: give them to `fit`,
which weighs and averages. Those that are read from sums are small pytrees, built of a batch by `of(...)` and added with
`+`, in a `scan`, over lanes and across devices: `Mean`, `Confusion`, `Moments`, `Calibration`. The rest need all scores
at once.
"""

from dlcore.losses import mae, mse
from dlcore.metrics._accuracy import accuracy, brier, top_k
from dlcore.metrics._calibration import Calibration, calibration_error
from dlcore.metrics._confusion import Confusion, confusion_matrix, f1, precision, recall
from dlcore.metrics._ranking import average_precision, roc_auc
from dlcore.metrics._sums import Mean, Moments, perplexity, r2, rmse

__all__ = [
    "Calibration",
    "Confusion",
    "Mean",
    "Moments",
    "accuracy",
    "average_precision",
    "brier",
    "calibration_error",
    "confusion_matrix",
    "f1",
    "mae",
    "mse",
    "perplexity",
    "precision",
    "r2",
    "recall",
    "rmse",
    "roc_auc",
    "top_k",
]
