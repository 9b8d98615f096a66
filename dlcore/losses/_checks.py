"""What all losses check, and how they mask."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer


def as_floating(name: str, *arrays: Any) -> list[jax.Array]:
    """Returns arrays in float32 or wider; integers are refused.

    Raises:
      TypeError: names the loss and the dtype.
    """
    found = [jnp.asarray(array) for array in arrays]
    for array in found:
        if not jnp.issubdtype(array.dtype, jnp.floating):
            raise TypeError(f"{name}: expected floating predictions, found {array.dtype}: x.astype('float32')")
    dtype = np.result_type(np.float32, *(array.dtype for array in found))
    return [array.astype(dtype) for array in found]


def same_shape(name: str, predictions: Any, targets: Any) -> tuple[jax.Array, jax.Array]:
    """Returns both as arrays, of which the targets have the type of the predictions.

    Raises:
      ValueError: where the shapes differ: (N,) against (N, 1) would broadcast to (N, N).
    """
    targets = jnp.asarray(targets)
    if jnp.shape(predictions) != targets.shape:
        raise ValueError(
            f"{name}: expected targets of the shape of the predictions {jnp.shape(predictions)}, found "
            f"{targets.shape}; they are not broadcast: targets[:, None], or predictions[:, 0], makes them fit"
        )
    predictions = jnp.asarray(predictions)
    return predictions, targets


def masked(where: Any, shape: tuple[int, ...], *arrays: Any, fill: float = 0.0) -> list[jax.Array]:
    """Returns arrays in which what does not count is replaced, so that it reaches no gradient, not even as NaN.

    Args:
      where: booleans that broadcast to the shape of the loss; None leaves the arrays as they are.
      shape: of the loss.
      *arrays: of that shape, or with more axes.
      fill: a harmless value.
    """
    if where is None:
        return list(arrays)
    kept = jnp.broadcast_to(jnp.asarray(where, bool), shape)
    wide = [kept.reshape(shape + (1,) * (array.ndim - len(shape))) for array in arrays]
    return [jnp.where(keep, array, jnp.asarray(fill, array.dtype)) for keep, array in zip(wide, arrays, strict=True)]


def zero_outside(where: Any, loss: jax.Array) -> jax.Array:
    """Returns the loss with 0 where it does not count."""
    return loss if where is None else jnp.where(jnp.asarray(where, bool), loss, 0)


def per_example(values: jax.Array) -> jax.Array:
    """Returns the mean over the last axis where there are two or more."""
    return values.mean(axis=-1) if values.ndim > 1 else values


def expect_labels(name: str, labels: Any, classes: int, ignore: int | None = None) -> None:
    """Refuses labels out of range where their values are known.

    Raises:
      ValueError: names the range.
    """
    if isinstance(labels, Tracer) or not np.size(labels):
        return
    known = np.asarray(labels)  # on the host: inside a trace of its own, JAX would trace these too
    known = known[known != ignore] if ignore is not None else known
    if known.size and (known.min() < 0 or known.max() >= classes):
        raise ValueError(f"{name}: expected labels in [0, {classes}), found {known.min()} to {known.max()}")


def expect_number(name: str, value: Any, low: float, high: float = np.inf, *, open_low: bool = False) -> None:
    """Refuses an option out of range where its value is known.

    Raises:
      ValueError: names the option and the range.
    """
    if isinstance(value, Tracer):
        return
    is_low = value <= low if open_low else value < low
    if is_low or not value <= high:  # not a number is refused too
        end = f" to {high}" if np.isfinite(high) else "" if open_low else " or more"
        raise ValueError(f"{name}: expected a number {'above' if open_low else 'of'} {low}{end}, found {value}")
