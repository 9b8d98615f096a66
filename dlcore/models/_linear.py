"""Models that are one linear map."""

from typing import Any

from dlcore import layers
from dlcore.core import layer
from dlcore.initializers import zeros


@layer
def linear(features: int = 1) -> Any:
    """Linear regression, `y = x @ kernel + bias`; with squared error its optimum is the least-squares fit.

    It starts from zeros: the problem is convex, and there is no symmetry to break.

    Args:
      features: number of outputs.

    Returns:
      A layer from (B, ...) to (B, features).

    Source: Legendre, 1805; Gauss, 1809.

    Example:
      >>> linear()
      linear()
    """
    return layers.serial(layers.flatten(), out=layers.dense(features, kernel_init=zeros))


@layer
def softmax_regression(classes: int) -> Any:
    """Softmax regression (multinomial logistic regression), `logits = x @ kernel + bias`; train it with cross-entropy.

    Args:
      classes: number of classes.

    Returns:
      A layer from (B, ...) to logits (B, classes).

    Source: Cox, 1958 (two classes); Theil, 1969.

    Example:
      >>> softmax_regression(10)
      softmax_regression(10)
    """
    return layers.serial(layers.flatten(), out=layers.dense(classes, kernel_init=zeros))
