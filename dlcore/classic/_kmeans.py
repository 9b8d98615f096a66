"""k-means, with the starts of k-means++."""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer


class KMeans(NamedTuple):
    """A clustering.

    Attributes:
      centers: (clusters, features).
      labels: (N,) which centre is nearest.
      inertia: the sum of the squared distances to them.
      steps: of Lloyd's algorithm, of the best start.
    """

    centers: jax.Array
    labels: jax.Array
    inertia: jax.Array
    steps: jax.Array


def kmeans(x: Any, clusters: int, *, key: Any = 0, starts: int = 10, max_steps: int = 300) -> KMeans:
    """Lloyd's algorithm: each point to its nearest centre, each centre to the mean of its points, until none moves.

    It comes to a local minimum of the inertia, and which one depends on the start: so there are several, drawn by
    k-means++ (each next centre with a probability that grows as the squared distance to those there), and the best is
    kept. A centre that loses its last point moves to the point that is farthest from its own.

    Args:
      x: (N, features).
      clusters: how many, at most N.
      key: a JAX key, or a number to make one of.
      starts: how many to try, all in one compiled program.
      max_steps: of each start.

    Returns:
      The best `KMeans`.

    Raises:
      ValueError: for other shapes, more clusters than points, values that are not finite.

    Source: Lloyd, 1957 (published 1982); Arthur and Vassilvitskii, k-means++, 2007.

    Example:
      >>> found = kmeans(jnp.array([[0.0], [0.1], [5.0], [5.1]]), 2)
      >>> sorted(found.centers.ravel().round(2).tolist()), float(found.inertia.round(3))
      ([0.05..., 5.05...], 0.01...)
    """
    x = jnp.asarray(x, float)
    if x.ndim != 2 or not 1 <= clusters <= len(x):
        raise ValueError(f"expected x (N, features) and 1 to N clusters, found {x.shape} and {clusters}")
    if starts < 1 or max_steps < 1:
        raise ValueError(f"expected positive starts and max_steps, found {starts} and {max_steps}")
    if not isinstance(x, Tracer) and not bool(jnp.isfinite(x).all()):
        raise ValueError("x: expected finite numbers, found NaN or infinity; leave those rows out")
    keys = jax.random.split(jax.random.key(key) if isinstance(key, int) else key, starts)
    return _best(x, keys, clusters, max_steps)


@functools.partial(jax.jit, static_argnames=("clusters", "max_steps"))
def _best(x: jax.Array, keys: Any, clusters: int, max_steps: int) -> KMeans:
    middle = x.mean(0)  # distances between numbers far from 0 lose their digits
    found = lax.map(lambda key: _lloyd(x - middle, _plus_plus(x - middle, key, clusters), max_steps), keys)
    best = jax.tree.map(lambda leaf: leaf[jnp.argmin(found.inertia)], found)
    return best._replace(centers=best.centers + middle)


def _plus_plus(x: jax.Array, key: Any, clusters: int) -> jax.Array:
    first, rest = jax.random.split(key)
    centers = jnp.zeros((clusters, x.shape[1]), x.dtype).at[0].set(x[jax.random.randint(first, (), 0, len(x))])
    nearest = jnp.square(x - centers[0]).sum(1)

    def draw(i: Any, carry: Any) -> Any:
        centers, nearest = carry
        # All points lie on centres where every distance is 0: any will do.
        weights = jnp.where(nearest.sum() > 0, nearest, 1.0)
        # As scikit-learn, of a few candidates the one that leaves the least: far fewer bad starts.
        tries = 2 + int(math.log(clusters))
        places = jax.random.categorical(jax.random.fold_in(rest, i), jnp.log(weights), shape=(tries,))
        left = jnp.minimum(nearest, jnp.square(x[places][:, None] - x).sum(-1))  # (tries, N)
        best = jnp.argmin(left.sum(1))
        return centers.at[i].set(x[places[best]]), left[best]

    return lax.fori_loop(1, clusters, draw, (centers, nearest))[0]


def _lloyd(x: jax.Array, centers: jax.Array, max_steps: int) -> KMeans:
    def assign(centers: jax.Array) -> tuple[jax.Array, jax.Array]:
        squares = jnp.square(centers).sum(1) - 2 * x @ centers.T  # |x|^2 is the same for all centres
        labels = jnp.argmin(squares, axis=1)
        return labels, jnp.square(x - centers[labels]).sum(1)

    def step(carry: Any) -> Any:
        centers, labels, distances, _, steps = carry
        hits = jax.nn.one_hot(labels, len(centers), dtype=x.dtype)  # (N, clusters)
        counts = hits.sum(0)
        # The farthest points, one for each centre that has lost all of its own.
        far = x[jnp.argsort(-distances)[: len(centers)]]
        which = jnp.clip(jnp.cumsum(counts == 0) - 1, 0)
        means = jnp.where(counts[:, None] > 0, hits.T @ x / jnp.maximum(counts, 1)[:, None], far[which])
        after, distances = assign(means)
        return means, after, distances, jnp.any(after != labels), steps + 1

    labels, distances = assign(centers)
    start = (centers, labels, distances, jnp.array(True), jnp.int32(0))
    centers, labels, distances, _, steps = lax.while_loop(lambda c: c[3] & (c[4] < max_steps), step, start)
    return KMeans(centers, labels, distances.sum(), steps)
