"""The activations as layers, so that a model prints, and names, every step it takes."""

from dlcore import activations
from dlcore.core import Layer, lambda_layer, layer


@layer
def celu(alpha: float = 1.0) -> Layer:
    """Layer of `dlcore.activations.celu`, `x` above zero and `alpha * (exp(x / alpha) - 1)` below."""
    return lambda_layer(lambda x: activations.celu(x, alpha))


@layer
def elu(alpha: float = 1.0) -> Layer:
    """Layer of `dlcore.activations.elu`, `x` above zero and `alpha * (exp(x) - 1)` below."""
    return lambda_layer(lambda x: activations.elu(x, alpha))


@layer
def geglu() -> Layer:
    """Layer of `dlcore.activations.geglu`, `a * gelu(b)` of the halves of the last axis."""
    return lambda_layer(activations.geglu)


@layer
def gelu(approximate: bool = False) -> Layer:
    """Layer of `dlcore.activations.gelu`, `x * Phi(x)`; exact by default."""
    return lambda_layer(lambda x: activations.gelu(x, approximate))


@layer
def glu() -> Layer:
    """Layer of `dlcore.activations.glu`, `a * sigmoid(b)` of the halves of the last axis."""
    return lambda_layer(activations.glu)


@layer
def hard_sigmoid() -> Layer:
    """Layer of `dlcore.activations.hard_sigmoid`, `relu6(x + 3) / 6`."""
    return lambda_layer(activations.hard_sigmoid)


@layer
def hard_swish() -> Layer:
    """Layer of `dlcore.activations.hard_swish`, `x * relu6(x + 3) / 6`."""
    return lambda_layer(activations.hard_swish)


@layer
def hard_tanh() -> Layer:
    """Layer of `dlcore.activations.hard_tanh`, `min(max(x, -1), 1)`."""
    return lambda_layer(activations.hard_tanh)


@layer
def identity() -> Layer:
    """Layer of `dlcore.activations.identity`, the input as it is."""
    return lambda_layer(activations.identity)


@layer
def leaky_relu(negative_slope: float = 0.01) -> Layer:
    """Layer of `dlcore.activations.leaky_relu`, `x` above zero and `negative_slope * x` below."""
    return lambda_layer(lambda x: activations.leaky_relu(x, negative_slope))


@layer
def log_sigmoid() -> Layer:
    """Layer of `dlcore.activations.log_sigmoid`, `-softplus(-x)`."""
    return lambda_layer(activations.log_sigmoid)


@layer
def log_softmax(axis: int = -1) -> Layer:
    """Layer of `dlcore.activations.log_softmax`, the logarithm of the softmax."""
    return lambda_layer(lambda x: activations.log_softmax(x, axis))


@layer
def mish() -> Layer:
    """Layer of `dlcore.activations.mish`, `x * tanh(softplus(x))`."""
    return lambda_layer(activations.mish)


@layer
def oscillating() -> Layer:
    """Layer of `dlcore.activations.oscillating`, `x * cos(x)`."""
    return lambda_layer(activations.oscillating)


@layer
def reglu() -> Layer:
    """Layer of `dlcore.activations.reglu`, `a * relu(b)` of the halves of the last axis."""
    return lambda_layer(activations.reglu)


@layer
def relu() -> Layer:
    """Layer of `dlcore.activations.relu`, `max(x, 0)`."""
    return lambda_layer(activations.relu)


@layer
def relu6() -> Layer:
    """Layer of `dlcore.activations.relu6`, `min(max(x, 0), 6)`."""
    return lambda_layer(activations.relu6)


@layer
def selu() -> Layer:
    """Layer of `dlcore.activations.selu`, scaled ELU."""
    return lambda_layer(activations.selu)


@layer
def sigmoid() -> Layer:
    """Layer of `dlcore.activations.sigmoid`, `1 / (1 + exp(-x))`."""
    return lambda_layer(activations.sigmoid)


@layer
def silu() -> Layer:
    """Layer of `dlcore.activations.silu`, `x * sigmoid(x)`."""
    return lambda_layer(activations.silu)


@layer
def softmax(axis: int = -1) -> Layer:
    """Layer of `dlcore.activations.softmax`, of logits: losses take logits, so do not end a classifier with it."""
    return lambda_layer(lambda x: activations.softmax(x, axis))


@layer
def softplus() -> Layer:
    """Layer of `dlcore.activations.softplus`, `log(1 + exp(x))`."""
    return lambda_layer(activations.softplus)


@layer
def softsign() -> Layer:
    """Layer of `dlcore.activations.softsign`, `x / (1 + |x|)`."""
    return lambda_layer(activations.softsign)


@layer
def step(surrogate: str = "zero") -> Layer:
    """Layer of `dlcore.activations.step`, 1 above zero and 0 elsewhere."""
    return lambda_layer(lambda x: activations.step(x, surrogate))


@layer
def swiglu() -> Layer:
    """Layer of `dlcore.activations.swiglu`, `a * silu(b)` of the halves of the last axis."""
    return lambda_layer(activations.swiglu)


@layer
def swish(beta: float = 1.0) -> Layer:
    """Layer of `dlcore.activations.swish`, `x * sigmoid(beta * x)`."""
    return lambda_layer(lambda x: activations.swish(x, beta))


@layer
def tanh() -> Layer:
    """Layer of `dlcore.activations.tanh`, the hyperbolic tangent."""
    return lambda_layer(activations.tanh)
