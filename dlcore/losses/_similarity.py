"""Losses of directions and distances: what belongs together is brought near."""

from typing import Any

import jax
import jax.numpy as jnp

from dlcore.losses._checks import as_floating, expect_number, masked, same_shape, zero_outside
from dlcore.ops import l2_normalise


def cosine(predictions: Any, targets: Any, *, where: Any = None) -> jax.Array:
    """Cosine distance, `1 - x . t / (|x| |t|)`: 0 for the same direction, 2 for the opposite one.

    Args:
      predictions: (..., features). A vector of zeros has no direction: its loss is 1, and its gradient 0.
      targets: of exactly that shape.
      where: booleans (...) or what broadcasts to it; the loss is 0 where they are false, and so is its gradient.

    Returns:
      (...): one value per example.

    Example:
      >>> cosine(jnp.array([[1.0, 0.0], [0.0, 0.0]]), jnp.array([[0.0, 2.0], [1.0, 1.0]]))
      Array([1., 1.], dtype=float32)
    """
    x, goal = same_shape("cosine", *as_floating("cosine", predictions, targets))
    x, goal = masked(where, x.shape[:-1], x, goal)
    return zero_outside(where, 1 - jnp.sum(l2_normalise(x) * l2_normalise(goal), axis=-1))


def triplet(anchor: Any, positive: Any, negative: Any, *, margin: float = 1.0, where: Any = None) -> jax.Array:
    """Triplet loss, `max(0, |a - p| - |a - n| + margin)`: the positive is to be nearer than the negative.

    Args:
      anchor: (..., features).
      positive: the same shape: of the anchor's kind.
      negative: the same shape: of another.
      margin: by how much.
      where: as in `cosine`.

    Returns:
      (...): one value per triplet. Where two points are one, the gradient of their distance is 0.

    Source: Schroff, Kalenichenko and Philbin, FaceNet, 2015.

    Example:
      >>> triplet(jnp.array([[0.0]]), jnp.array([[1.0]]), jnp.array([[1.5]]))
      Array([0.5], dtype=float32)
    """
    anchor, positive, negative = as_floating("triplet", anchor, positive, negative)
    same_shape("triplet", anchor, positive)
    same_shape("triplet", anchor, negative)
    anchor, positive, negative = masked(where, anchor.shape[:-1], anchor, positive, negative)
    loss = jnp.maximum(_length(anchor - positive) - _length(anchor - negative) + margin, 0)
    return zero_outside(where, loss)


def info_nce(queries: Any, keys: Any, *, temperature: Any = 0.1) -> jax.Array:
    """InfoNCE: the cross-entropy of finding each query's own key among all keys by `cosine / temperature`.

    Args:
      queries: (N, features).
      keys: (N, features): the key of query i is key i.
      temperature: positive; the smaller, the more the hardest negatives count.

    Returns:
      (N,): one value per query, in nats.

    Raises:
      ValueError: where the shapes differ, and for a temperature that is not positive.

    Source: van den Oord, Li and Vinyals, 2018.

    Example:
      >>> info_nce(jnp.eye(2), jnp.eye(2), temperature=1.0).round(4)  # log(1 + 1 / e)
      Array([0.3133, 0.3133], dtype=float32)
    """
    expect_number("temperature", temperature, 0, open_low=True)
    queries, keys = same_shape("info_nce", *as_floating("info_nce", queries, keys))
    if queries.ndim != 2:
        raise ValueError(f"info_nce: expected queries and keys (N, features), found {queries.shape}")
    logits = l2_normalise(queries) @ l2_normalise(keys).T / temperature
    return jax.nn.logsumexp(logits, axis=-1) - jnp.diagonal(logits)


def nt_xent(first: Any, second: Any, *, temperature: Any = 0.5) -> jax.Array:
    """SimCLR's loss: each of 2 N views is to find its partner among the other 2 N - 1 by `cosine / temperature`.

    Args:
      first: (N, features), one view of each example.
      second: (N, features), another.
      temperature: positive.

    Returns:
      (N,): the mean of the two views of each example, in nats.

    Raises:
      ValueError: where the shapes differ, and for a temperature that is not positive.

    Source: Chen, Kornblith, Norouzi and Hinton, A Simple Framework for Contrastive Learning, 2020.

    Example:
      >>> nt_xent(jnp.eye(2), jnp.eye(2), temperature=1.0).round(4)  # log(1 + 2 / e)
      Array([0.5514, 0.5514], dtype=float32)
    """
    expect_number("temperature", temperature, 0, open_low=True)
    first, second = same_shape("nt_xent", *as_floating("nt_xent", first, second))
    if first.ndim != 2:
        raise ValueError(f"nt_xent: expected two views (N, features), found {first.shape}")
    views, count = l2_normalise(jnp.concatenate([first, second])), len(first)
    logits = views @ views.T / temperature
    own = jnp.concatenate([jnp.diagonal(logits, count), jnp.diagonal(logits, -count)])
    others = jnp.where(jnp.eye(2 * count, dtype=bool), -jnp.inf, logits)  # not itself
    return (jax.nn.logsumexp(others, axis=-1) - own).reshape(2, count).mean(0)


def _length(x: jax.Array) -> jax.Array:
    square = jnp.sum(jnp.square(x), axis=-1)
    # The slope of a root at 0 is infinite: take it elsewhere, and put 0 in its place.
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)
