"""A loss with options of its own."""

import inspect
from collections.abc import Callable
from typing import Any

from dlcore.errors import suggest
from dlcore.recipe import recipe


@recipe
def partial(loss: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """A loss with some options set: `functools.partial` with a recipe, so that two equal ones are one.

    Args:
      loss: a function `(predictions, targets, *, ...)`.
      **options: its keywords; numbers may be traced.

    Raises:
      TypeError: for an option that it does not take.

    Example:
      >>> import jax.numpy as jnp
      >>> from dlcore.losses import cross_entropy
      >>> smooth = partial(cross_entropy, label_smoothing=0.1)
      >>> smooth, smooth(jnp.array([[0.0, 0.0]]), jnp.array([0])).round(4).item()
      (partial(cross_entropy, label_smoothing=0.1), 0.6930...)
    """
    names = inspect.signature(loss).parameters
    if unknown := [name for name in options if name not in names]:
        raise TypeError(f"{getattr(loss, '__name__', loss)} takes no {unknown[0]!r}{suggest(unknown[0], names)}")
    return lambda predictions, targets: loss(predictions, targets, **options)
