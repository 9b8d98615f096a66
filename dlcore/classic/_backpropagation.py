"""Backpropagation by hand: the four equations of a multilayer perceptron, each by itself.

Rows are examples, so a layer is `z = a_before @ kernel + bias`, `a = activation(z)`; `delta` is the gradient of the
cost with respect to z. Parameters are a list of layers, each `{"kernel": (inputs, outputs), "bias": (outputs,)}`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dlcore import losses

Params = Sequence[Mapping[str, jax.Array]]
Activation = Callable[[jax.Array], jax.Array]


class Forward(NamedTuple):
    """Every value on the way forward.

    Attributes:
      sums: z of each layer, (B, outputs).
      activations: the input, and a of each layer: one more than there are sums.
    """

    sums: list[jax.Array]
    activations: list[jax.Array]


class Backward(NamedTuple):
    """Every value on the way back.

    Attributes:
      cost: the mean loss.
      deltas: the error of each layer, (B, outputs): the gradient of the mean loss with respect to z.
      gradients: like the parameters.
    """

    cost: jax.Array
    deltas: list[jax.Array]
    gradients: list[dict[str, jax.Array]]


def feedforward(params: Params, x: Any, activation: Activation, output: Activation | None = None) -> Forward:
    """Runs a multilayer perceptron and keeps every value.

    Args:
      params: the layers.
      x: (B, inputs).
      activation: of the hidden layers.
      output: of the last layer; none unless given, as for losses from logits.

    Example:
      >>> layer = {"kernel": jnp.eye(2), "bias": jnp.zeros(2)}
      >>> feedforward([layer, layer], jnp.array([[-1.0, 2.0]]), jax.nn.relu).activations[-1].tolist()
      [[0.0, 2.0]]
    """
    if not params:
        raise ValueError("params: expected one or more layers, found none")
    sums, activations = [], [jnp.asarray(x)]
    for number, layer in enumerate(params, 1):
        before, kernel = activations[-1], layer["kernel"]
        if before.shape[-1:] != kernel.shape[:1]:
            raise ValueError(f"layer {number}: expected a kernel ({before.shape[-1]}, outputs), found {kernel.shape}")
        sums.append(before @ kernel + layer["bias"])
        act = activation if number < len(params) else output
        activations.append(act(sums[-1]) if act else sums[-1])
    return Forward(sums, activations)


def output_error(z: jax.Array, loss: Callable[[jax.Array], Any], output: Activation | None = None) -> jax.Array:
    """First equation: `delta_L = dC/da * activation'(z_L)`.

    With softmax and cross-entropy taken together, as from logits, it is `a - y`, with no factor of `activation'`; the
    same holds for the sigmoid with binary cross-entropy, and for the identity with half the squared error. It is why
    these pairs belong together: elsewhere a unit that is saturated and wrong learns slowly.

    Args:
      z: the sums of the last layer, (B, outputs).
      loss: gives the cost from the outputs a.
      output: the activation of the last layer, element by element; none unless given.

    Example:
      >>> from dlcore.losses import cross_entropy
      >>> cost = lambda logits: cross_entropy(logits, jnp.array([1])).sum()
      >>> output_error(jnp.zeros((1, 2)), cost).tolist()  # softmax (.5, .5) minus (0, 1)
      [[0.5, -0.5]]
    """
    a = output(z) if output else z
    slope = jax.grad(loss)(a)
    return slope * _derivative(output, z) if output else slope


def error_through_layer(delta: jax.Array, kernel: jax.Array, z: jax.Array, activation: Activation) -> jax.Array:
    """Second equation: `delta_l = (delta_{l+1} @ kernel_{l+1}.T) * activation'(z_l)`.

    Args:
      delta: the error of the next layer, (B, outputs).
      kernel: that of the next layer, (hidden, outputs).
      z: the sums of this layer, (B, hidden).
      activation: of this layer, element by element.

    Example:
      >>> error_through_layer(jnp.ones((1, 1)), jnp.ones((2, 1)), jnp.array([[-1.0, 1.0]]), jax.nn.relu).tolist()
      [[0.0, 1.0]]
    """
    return (delta @ kernel.T) * _derivative(activation, z)


def bias_gradient(delta: jax.Array) -> jax.Array:
    """Third equation: `dC/dbias = delta`, summed over the examples.

    Example:
      >>> bias_gradient(jnp.array([[1.0, 2.0], [3.0, 4.0]])).tolist()
      [4.0, 6.0]
    """
    return delta.sum(axis=0)


def weight_gradient(before: jax.Array, delta: jax.Array) -> jax.Array:
    """Fourth equation: `dC/dkernel = a_before.T @ delta`: what came in, times the error of what went out.

    Example:
      >>> weight_gradient(jnp.array([[1.0, 2.0]]), jnp.array([[3.0]])).tolist()
      [[3.0], [6.0]]
    """
    return before.T @ delta


def backpropagate(
    params: Params,
    x: Any,
    y: Any,
    *,
    activation: Activation = jax.nn.sigmoid,
    loss: Callable[[Any, Any], Any] = losses.cross_entropy,
    output: Activation | None = None,
) -> Backward:
    """The gradient of the mean loss by the four equations; equal to `jax.grad`.

    Args:
      params: the layers.
      x: (B, inputs).
      y: targets, as the loss takes them.
      activation: of the hidden layers, element by element.
      loss: `(outputs, targets) -> (B,)`.
      output: activation of the last layer, element by element; none unless given.

    Source: Rumelhart, Hinton and Williams, Learning Representations by Back-propagating Errors, 1986.

    Example:
      >>> layer = {"kernel": jnp.zeros((2, 2)), "bias": jnp.zeros(2)}
      >>> backpropagate([layer], jnp.ones((1, 2)), jnp.array([0])).deltas[0].tolist()
      [[-0.5, 0.5]]
    """
    sums, activations = feedforward(params, x, activation, output)
    cost = lambda a: jnp.mean(loss(a, y))
    delta = output_error(sums[-1], cost, output)
    deltas = [delta]
    for layer in range(len(params) - 1, 0, -1):
        delta = error_through_layer(delta, params[layer]["kernel"], sums[layer - 1], activation)
        deltas.insert(0, delta)
    gradients = [
        {"kernel": weight_gradient(before, delta), "bias": bias_gradient(delta)}
        for before, delta in zip(activations, deltas, strict=False)
    ]
    return Backward(cost(activations[-1]), deltas, gradients)


def update(params: Params, gradients: Params, learning_rate: float) -> list[Any]:
    """One step of gradient descent, `w - learning_rate * dC/dw`.

    Example:
      >>> update([{"bias": jnp.array([1.0])}], [{"bias": jnp.array([2.0])}], 0.25)[0]["bias"].tolist()
      [0.5]
    """
    return jax.tree.map(lambda leaf, g: leaf - learning_rate * g, list(params), list(gradients))


def _derivative(activation: Activation, z: jax.Array) -> jax.Array:
    return jax.jvp(activation, (z,), (jnp.ones_like(z),))[1]
