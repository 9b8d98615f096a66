"""Gradient descent that says why it stopped."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


class Descent(NamedTuple):
    """Where gradient descent came to.

    Attributes:
      x: a pytree like the start.
      value: f there.
      gradient_norm: the length of the gradient there, over all leaves.
      steps: how many were made.
      reason: "gradient", "steps" or "non-finite".
      curvature: the least eigenvalue of the Hessian there, where it was asked for: below zero at a saddle.
    """

    x: Any
    value: float
    gradient_norm: float
    steps: int
    reason: str
    curvature: float | None = None

    def __repr__(self) -> str:
        said = {
            "gradient": "the gradient is as small as was asked",
            "steps": "the steps are used up, and the gradient is not small yet",
            "non-finite": "f or its gradient is not finite: try a smaller learning rate",
        }[self.reason]
        if self.curvature is not None and self.reason == "gradient":
            kind = "a saddle or a maximum" if self.curvature < 0 else "a minimum, as far as the second derivative tells"
            said += f"; least curvature {self.curvature:.3g}: {kind}"
        return f"value {self.value:.6g}, gradient norm {self.gradient_norm:.3g} after {self.steps} steps: {said}"


def gradient_descent(
    f: Callable[[Any], Any],
    x: Any,
    *,
    learning_rate: float = 0.1,
    tolerance: float = 1e-6,
    max_steps: int = 10_000,
    curvature: bool = False,
) -> Descent:
    """Steepest descent, `while norm(grad f(x)) > tolerance: x = x - learning_rate * grad f(x)`, at most `max_steps`.

    A small gradient is no proof of a minimum: it is as small at a saddle, and on a plateau. And the loop need not end
    by itself: too large a rate swings for ever, or away.

    Args:
      f: a function of one pytree of floating arrays that gives a number.
      x: where to start.
      learning_rate: of a step.
      tolerance: the length of the gradient at which to stop.
      max_steps: the most steps.
      curvature: whether to look at the Hessian at the end (n x n numbers), to tell a minimum from a saddle.

    Returns:
      A `Descent`, which prints why it stopped.

    Raises:
      ValueError: for a rate, tolerance or number of steps that is not positive, and for an f that gives no number.
      TypeError: for a start that is not floating.

    Source: Cauchy, 1847.

    Example:
      >>> gradient_descent(lambda x: (x - 3.0) ** 2, 0.0).reason
      'gradient'
      >>> saddle = gradient_descent(lambda x: x[0] ** 2 - x[1] ** 2, jnp.array([1.0, 0.0]), curvature=True)
      >>> saddle.reason, saddle.curvature
      ('gradient', -2.0)
    """
    if not (learning_rate > 0 and tolerance > 0 and max_steps > 0):
        raise ValueError(
            f"expected positive learning_rate, tolerance and max_steps, found {learning_rate}, {tolerance}, {max_steps}"
        )
    x = _floating(x)
    if shape := jax.eval_shape(f, x).shape:
        raise ValueError(f"f: expected a function that gives one number, found an array {shape}; take its mean or sum")
    measure = jax.value_and_grad(f)

    def is_going(carry: Any) -> Any:
        _, value, gradient, steps = carry
        norm = _norm(gradient)
        return jnp.isfinite(value) & jnp.isfinite(norm) & (norm > tolerance) & (steps < max_steps)

    def step(carry: Any) -> Any:
        x, _, gradient, steps = carry
        x = jax.tree.map(lambda leaf, g: leaf - jnp.asarray(learning_rate, leaf.dtype) * g, x, gradient)
        return x, *measure(x), steps + 1

    x, value, gradient, steps = jax.jit(lambda x: lax.while_loop(is_going, step, (x, *measure(x), jnp.int32(0))))(x)
    norm = float(_norm(gradient))
    finite = np.isfinite(norm) and np.isfinite(float(value))
    reason = "non-finite" if not finite else "gradient" if norm <= tolerance else "steps"
    least = _least_curvature(f, x) if curvature and finite else None
    return Descent(x, float(value), norm, int(steps), reason, least)


def _norm(tree: Any) -> jax.Array:
    return jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree)))


def _least_curvature(f: Callable[[Any], Any], x: Any) -> float:
    from jax.flatten_util import ravel_pytree

    flat, back = ravel_pytree(x)
    return float(jnp.linalg.eigvalsh(jax.hessian(lambda flat: f(back(flat)))(flat))[0])


def _floating(x: Any) -> Any:
    for path, leaf in jax.tree_util.tree_leaves_with_path(x):
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            place = jax.tree_util.keystr(path) or "x"
            raise TypeError(f"x: expected floating arrays, found {jnp.result_type(leaf)} at {place}: use 1.0 for 1")
    return jax.tree.map(jnp.asarray, x)
