"""The multi-layer perceptron."""

from collections.abc import Callable, Sequence
from typing import Any

from dlcore import layers
from dlcore.activations import relu
from dlcore.core import layer
from dlcore.initializers import he_normal, lecun_normal


@layer
def mlp(
    hidden: Sequence[int] = (128, 128),
    classes: int = 10,
    *,
    activation: Callable[..., Any] = relu,
    dropout: Any = 0.0,
) -> Any:
    """Multi-layer perceptron: hidden layers with an activation, and a linear layer on top.

    Without an activation it would be one linear map, whatever its depth.

    Args:
      hidden: sizes of the hidden layers.
      classes: number of outputs.
      activation: a function of arrays, after each hidden layer.
      dropout: rate after each hidden layer, in [0, 1); a traced value will do, and 0 means no dropout layer.

    Returns:
      A layer from (B, ...) to (B, classes).

    Source: Rumelhart, Hinton and Williams, 1986; weights after He et al., 2015.

    Example:
      >>> import jax
      >>> params, state = mlp((32, 16), classes=3).init(jax.random.key(0), jax.ShapeDtypeStruct((8, 4), "float32"))
      >>> sorted(params)
      ['hidden_0', 'hidden_1', 'out']
    """
    parts: dict[str, Any] = {"flatten": layers.flatten()}
    for i, features in enumerate(hidden):
        parts[f"hidden_{i}"] = layers.dense(features, kernel_init=he_normal())
        parts[f"activation_{i}"] = activation
        if not isinstance(dropout, int | float) or dropout:
            parts[f"dropout_{i}"] = layers.dropout(dropout)
    return layers.serial(**parts, out=layers.dense(classes, kernel_init=lecun_normal()))
