"""Models: layers with a name in the literature, one architecture a file."""

from dlcore.models._lenet5 import lenet5
from dlcore.models._linear import linear, softmax_regression
from dlcore.models._mlp import mlp

__all__ = ["lenet5", "linear", "mlp", "softmax_regression"]
