"""Linear models at the optimum of their objective: no rate to choose, no steps to count."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from dlcore import losses


def linear_regression(x: Any, y: Any, *, strength: float = 0.0) -> dict[str, jax.Array]:
    """Least squares, or ridge regression: the minimum of `sum (x @ kernel + bias - y)^2 + strength * |kernel|^2`.

    It is found by a decomposition of the centred inputs, not by descent; of several minima (where features depend on
    each other) it is the one of least length. The bias is not penalised.

    Args:
      x: (N, features).
      y: (N,) or (N, outputs).
      strength: of the penalty, as `alpha` of scikit-learn's `Ridge`.

    Returns:
      The params of `dl.dense(outputs)`, `kernel` (features, outputs) and `bias` (outputs,); as the child `out` those of
      `dl.models.linear(outputs)`.

    Raises:
      ValueError: for shapes that do not fit, and a negative strength.

    Source: Legendre, 1805; Hoerl and Kennard, 1970.

    Example:
      >>> params = linear_regression(jnp.array([[0.0], [1.0], [2.0]]), jnp.array([1.0, 3.0, 5.0]))
      >>> params["kernel"].round(3).tolist(), params["bias"].round(3).tolist()
      ([[2.0]], [1.0])
    """
    x, y = jnp.asarray(x, float), jnp.asarray(y, float)
    y = y[:, None] if y.ndim == 1 else y
    _check(x, y[:, 0], strength)
    mean, goal = x.mean(0), y.mean(0)
    u, s, v = jnp.linalg.svd(x - mean, full_matrices=False)
    least = s[0] * max(x.shape) * jnp.finfo(x.dtype).eps
    scale = jnp.where(s > least, s / jnp.where(s > least, jnp.square(s) + strength, 1), 0)
    kernel = v.T @ (scale[:, None] * (u.T @ (y - goal)))
    return {"kernel": kernel, "bias": goal - mean @ kernel}


def logistic_regression(
    x: Any, y: Any, *, classes: int | None = None, strength: float = 1.0, tolerance: float = 1e-6, max_steps: int = 2000
) -> dict[str, jax.Array]:
    """Softmax regression at the minimum of `sum cross_entropy(x @ kernel + bias, y) + strength / 2 * |kernel|^2`.

    The objective is convex in the weights, so there is one minimum; L-BFGS finds it. For two classes it is logistic
    regression with a kernel for each: their difference is that of the usual form, which has half the strength. Features
    should be of one size: standardise them.

    Args:
      x: (N, features).
      y: integer labels (N,).
      classes: how many; one more than the largest label unless given.
      strength: of the penalty, `1 / C` of scikit-learn's `LogisticRegression`. Without one, classes that a line
        separates have no minimum: the weights would grow for ever.
      tolerance: length of the gradient, relative to the number of examples, at which to stop.
      max_steps: the most steps.

    Returns:
      The params of `dl.dense(classes)`, `kernel` (features, classes) and `bias` (classes,); as the child `out` those of
      `dl.models.softmax_regression(classes)`.

    Raises:
      ValueError: for shapes that do not fit, and a negative strength.

    Source: Cox, 1958; Liu and Nocedal, 1989 (L-BFGS).

    Example:
      >>> params = logistic_regression(jnp.array([[-1.0], [1.0]]), jnp.array([0, 1]))
      >>> bool(params["kernel"][0, 1] > 0)
      True
    """
    x, labels = jnp.asarray(x, float), jnp.asarray(y)
    _check(x, labels, strength)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"y: labels are integers, found {labels.dtype}: y.astype('int32')")
    classes = classes or int(labels.max()) + 1

    def objective(params: Any) -> jax.Array:
        loss = losses.cross_entropy(x @ params["kernel"] + params["bias"], labels)
        return loss.mean() + strength / 2 * jnp.square(params["kernel"]).sum() / len(x)

    start = {"kernel": jnp.zeros((x.shape[1], classes), x.dtype), "bias": jnp.zeros(classes, x.dtype)}
    return _minimise(objective, start, tolerance, max_steps)


def _minimise(objective: Callable[[Any], Any], start: Any, tolerance: float, max_steps: int) -> Any:
    method = optax.lbfgs()
    measure = optax.value_and_grad_from_state(objective)

    def step(carry: Any) -> Any:
        params, state, _, steps = carry
        value, gradient = measure(params, state=state)
        change, state = method.update(gradient, state, params, value=value, grad=gradient, value_fn=objective)
        return optax.apply_updates(params, change), state, optax.tree.norm(gradient), steps + 1

    def is_going(carry: Any) -> Any:
        return (carry[2] > tolerance) & (carry[3] < max_steps)

    run = jax.jit(lambda p: lax.while_loop(is_going, step, (p, method.init(p), jnp.inf, jnp.int32(0)))[0])
    return run(start)


def _check(x: Any, y: Any, strength: float) -> None:
    if x.ndim != 2 or y.shape != x.shape[:1] or not len(x):
        raise ValueError(f"expected x (N, features) and y (N,), one or more, found {x.shape} and {y.shape}")
    if not 0 <= strength < np.inf:
        raise ValueError(f"strength: expected a number of 0 or more, found {strength}")
