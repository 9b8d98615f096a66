"""Two examples made into one, and their labels with them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from dlcore.augment._batch import (
    Augmentation,
    draw_whole,
    each,
    expect_count,
    expect_strength,
    get,
    get_floating,
    get_images,
    with_entries,
)
from dlcore.augment._sealed import sealed
from dlcore.recipe import recipe


@recipe
def mixup(alpha: Any, classes: int | None = None) -> Augmentation:
    """Mixes each example with another of the batch, `s * x + (1 - s) * x'`, and the labels alike; s from Beta.

    Args:
      alpha: s is drawn from `Beta(alpha, alpha)`, one for each example; 0 leaves all as it is; may be traced.
      classes: how many; needed for integer labels.

    Returns:
      An augmentation of floating x (B, ...) and y: integer labels (B,), of which it makes (B, classes), or
      floating (B, ...). Where the batch has a `mask` (B,), nothing is mixed with what does not count. A label outside
      the classes becomes a row of NaN.

    Raises:
      ValueError: for a negative alpha, labels without `classes`, and concrete labels outside the classes.

    Source: Zhang, Cisse, Dauphin and Lopez-Paz, mixup: Beyond Empirical Risk Minimization, 2018; there one s serves a
      whole batch.

    Example:
      >>> batch = {"x": jnp.eye(4), "y": jnp.array([0, 1, 2, 3])}
      >>> mixed = mixup(1.0, classes=4)(jax.random.key(0), batch)
      >>> bool(jnp.allclose(mixed["x"], mixed["y"]))
      True
    """
    classes = _checked(alpha, classes)

    def augment(key: Any, batch: Any) -> dict[str, Any]:
        x = get_floating("mixup", batch, None, "(B, ...)")
        x, y = _mixup(key, x, _soft("mixup", batch, classes), batch.get("mask"), alpha)
        return with_entries(batch, x=x, y=y)

    return augment


@recipe
def cutmix(alpha: Any, classes: int | None = None) -> Augmentation:
    """Puts a rectangle of another image of the batch into each; its label weighs as much as it covers.

    A share s is drawn from `Beta(alpha, alpha)`. The rectangle has sides of `sqrt(1 - s)` of the image's, rounded down,
    and its centre anywhere; what sticks out is cut off. The labels' weights are the shares of the pixels.

    Args:
      alpha: 0 leaves all as it is; may be traced.
      classes: how many; needed for integer labels.

    Returns:
      An augmentation of images (B, H, W, C) and y, as in `mixup`.

    Raises:
      ValueError: for a negative alpha, labels without `classes`, and concrete labels outside the classes.

    Source: Yun, Han, Oh, Chun, Choe and Yoo, CutMix, 2019; there one rectangle serves a whole batch.

    Example:
      >>> batch = {"x": jnp.ones((8, 4, 4, 1)), "y": jnp.arange(8)}
      >>> cutmix(1.0, classes=8)(jax.random.key(0), batch)["y"].sum(1).tolist()
      [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """
    classes = _checked(alpha, classes)

    def augment(key: Any, batch: Any) -> dict[str, Any]:
        x = get_images("cutmix", batch)
        x, y = _cutmix(key, x, _soft("cutmix", batch, classes), batch.get("mask"), alpha)
        return with_entries(batch, x=x, y=y)

    return augment


def one_hot(labels: jax.Array, classes: int) -> jax.Array:
    """Returns (B, classes) of ones and zeros; a label outside the classes is no number, and so will be its loss."""
    is_known = (labels >= 0) & (labels < classes)
    return jnp.where(is_known[..., None], jax.nn.one_hot(labels, classes), jnp.nan)


def _checked(alpha: Any, classes: int | None) -> int | None:
    expect_strength("alpha", alpha)
    return classes if classes is None else expect_count("classes", classes, 1)


def _soft(name: str, batch: Any, classes: int | None) -> jax.Array:
    y, count = get(name, batch, "y"), get(name, batch).shape[0]
    if y.shape[:1] != (count,):
        raise ValueError(f"{name}: expected y for {count} examples, found {y.shape}")
    if jnp.issubdtype(y.dtype, jnp.floating):
        if classes is not None and y.shape[1:] != (classes,):
            raise ValueError(f"{name}: expected y of shape ({count}, {classes}) for {classes} classes, found {y.shape}")
        return y
    if y.ndim != 1 or classes is None:
        raise ValueError(f"{name}: integer labels (B,) need `classes`, {name}(alpha, classes=10); found y {y.shape}")
    if not isinstance(y, Tracer) and y.size:
        known = np.asarray(y)
        if known.min() < 0 or known.max() >= classes:
            raise ValueError(f"{name}: expected labels in [0, {classes}), found {known.min()} to {known.max()}")
    return one_hot(y, classes)


def _partners(key: Any, count: int, mask: Any, alpha: Any) -> tuple[jax.Array, jax.Array]:
    """Returns who is mixed in, and the share that each keeps of itself: 1 where the other does not count."""
    order, share = jax.random.split(key)
    partner = jax.random.permutation(order, count)
    is_on = alpha > 0
    safe = jnp.where(is_on, alpha, 1.0)
    kept = jnp.where(is_on, jax.random.beta(share, safe, safe, (count,)), 1.0)
    return partner, kept if mask is None else jnp.where(mask[partner] > 0, kept, 1.0)


def _mixed(first: jax.Array, second: jax.Array, share: jax.Array) -> jax.Array:
    share = each(share, first)
    mixed = first.astype(jnp.float32) * share + second.astype(jnp.float32) * (1 - share)
    return jnp.where(share == 1, first, mixed.astype(first.dtype))


@sealed()
def _mixup(key: Any, x: jax.Array, y: jax.Array, mask: Any, alpha: Any) -> tuple[jax.Array, jax.Array]:
    partner, share = _partners(key, len(x), mask, alpha)
    return _mixed(x, x[partner], share), _mixed(y, y[partner], share)


@sealed()
def _cutmix(key: Any, x: jax.Array, y: jax.Array, mask: Any, alpha: Any) -> tuple[jax.Array, jax.Array]:
    order, place = jax.random.split(key)
    count, height, width, _ = x.shape
    partner, share = _partners(order, count, mask, alpha)
    sides = jnp.array([[height], [width]])
    size = jnp.floor(sides * jnp.sqrt(1 - share)).astype(jnp.int32)
    low = draw_whole(place, 0, sides, (2, count)) - size // 2
    first, last = jnp.clip(low, 0, sides), jnp.clip(low + size, 0, sides)
    is_row, is_column = (
        (jnp.arange(side) >= begin[:, None]) & (jnp.arange(side) < end[:, None])
        for side, begin, end in zip((height, width), first, last, strict=True)
    )
    is_cut = is_row[:, :, None, None] & is_column[:, None, :, None]
    kept = 1 - jnp.prod(last - first, axis=0) / (height * width)
    return jnp.where(is_cut, x[partner], x), _mixed(y, y[partner], kept)
