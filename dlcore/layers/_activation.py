"""The common activations as layers, so that a model prints, and names, every step it takes."""

from dlcore import activations
from dlcore.core import Layer, lambda_layer, layer


@layer
def relu() -> Layer:
    """Layer of `dlcore.activations.relu`, `max(x, 0)`."""
    return lambda_layer(activations.relu)


@layer
def leaky_relu(negative_slope: float = 0.01) -> Layer:
    """Layer of `dlcore.activations.leaky_relu`, `x` above zero and `negative_slope * x` below."""
    return lambda_layer(lambda x: activations.leaky_relu(x, negative_slope))


@layer
def elu(alpha: float = 1.0) -> Layer:
    """Layer of `dlcore.activations.elu`, `x` above zero and `alpha * (exp(x) - 1)` below."""
    return lambda_layer(lambda x: activations.elu(x, alpha))


@layer
def gelu(approximate: bool = False) -> Layer:
    """Layer of `dlcore.activations.gelu`, `x * Phi(x)`; exact by default."""
    return lambda_layer(lambda x: activations.gelu(x, approximate))


@layer
def silu() -> Layer:
    """Layer of `dlcore.activations.silu`, `x * sigmoid(x)`."""
    return lambda_layer(activations.silu)


@layer
def sigmoid() -> Layer:
    """Layer of `dlcore.activations.sigmoid`, `1 / (1 + exp(-x))`."""
    return lambda_layer(activations.sigmoid)


@layer
def tanh() -> Layer:
    """Layer of `dlcore.activations.tanh`."""
    return lambda_layer(activations.tanh)


@layer
def softplus() -> Layer:
    """Layer of `dlcore.activations.softplus`, `log(1 + exp(x))`."""
    return lambda_layer(activations.softplus)


@layer
def softmax() -> Layer:
    """Layer of `dlcore.activations.softmax` over the last axis. Losses take logits: do not end a classifier with it."""
    return lambda_layer(activations.softmax)


@layer
def log_softmax() -> Layer:
    """Layer of `dlcore.activations.log_softmax` over the last axis."""
    return lambda_layer(activations.log_softmax)
