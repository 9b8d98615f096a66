"""Random access to a pseudo-random permutation: the item at a position, without drawing the other items."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

_GOLDEN = np.uint32(0x9E3779B9)  # 2^32 / golden ratio: consecutive multiples are spread over the whole range
_LIMIT = 2**31 - 1


def permutation_index(key: Any, epoch: Any, position: Any, size: int) -> Array:
    """Returns the item at `position` of the permutation of `range(size)` that `(key, epoch)` names.

    A generalised Feistel network over pairs `(l, r)` of `Z_a x Z_b`, with `a = ceil(sqrt(size))` and
    `b = ceil(size / a)`, or one more where both are odd: rounds `l <- l + F(r) mod a` and `r <- r + F(l) mod b`
    alternate, and each can be undone, so the whole is a bijection of `range(a * b)`. What lands outside `range(size)`
    is sent through again (cycle walking) until it does not; fewer than two positions in `b` are. Cost and memory are
    those of `position`: no array of length `size` is ever made and nothing is sorted. Not for cryptography.

    Args:
        key: a JAX key, typed or raw; only its words are read.
        epoch: which permutation of that key, an integer; may be traced.
        position: where in the permutation, integers in `[0, size)` of any shape; may be traced.
        size: the number of items, a Python int from 1 to 2^31 - 1.

    Returns:
        int32 items in `[0, size)`, in the shape of `position`.

    Raises:
        TypeError: `size` is not an int.
        ValueError: `size` is out of range.

    Source: Feistel, Cryptography and Computer Privacy (1973); Black and Rogaway, Ciphers with Arbitrary Finite
    Domains (2002), for both the mixed-radix network and cycle walking; the round function is the finaliser of
    MurmurHash3 (Appleby, 2011).

    Example:
        >>> items = permutation_index(jax.random.key(0), 3, jnp.arange(10), 10)
        >>> sorted(items.tolist())
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)):
        raise TypeError(f"permutation_index size: expected an int, found {type(size).__name__}; it must be static")
    if not 1 <= size <= _LIMIT:
        raise ValueError(f"permutation_index size: expected 1 to {_LIMIT}, found {size}")
    return _index(key, epoch, position, int(size))


# Compiled as one, because step by step the `while_loop` would be compiled anew on every call.
@partial(jax.jit, static_argnames="size", inline=True)
def _index(key: Any, epoch: Any, position: Any, size: int) -> Array:
    a = math.isqrt(size - 1) + 1
    b = -(-size // a)
    if a % 2 and b % 2:
        b += 1  # shifts of odd cycles are even permutations, so 3 x 3 would reach half of the permutations only
    round_keys = _round_keys(key, epoch, _rounds(size))

    def two_rounds(number: Array, halves: tuple[Array, Array]) -> tuple[Array, Array]:
        left, right = halves
        # A sum of 31 bits cannot wrap around, which would undo the bijection.
        left = lax.rem(left + (_mix(right ^ round_keys[2 * number]) >> np.uint32(1)), np.uint32(a))
        right = lax.rem(right + (_mix(left ^ round_keys[2 * number + 1]) >> np.uint32(1)), np.uint32(b))
        return left, right

    def encipher(item: Array) -> Array:
        # Rolled, the rounds compile faster than unrolled, and on CPU they run faster too.
        halves = lax.div(item, np.uint32(b)), lax.rem(item, np.uint32(b))
        left, right = lax.fori_loop(0, len(round_keys) // 2, two_rounds, halves)
        return left * np.uint32(b) + right

    def walk(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        item, pending = carry
        item = jnp.where(pending, encipher(item), item)
        return item, item >= np.uint32(size)

    item = jnp.asarray(position).astype(jnp.uint32)
    if a * b == size:
        return encipher(item).astype(jnp.int32)
    # The first pass is part of the loop too: the rounds are then compiled once.
    item, _ = lax.while_loop(lambda carry: carry[1].any(), walk, (item, jnp.ones(item.shape, bool)))
    return item.astype(jnp.int32)


def _rounds(size: int) -> int:
    # Measured on 400,000 permutations: neighbours at 64 and 100 items are as uniform as `jax.random.permutation`'s from
    # 8 rounds on. Small domains mix more slowly: whole permutations of 5 items want 16.
    return 10 if size >= 64 else 24


def _round_keys(key: Any, epoch: Any, rounds: int) -> Array:
    """Hash the words of the key and the epoch into one word a round.

    On the way they pass through two words (64 bits), so that no two epochs of any run share a permutation by chance.
    """
    words = jax.random.key_data(key).astype(jnp.uint32).ravel()
    low = high = jnp.asarray(epoch).astype(jnp.uint32)
    for number in range(words.size):
        low = _mix(low ^ words[number]) + _GOLDEN
        high = _mix(high + words[number]) ^ _GOLDEN
    spread = np.arange(rounds, dtype=np.uint32) * _GOLDEN
    return _mix(_mix(low + spread) ^ high)  # (rounds,)


def _mix(word: Array) -> Array:
    """The finaliser of MurmurHash3: a bijection of 32-bit words in which every input bit sways every output bit."""
    word = (word ^ (word >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    word = (word ^ (word >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return word ^ (word >> np.uint32(16))
