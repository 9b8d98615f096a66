"""SAM: descent by the gradient at the worst point nearby."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from dlcore.optim._checks import check_positive
from dlcore.optim._optimizer import optimizer

__all__ = ["sam"]


@optimizer
def sam(inner: Any, radius: float = 0.05) -> Any:
    """Sharpness-aware minimisation: a step at w by the gradient at `w + radius * g / |g|`.

    The norm |g| is that of all leaves together; where it is 0 the point is w itself. (`optax.contrib.sam` divides by
    it, and takes two steps of a loop for one of its own.) A step costs two gradients of one batch.

    Args:
      inner: an optimizer, which takes the steps.
      radius: distance of the other point, above 0; the paper's rho.

    Returns:
      An optimizer whose `update` wants `grad_fn`, `params -> gradient`; `fit` and `gradient_step` give it.

    Raises:
      TypeError: by `update`, without a `grad_fn` or without the params.
      ValueError: for a radius that is not positive.

    Source: Foret, Kleiner, Mobahi and Neyshabur, Sharpness-Aware Minimization, 2021.

    Example:
      >>> from dlcore.optim import momentum
      >>> sam(momentum(0.1), radius=0.1)
      sam(momentum(learning_rate=0.1), radius=0.1)
    """
    check_positive("radius", radius)

    def update(gradient: Any, state: Any, params: Any = None, *, grad_fn: Any = None, **extra: Any) -> Any:
        if grad_fn is None or params is None:
            missing = "grad_fn" if grad_fn is None else "params"
            raise TypeError(f"sam: `update` needs {missing}: update(gradient, state, params, grad_fn=jax.grad(loss))")
        norm = optax.tree.norm(gradient)
        share = radius / jnp.where(norm == 0, 1, norm)
        there = jax.tree.map(lambda w, g: (w + share * g).astype(w.dtype), params, gradient)
        return optax.with_extra_args_support(inner).update(grad_fn(there), state, params, **extra)

    return optax.GradientTransformationExtraArgs(inner.init, update)  # pyright: ignore[reportArgumentType]
