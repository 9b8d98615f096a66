"""The perceptron and its learning rule."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


class PerceptronFit(NamedTuple):
    """What the learning rule came to.

    Attributes:
      weights: (features,).
      bias: a number.
      converged: whether every example is on its side.
      epochs: passes over the examples.
      updates: corrections that were made.
      mistakes: examples on the wrong side at the end.
      reason: why it stopped, in words.
    """

    weights: jax.Array
    bias: jax.Array
    converged: bool
    epochs: int
    updates: int
    mistakes: int
    reason: str


def perceptron(x: Any, weights: Any, bias: Any = 0.0) -> jax.Array:
    """Rosenblatt's unit, `1 if x . weights + bias > 0 else 0`. (A threshold T is a bias of -T.)

    Args:
      x: (..., features).
      weights: (features,).
      bias: a number.

    Returns:
      (...) of 0 and 1, int32.

    Source: Rosenblatt, 1958.

    Example:
      >>> perceptron(jnp.array([[0, 0], [1, 1]]), jnp.array([1, 1]), -1.5)  # AND
      Array([0, 1], dtype=int32)
    """
    return (jnp.asarray(x) @ jnp.asarray(weights) + bias > 0).astype(jnp.int32)


def fit_perceptron(x: Any, y: Any, *, learning_rate: float = 1.0, epochs: int = 1000) -> PerceptronFit:
    """The perceptron learning rule, `w + learning_rate * (y - prediction) * x`, example by example.

    It comes to an end if and only if a line separates the classes, after at most (R / margin)^2 corrections (R: the
    largest length of an example, with its bias input of 1). Where it has not, a linear programme tells whether there
    is no such line, or whether it only needs more epochs.

    Args:
      x: (N, features).
      y: (N,) of 0 and 1.
      learning_rate: from zero weights it scales them, and changes no prediction.
      epochs: passes over the examples at most.

    Returns:
      A `PerceptronFit`.

    Raises:
      ValueError: for labels other than 0 and 1, shapes that do not fit, and no examples.

    Source: Rosenblatt, 1958; Novikoff, On Convergence Proofs for Perceptrons, 1962.

    Example:
      >>> gates = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
      >>> fit_perceptron(gates, [0, 0, 0, 1]).reason
      'every example is on its side after 6 epochs'
      >>> fit_perceptron(gates, [0, 1, 1, 0], epochs=10).reason
      'no line separates the classes: no perceptron can'
    """
    inputs, labels = np.asarray(x), np.asarray(y)
    if inputs.ndim != 2 or labels.shape != inputs.shape[:1] or not len(labels):
        raise ValueError(f"expected x (N, features) and y (N,), one or more, found {inputs.shape} and {labels.shape}")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError(
            f"y: expected labels 0 and 1, found {np.unique(labels)[:5]}; (y == name).astype(int) makes them"
        )
    if not learning_rate > 0 or epochs < 1:
        raise ValueError(f"expected a positive learning_rate and epochs, found {learning_rate} and {epochs}")
    (weights, bias), passes, updates, wrong = _learn(
        jnp.asarray(inputs, float), jnp.asarray(labels, jnp.int32), learning_rate, epochs
    )
    mistakes = int(jnp.sum(perceptron(inputs, weights, bias) != labels))
    if not int(wrong):
        reason = f"every example is on its side after {int(passes)} epochs"
    elif is_separable(inputs, labels):
        reason = f"stopped after {epochs} epochs; a line separates the classes, so more epochs will find it"
    else:
        reason = "no line separates the classes: no perceptron can"
    return PerceptronFit(weights, bias, not int(wrong), int(passes), int(updates), mistakes, reason)


def is_separable(x: Any, y: Any) -> bool:
    """Whether a hyperplane has all of one class on its one side: `s_i (x_i . w + b) >= 1` has a solution (s = +-1).

    Args:
      x: (N, features).
      y: (N,) of 0 and 1.

    Source: Minsky and Papert, Perceptrons, 1969 (that XOR has none).

    Example:
      >>> is_separable([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0])
      False
    """
    from scipy.optimize import linprog

    inputs, signs = np.asarray(x, float), 2.0 * np.asarray(y) - 1
    scale = np.abs(inputs).max(0)
    inputs = inputs / np.where(scale > 0, scale, 1)
    rows = -signs[:, None] * np.column_stack([inputs, np.ones(len(inputs))])
    found = linprog(np.zeros(rows.shape[1]), rows, -np.ones(len(rows)), bounds=(None, None), method="highs")
    return found.status == 0


@jax.jit
def _learn(x: jax.Array, y: jax.Array, learning_rate: Any, epochs: Any) -> Any:
    def correct(carry: Any, example: Any) -> Any:
        weights, bias, updates = carry
        row, label = example
        error = label - perceptron(row, weights, bias)
        return (weights + learning_rate * error * row, bias + learning_rate * error, updates + (error != 0)), error != 0

    def one_pass(carry: Any) -> Any:
        (weights, bias), passes, updates, _ = carry
        (weights, bias, updates), wrong = lax.scan(correct, (weights, bias, updates), (x, y))
        return (weights, bias), passes + 1, updates, wrong.sum(dtype=jnp.int32)

    start = ((jnp.zeros_like(x[0]), jnp.zeros((), x.dtype)), jnp.int32(0), jnp.int32(0), jnp.int32(len(y)))
    return lax.while_loop(lambda carry: (carry[3] > 0) & (carry[1] < epochs), one_pass, start)
