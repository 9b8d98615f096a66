"""Masks of tokens, for masked language models."""

from typing import Any

import jax
import jax.numpy as jnp

from dlcore.augment._batch import Augmentation, draw_whole, expect_count, expect_strength, get, with_entries
from dlcore.augment._sealed import sealed
from dlcore.recipe import recipe


@recipe
def token_mask(rate: Any, mask_id: int, vocabulary: int, special: tuple[int, ...] = ()) -> Augmentation:
    """Hides tokens for a model to find: of those drawn, 80% become the mask, 10% a random token, 10% stay.

    Args:
      rate: probability of drawing a token, in [0, 1]; BERT's is 0.15. May be traced.
      mask_id: the token that hides.
      vocabulary: how many tokens there are; random ones are drawn from all.
      special: tokens that are never drawn: padding, separators.

    Returns:
      An augmentation of integer tokens `x` (B, T). The batch that comes out has `x` with the hidden ones, `y` the
      tokens as they were, and `targets` (B, T), true where one was drawn. `mask` becomes `targets`, and false where
      the batch's own `mask`, (B,) or (B, T), is: so a loss counts the drawn tokens alone.

    Raises:
      TypeError: for tokens that are no integers.
      ValueError: for a rate out of range, and for a mask outside the vocabulary.

    Source: Devlin, Chang, Lee and Toutanova, BERT, 2019, section 3.1.

    Example:
      >>> batch = token_mask(0.15, mask_id=9, vocabulary=10)(jax.random.key(0), {"x": jnp.ones((2, 8), int)})
      >>> sorted(batch), batch["y"].tolist() == [[1] * 8] * 2
      (['mask', 'targets', 'x', 'y'], True)
    """
    expect_strength("rate", rate, 0, 1)
    vocabulary, mask_id = expect_count("vocabulary", vocabulary, 1), expect_count("mask_id", mask_id)
    if mask_id >= vocabulary:
        raise ValueError(f"mask_id: expected a token in [0, {vocabulary}), found {mask_id}")
    special = tuple(special)

    def augment(key: Any, batch: Any) -> dict[str, Any]:
        x = get("token_mask", batch)
        if x.ndim != 2:
            raise ValueError(f"token_mask: expected tokens (B, T), found {x.shape}")
        if not jnp.issubdtype(x.dtype, jnp.integer):
            raise TypeError(f"token_mask: expected integer tokens, found {x.dtype}")
        hidden, drawn = _hide(key, x, rate, mask_id=mask_id, vocabulary=vocabulary, special=special)
        mask = drawn
        if (old := batch.get("mask")) is not None:
            old = jnp.asarray(old) > 0
            mask = drawn & (old[:, None] if old.ndim == 1 else old)
        return with_entries(batch, x=hidden, y=x, targets=drawn, mask=mask)

    return augment


@sealed("mask_id", "vocabulary", "special")
def _hide(
    key: Any, x: jax.Array, rate: Any, *, mask_id: int, vocabulary: int, special: tuple[int, ...]
) -> tuple[jax.Array, jax.Array]:
    who, what, which = jax.random.split(key, 3)
    drawn = jax.random.uniform(who, x.shape) < rate
    for token in special:
        drawn &= x != token
    kind = jax.random.uniform(what, x.shape)
    random = draw_whole(which, 0, vocabulary, x.shape).astype(x.dtype)
    new = jnp.where(kind < 0.8, jnp.asarray(mask_id, x.dtype), jnp.where(kind < 0.9, random, x))
    return jnp.where(drawn, new, x), drawn
