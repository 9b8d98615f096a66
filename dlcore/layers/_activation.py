"""The activations as layers, so that a model prints, and names, every step it takes."""

from typing import Literal

from dlcore import activations
from dlcore.core import Layer, lambda_layer, layer


@layer
def identity() -> Layer:
    """Layer of `dlcore.activations.identity`: what comes in goes out."""
    return lambda_layer(activations.identity)


@layer
def step(surrogate: Literal["zero", "straight_through"] = "zero") -> Layer:
    """Layer of `dlcore.activations.step`, 1 above zero and 0 else; with `surrogate` gradients pass beneath it."""
    return lambda_layer(lambda x: activations.step(x, surrogate))


@layer
def relu() -> Layer:
    """Layer of `dlcore.activations.relu`, `max(x, 0)`."""
    return lambda_layer(activations.relu)


@layer
def relu6() -> Layer:
    """Layer of `dlcore.activations.relu6`, `min(max(x, 0), 6)`."""
    return lambda_layer(activations.relu6)


@layer
def leaky_relu(negative_slope: float = 0.01) -> Layer:
    """Layer of `dlcore.activations.leaky_relu`, `x` above zero and `negative_slope * x` below."""
    return lambda_layer(lambda x: activations.leaky_relu(x, negative_slope))


@layer
def elu(alpha: float = 1.0) -> Layer:
    """Layer of `dlcore.activations.elu`, `x` above zero and `alpha * (exp(x) - 1)` below."""
    return lambda_layer(lambda x: activations.elu(x, alpha))


@layer
def selu() -> Layer:
    """Layer of `dlcore.activations.selu`, `1.0507 * elu(x, 1.6733)`: self-normalising with `lecun_normal` weights."""
    return lambda_layer(activations.selu)


@layer
def celu(alpha: float = 1.0) -> Layer:
    """Layer of `dlcore.activations.celu`, `x` above zero and `alpha * (exp(x / alpha) - 1)` below."""
    return lambda_layer(lambda x: activations.celu(x, alpha))


@layer
def gelu(approximate: bool = False) -> Layer:
    """Layer of `dlcore.activations.gelu`, `x * Phi(x)`; exact by default."""
    return lambda_layer(lambda x: activations.gelu(x, approximate))


@layer
def silu() -> Layer:
    """Layer of `dlcore.activations.silu`, `x * sigmoid(x)`; `swish` is another name for it."""
    return lambda_layer(activations.silu)


swish = silu


@layer
def mish() -> Layer:
    """Layer of `dlcore.activations.mish`, `x * tanh(softplus(x))`."""
    return lambda_layer(activations.mish)


@layer
def softplus() -> Layer:
    """Layer of `dlcore.activations.softplus`, `log(1 + exp(x))`."""
    return lambda_layer(activations.softplus)


@layer
def sigmoid() -> Layer:
    """Layer of `dlcore.activations.sigmoid`, `1 / (1 + exp(-x))`."""
    return lambda_layer(activations.sigmoid)


@layer
def log_sigmoid() -> Layer:
    """Layer of `dlcore.activations.log_sigmoid`, `-log(1 + exp(-x))`."""
    return lambda_layer(activations.log_sigmoid)


@layer
def tanh() -> Layer:
    """Layer of `dlcore.activations.tanh`."""
    return lambda_layer(activations.tanh)


@layer
def softsign() -> Layer:
    """Layer of `dlcore.activations.softsign`, `x / (1 + |x|)`."""
    return lambda_layer(activations.softsign)


@layer
def hard_sigmoid() -> Layer:
    """Layer of `dlcore.activations.hard_sigmoid`, `min(max(x + 3, 0), 6) / 6`."""
    return lambda_layer(activations.hard_sigmoid)


@layer
def hard_swish() -> Layer:
    """Layer of `dlcore.activations.hard_swish`, `x * hard_sigmoid(x)`."""
    return lambda_layer(activations.hard_swish)


@layer
def hard_tanh() -> Layer:
    """Layer of `dlcore.activations.hard_tanh`, `min(max(x, -1), 1)`."""
    return lambda_layer(activations.hard_tanh)


@layer
def growing_cosine() -> Layer:
    """Layer of `dlcore.activations.growing_cosine`, `x * cos(x)`: one unit with it solves XOR."""
    return lambda_layer(activations.growing_cosine)


@layer
def softmax(axis: int = -1) -> Layer:
    """Layer of `dlcore.activations.softmax`; a mask may be a second input, `(x, where)`.

    Losses take logits: do not end a classifier with it.
    """
    return lambda_layer(lambda x, where=None: activations.softmax(x, axis, where))


@layer
def log_softmax(axis: int = -1) -> Layer:
    """Layer of `dlcore.activations.log_softmax`; a mask may be a second input, `(x, where)`."""
    return lambda_layer(lambda x, where=None: activations.log_softmax(x, axis, where))
