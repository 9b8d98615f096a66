"""Derivatives by differences, and a check of gradients with them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class GradientCheck(NamedTuple):
    """How well a gradient agrees with differences.

    Attributes:
      error: the largest relative error, `|a - b| / max(1, |a|, |b|)`.
      path: the leaf where it is.
      index: the element of it.
      exact: the gradient there.
      numeric: the difference there.
    """

    error: float
    path: str
    index: tuple[int, ...]
    exact: float
    numeric: float

    def __repr__(self) -> str:
        place = f"{self.path}{list(self.index) if self.index else ''}"
        return f"largest error {self.error:.2g}, at {place}: gradient {self.exact:.6g}, difference {self.numeric:.6g}"


def numerical_gradient(f: Callable[..., Any], *args: Any, epsilon: float | None = None) -> Any:
    """Central differences, `(f(x + e) - f(x - e)) / 2e` for each element of the first argument.

    The error is of order `epsilon^2` by the curve, and of order `machine precision / epsilon` by rounding: it is least
    near the cube root of the precision, which is the default. In float32 three digits are what is to be had; in
    float64 (`jax.enable_x64(True)`) ten.

    Args:
      f: a function that gives a number.
      *args: its arguments; the first is a pytree of floating arrays.
      epsilon: half the width of the difference.

    Returns:
      A pytree like the first argument.

    Raises:
      ValueError: for an epsilon that is not positive, and an f that gives no number.

    Example:
      >>> numerical_gradient(lambda x: x**2, 3.0).round(2)
      Array(6., dtype=float32)
    """
    leaves, tree = jax.tree.flatten(args[0])
    leaves = [jnp.asarray(leaf) for leaf in leaves]
    for leaf in leaves:
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise TypeError(f"expected a pytree of floating arrays, found {leaf.dtype}: use 1.0 for 1")
    if epsilon is not None and not epsilon > 0:
        raise ValueError(f"epsilon: expected a positive number, found {epsilon}")
    if shape := jax.eval_shape(f, *args).shape:
        raise ValueError(f"f: expected a function that gives one number, found an array {shape}; take its mean or sum")

    @jax.jit
    def at(leaves: Any) -> Any:
        return f(jax.tree.unflatten(tree, leaves), *args[1:])

    def slope(number: int, index: tuple[int, ...]) -> Any:
        leaf = leaves[number]
        width = epsilon or float(np.cbrt(jnp.finfo(leaf.dtype).eps)) * max(1.0, abs(float(leaf[index])))
        ends = [leaf.at[index].add(jnp.asarray(sign * width, leaf.dtype)) for sign in (1, -1)]
        high, low = (at([*leaves[:number], end, *leaves[number + 1 :]]) for end in ends)
        return (high - low) / (ends[0][index] - ends[1][index])  # the width that rounding has left

    found = [
        jnp.array([slope(number, index) for index in np.ndindex(leaf.shape)], leaf.dtype).reshape(leaf.shape)
        for number, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(tree, found)


def check_gradient(
    f: Callable[..., Any], *args: Any, gradient: Any = None, epsilon: float | None = None
) -> GradientCheck:
    """Compares the gradient of a function of any pytree with central differences.

    Args:
      f: a function that gives a number.
      *args: its arguments; the first is a pytree of floating arrays.
      gradient: what to check, a pytree like the first argument; `jax.grad(f)` unless given.
      epsilon: half the width of the differences.

    Returns:
      The largest relative error and where it is. In float64 a right gradient is within 1e-7 or so, in float32 within
      1e-2; at a kink, such as that of ReLU at 0, the two may disagree and both be right.

    Example:
      >>> params = {"w": jnp.array([1.0, 2.0]), "b": jnp.array(0.5)}
      >>> loss = lambda p: jnp.sum(jnp.tanh(p["w"]) * p["b"])
      >>> check_gradient(loss, params).error < 1e-2
      True
      >>> check_gradient(loss, params, gradient={"w": jnp.zeros(2), "b": jnp.zeros(())}).path
      "['b']"
    """
    exact = jax.grad(f)(*args) if gradient is None else gradient
    numeric = numerical_gradient(f, *args, epsilon=epsilon)
    if jax.tree.structure(exact) != jax.tree.structure(numeric):
        raise ValueError(f"gradient: expected {jax.tree.structure(numeric)}, found {jax.tree.structure(exact)}")
    worst = GradientCheck(-1.0, "", (), 0.0, 0.0)
    pairs = zip(jax.tree_util.tree_leaves_with_path(exact), jax.tree.leaves(numeric), strict=True)
    for (path, own), other in pairs:
        a, b = np.asarray(own, np.float64), np.asarray(other, np.float64)
        if a.shape != b.shape:
            raise ValueError(f"gradient{jax.tree_util.keystr(path)}: expected shape {b.shape}, found {a.shape}")
        error = np.abs(a - b) / np.maximum(1, np.maximum(np.abs(a), np.abs(b)))
        error = np.where(np.isnan(error), np.inf, error)
        if error.size and error.max() > worst.error:
            index = tuple(int(i) for i in np.unravel_index(error.argmax(), error.shape))
            name = jax.tree_util.keystr(path) or "x"
            worst = GradientCheck(float(error.max()), name, index, float(a[index]), float(b[index]))
    return worst
