"""Augmentations of augmentations."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from dlcore.augment._batch import Augmentation, each, expect_count, expect_strength, get, with_entries
from dlcore.augment._mix import one_hot
from dlcore.augment._sealed import sealed
from dlcore.recipe import recipe


@recipe
def chain(*augmentations: Augmentation) -> Augmentation:
    """One augmentation after the other; the i-th gets the key `fold_in(key, i)`.

    Args:
      *augmentations: functions `(key, batch) -> batch`; none leaves the batch as it is.

    Returns:
      An augmentation.

    Raises:
      TypeError: for what cannot be called.

    Example:
      >>> from dlcore.augment import flip, shift
      >>> chain(flip(), shift(4))
      chain(flip(), shift(4))
    """
    for member in augmentations:
        _expect_augmentation("chain", member)

    def augment(key: Any, batch: Any) -> dict[str, Any]:
        get("chain", batch)
        batch = dict(batch)
        for i, member in enumerate(augmentations):
            batch = member(jax.random.fold_in(key, i), batch)
        return batch

    return augment


@recipe
def sometimes(augmentation: Augmentation, probability: Any = 0.5) -> Augmentation:
    """Applies an augmentation to each example with a probability.

    Args:
      augmentation: keeps shapes, except that integer labels may become soft ones. It runs on the whole batch, with the
        key `fold_in(key, 1)`; the draw of who takes it has `fold_in(key, 0)`.
      probability: in [0, 1]; may be traced.

    Returns:
      An augmentation.

    Raises:
      TypeError: for what cannot be called.
      ValueError: for a probability out of range.

    Example:
      >>> from dlcore.augment import solarize
      >>> x = sometimes(solarize(0.0), 0.5)(jax.random.key(0), {"x": jnp.zeros((8, 1, 1, 1))})["x"]
      >>> sorted(set(x.ravel().tolist()))
      [0.0, 1.0]
    """
    _expect_augmentation("sometimes", augmentation)
    expect_strength("probability", probability, 0, 1)

    def augment(key: Any, batch: Any) -> dict[str, Any]:
        count = get("sometimes", batch).shape[0]
        chosen = _coin(jax.random.fold_in(key, 0), probability, count=count)
        changed, old = augmentation(jax.random.fold_in(key, 1), batch), dict(batch)
        if missing := sorted(set(changed) - set(old)):
            raise ValueError(f"sometimes: {augmentation} adds {missing} to the batch; apply it to all examples")
        if "y" in changed and jnp.ndim(old["y"]) == 1 and jnp.ndim(changed["y"]) == 2:
            old["y"] = one_hot(jnp.asarray(old["y"]), changed["y"].shape[1])
        entries = {}
        for name, new in changed.items():
            if jnp.shape(new) != jnp.shape(old[name]):
                shapes = f"{jnp.shape(old[name])} before and {jnp.shape(new)} after"
                raise ValueError(f"sometimes: expected {name!r} to keep its shape under {augmentation}, found {shapes}")
            entries[name] = new if new is old[name] else jnp.where(each(chosen, new), new, old[name])
        return with_entries(batch, **entries)

    return augment


def test_time(predict: Callable[[Any], Any], augment: Augmentation, n: int = 8, key: Any = 0) -> Callable[[Any], Any]:
    """Averages the predictions for n augmented copies of each input.

    Args:
      predict: `x -> predictions`, an array or a tree of arrays; give probabilities to average probabilities.
      augment: an augmentation of `x` alone.
      n: how many copies, 1 or more. The i-th is drawn with the key `fold_in(key, i)`.
      key: a key or a seed.

    Returns:
      `x -> predictions`, deterministic.

    Raises:
      TypeError: for what cannot be called.
      ValueError: for n below 1.

    Source: Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep Convolutional Neural Networks, 2012.

    Example:
      >>> from dlcore.augment import flip
      >>> total = test_time(lambda x: x.sum((1, 2, 3)), flip(), n=4)
      >>> total(jnp.ones((2, 4, 4, 1))).tolist()
      [16.0, 16.0]
    """
    if not callable(predict):
        raise TypeError(f"test_time: expected a function of x, found {predict!r}")
    _expect_augmentation("test_time", augment)
    n = expect_count("n", n, 1)

    def averaged(x: Any) -> Any:
        first = jax.random.key(key) if isinstance(key, int) else key
        of_copy = lambda i: predict(augment(jax.random.fold_in(first, i), {"x": x})["x"])
        total = of_copy(0)
        for i in range(1, n):
            total = jax.tree.map(lambda a, b: a + b, total, of_copy(i))
        return jax.tree.map(lambda sum_: sum_ / n, total)

    return averaged


def _expect_augmentation(name: str, augmentation: Any) -> None:
    if not callable(augmentation):
        raise TypeError(f"{name}: expected an augmentation, (key, batch) -> batch, found {augmentation!r}")
    if getattr(augmentation, "is_recipe", False):
        called = getattr(augmentation, "__name__", "it")
        raise TypeError(f"{name}: expected an augmentation, found the factory {called}; call it: {called}()")


@sealed("count")
def _coin(key: Any, probability: Any, *, count: int) -> jax.Array:
    return jax.random.uniform(key, (count,)) < probability
