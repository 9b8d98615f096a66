"""One program per augmentation, whatever is around it: so that eager, compiled and scanned calls give the same bits."""

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax import lax


def sealed(*static: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Marks a function of arrays: its bits do not depend on whether the caller is compiled.

    A product and a sum that are compiled together round once, compiled apart twice. So the function is always
    compiled whole; and what goes in and comes out passes a barrier, over which the compiler merges nothing with the
    caller's own operations and constants.

    Args:
      *static: names of the arguments that are no arrays; they are given by name.

    Returns:
      A decorator.

    Example:
      >>> import jax.numpy as jnp
      >>> @sealed("power")
      ... def scaled(x, factor, *, power): return (x * factor + 0.1) ** power
      >>> scaled(jnp.ones(2), 0.4, power=2)
      Array([0.25, 0.25], dtype=float32)
    """

    def mark(function: Callable[..., Any]) -> Callable[..., Any]:
        compiled = jax.jit(function, static_argnames=static)

        @functools.wraps(function)
        def call(*arrays: Any, **options: Any) -> Any:
            arrays = lax.optimization_barrier(jax.tree.map(jax.numpy.asarray, arrays))
            return lax.optimization_barrier(compiled(*arrays, **options))

        return call

    return mark
