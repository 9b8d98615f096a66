"""Gated linear units: as the split of a projection that came before, and as two projections of their own."""

from collections.abc import Callable
from typing import Any

from dlcore import activations
from dlcore.activations import sigmoid
from dlcore.compose import Call, compose
from dlcore.core import Layer, lambda_layer, layer
from dlcore.initializers import Initializer, lecun_normal, zeros
from dlcore.layers._dense import dense


@layer
def glu() -> Layer:
    """Layer of `dlcore.activations.glu`, `a * sigmoid(b)`, from (..., 2 * features) to (..., features)."""
    return lambda_layer(activations.glu)


@layer
def reglu() -> Layer:
    """Layer of `dlcore.activations.reglu`, `a * relu(b)`, from (..., 2 * features) to (..., features)."""
    return lambda_layer(activations.reglu)


@layer
def geglu(approximate: bool = False) -> Layer:
    """Layer of `dlcore.activations.geglu`, `a * gelu(b)`, from (..., 2 * features) to (..., features)."""
    return lambda_layer(lambda x: activations.geglu(x, approximate))


@layer
def swiglu() -> Layer:
    """Layer of `dlcore.activations.swiglu`, `a * silu(b)`, from (..., 2 * features) to (..., features)."""
    return lambda_layer(activations.swiglu)


@layer
def gated_dense(
    features: int,
    *,
    activation: Callable[..., Any] | Layer = sigmoid,
    use_bias: bool = True,
    kernel_init: Initializer = lecun_normal(),
    bias_init: Initializer = zeros,
) -> Any:
    """Gated linear unit as two projections, `(x @ V + c) * activation(x @ W + b)`.

    `dense(2 * features)` followed by `glu()` computes the same, with `V` and `W` side by side in one kernel.

    Args:
      features: number of outputs.
      activation: of the gate, a function of arrays or a layer: `sigmoid` makes a GLU, `relu` a ReGLU, `gelu` a GEGLU,
        `silu` a SwiGLU, and `identity` the bilinear unit.
      use_bias: whether to add biases: Dauphin's units have them, Shazeer's have none.
      kernel_init: initializer of both kernels (inputs, features).
      bias_init: initializer of both biases (features,).

    Returns:
      A layer from (..., inputs) to (..., features), with the children `value`, `gate` and `activation`.

    Raises:
      TypeError: for an input that is not floating.
      ValueError: for a number of inputs that does not fit the params.

    Source: Dauphin, Fan, Auli and Grangier, 2017; Shazeer, 2020.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> params, state = gated_dense(3, use_bias=False).init(jax.random.key(0), jnp.zeros((2, 4)))
      >>> jax.tree.map(jnp.shape, params)
      {'gate': {'kernel': (4, 3)}, 'value': {'kernel': (4, 3)}}
    """
    options = {"use_bias": use_bias, "kernel_init": kernel_init, "bias_init": bias_init}
    children = {"value": dense(features, **options), "gate": dense(features, **options), "activation": activation}
    return compose(_gate, **children)


def _gate(call: Call, x: Any) -> Any:
    return call.value(x) * call.activation(call.gate(x))
