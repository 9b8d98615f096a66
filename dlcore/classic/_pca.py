"""Principal component analysis."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class PCA(NamedTuple):
    """The principal components of some data.

    Attributes:
      mean: (features,).
      components: (count, features): orthonormal rows, the largest variance first; of each row the element with the
        largest size is positive.
      variance: (count,), along each, with N - 1 in the denominator.
      ratio: (count,), the shares of the whole variance.
    """

    mean: jax.Array
    components: jax.Array
    variance: jax.Array
    ratio: jax.Array

    def project(self, x: Any) -> jax.Array:
        """Returns the coordinates (..., count) of x (..., features)."""
        return (jnp.asarray(x) - self.mean) @ self.components.T

    def reconstruct(self, coordinates: Any) -> jax.Array:
        """Returns the points (..., features) of coordinates (..., count)."""
        return jnp.asarray(coordinates) @ self.components + self.mean


def pca(x: Any, count: int | None = None) -> PCA:
    """Principal components by the singular values of the centred data, `x - mean = U S V'`: `variance = S^2 / (N - 1)`.

    Of all projections to so many dimensions it is the one that loses least squared error. Features of different units
    should be standardised first.

    Args:
      x: (N, features), two rows or more.
      count: how many components, at most min(N, features); all unless given.

    Returns:
      A `PCA`, with `project` and `reconstruct`.

    Raises:
      ValueError: for other shapes and counts.

    Source: Pearson, 1901; Hotelling, 1933.

    Example:
      >>> found = pca(jnp.array([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]]), 1)
      >>> found.components.round(3).tolist(), found.ratio.tolist()
      ([[0.707, 0.707]], [1.0])
    """
    x = jnp.asarray(x, float)
    if x.ndim != 2 or len(x) < 2:
        raise ValueError(f"x: expected (N, features) with two rows or more, found {x.shape}")
    count = min(x.shape) if count is None else count
    if not 1 <= count <= min(x.shape):
        raise ValueError(f"count: expected 1 to {min(x.shape)} components for x {x.shape}, found {count}")
    mean = x.mean(0)
    _, singular, rows = jnp.linalg.svd(x - mean, full_matrices=False)
    largest = jnp.take_along_axis(rows, jnp.argmax(jnp.abs(rows), axis=1, keepdims=True), axis=1)
    variance = jnp.square(singular) / (len(x) - 1)
    total = jnp.where(variance.sum() > 0, variance.sum(), 1)
    components = rows * jnp.where(largest < 0, -1, 1)
    return PCA(mean, components[:count], variance[:count], variance[:count] / total)
