"""Losses of regression."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.losses._checks import as_floating, expect_number, masked, per_example, same_shape, zero_outside


def mse(predictions: Any, targets: Any, *, where: Any = None) -> jax.Array:
    """Squared error, `(prediction - target)^2`, averaged over the last axis where there are two or more.

    With Gaussian noise of fixed variance its minimum is the maximum-likelihood estimate. `optax.l2_loss` is half of it.

    Args:
      predictions: (N, features), (..., features) or (N,).
      targets: of exactly that shape.
      where: booleans that broadcast to the loss; it is 0 where they are false, and so is its gradient.

    Returns:
      (N,) or (...): one value per example or position.

    Raises:
      ValueError: where the shapes differ: (N,) against (N, 1) would broadcast to (N, N).

    Example:
      >>> mse(jnp.array([[1.0, 2.0]]), jnp.array([[0.0, 0.0]]))
      Array([2.5], dtype=float32)
    """
    return _of_difference("mse", jnp.square, predictions, targets, where)


def mae(predictions: Any, targets: Any, *, where: Any = None) -> jax.Array:
    """Absolute error, `|prediction - target|`, averaged over the last axis where there are two or more.

    Its minimum is the median, where that of the squared error is the mean.

    Args:
      predictions: (N, features), (..., features) or (N,).
      targets: of exactly that shape.
      where: as in `mse`.

    Returns:
      (N,) or (...): one value per example or position.

    Raises:
      ValueError: where the shapes differ.

    Example:
      >>> mae(jnp.array([[1.0, 2.0]]), jnp.array([[0.0, 0.0]]))
      Array([1.5], dtype=float32)
    """
    return _of_difference("mae", jnp.abs, predictions, targets, where)


def huber(predictions: Any, targets: Any, *, delta: float = 1.0, where: Any = None) -> jax.Array:
    """Huber's loss of the error e: `e^2 / 2` up to `delta`, and `delta * (|e| - delta / 2)` beyond it.

    Quadratic near 0 and linear far away, so that outliers pull no harder than others.

    Args:
      predictions: (N, features), (..., features) or (N,).
      targets: of exactly that shape.
      delta: where the one becomes the other, in units of the targets.
      where: as in `mse`.

    Returns:
      (N,) or (...), averaged over the last axis where there are two or more.

    Raises:
      ValueError: where the shapes differ, and for a delta that is not positive.

    Source: Huber, 1964.

    Example:
      >>> huber(jnp.array([0.5, 3.0]), jnp.array([0.0, 0.0]))
      Array([0.125, 2.5  ], dtype=float32)
    """
    expect_number("delta", delta, 0, open_low=True)

    def loss(error: jax.Array) -> jax.Array:
        near = jnp.minimum(jnp.abs(error), delta)
        return 0.5 * jnp.square(near) + delta * (jnp.abs(error) - near)

    return _of_difference("huber", loss, predictions, targets, where)


def log_cosh(predictions: Any, targets: Any, *, where: Any = None) -> jax.Array:
    """Logarithm of the hyperbolic cosine of the error e, about `e^2 / 2` near 0 and `|e| - log 2` far away.

    Args:
      predictions: (N, features), (..., features) or (N,).
      targets: of exactly that shape.
      where: as in `mse`.

    Returns:
      (N,) or (...), averaged over the last axis where there are two or more.

    Example:
      >>> log_cosh(jnp.array([0.0, 1e4]), jnp.array([0.0, 0.0])).round(1)
      Array([   0. , 9999.3], dtype=float32)
    """
    # log((e^x + e^-x) / 2) without the overflow of e^x.
    loss = lambda error: jnp.logaddexp(error, -error) - jnp.log(jnp.asarray(2.0, error.dtype))
    return _of_difference("log_cosh", loss, predictions, targets, where)


def gaussian_nll(predictions: Any, targets: Any, *, full: bool = False, where: Any = None) -> jax.Array:
    """Negative log-likelihood of a Gaussian, `(log_variance + (target - mean)^2 / variance) / 2`.

    The model says how sure it is. With the variance held fixed it is the squared error, up to a factor and a constant.

    Args:
      predictions: a pair (mean, log_variance), each of the shape of the targets. The logarithm keeps the variance
        positive; PyTorch takes the variance itself.
      targets: (N, features), (..., features) or (N,).
      full: whether to add `log(2 pi) / 2`, which changes no gradient.
      where: as in `mse`.

    Returns:
      (N,) or (...), averaged over the last axis where there are two or more.

    Raises:
      TypeError: for predictions that are no pair.

    Source: Nix and Weigend, 1994.

    Example:
      >>> gaussian_nll((jnp.array([1.0]), jnp.array([0.0])), jnp.array([3.0]))
      Array([2.], dtype=float32)
    """
    if not isinstance(predictions, tuple | list) or len(predictions) != 2:
        raise TypeError(f"gaussian_nll: expected a pair (mean, log_variance), found {type(predictions).__name__}")
    mean, log_variance = as_floating("gaussian_nll", *predictions)
    _, goal = same_shape("gaussian_nll", mean, targets)
    same_shape("gaussian_nll: log_variance and", log_variance, targets)
    shape = mean.shape[: max(1, mean.ndim - 1)]
    mean, log_variance, goal = masked(where, shape, mean, log_variance, goal.astype(mean.dtype))
    loss = 0.5 * (log_variance + jnp.square(goal - mean) * jnp.exp(-log_variance))
    return zero_outside(where, per_example(loss + 0.5 * np.log(2 * np.pi) if full else loss))


def _of_difference(name: str, loss: Any, predictions: Any, targets: Any, where: Any) -> jax.Array:
    predictions, targets = same_shape(name, predictions, targets)
    shape = predictions.shape[: max(1, predictions.ndim - 1)]
    predictions, targets = masked(where, shape, predictions, targets)
    return zero_outside(where, per_example(loss(predictions - targets)))
