"""`permutation_index` is a permutation, and its draws look like those of a uniform one."""

from __future__ import annotations

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chi2

from dlcore.data import permutation_index

SIZES = [1, 2, 3, 7, 64, 100, 1437]
# Keys and hash are fixed, so each test below gives the same statistic every time. A uniform permutation would exceed
# its threshold once in a million such tests.
TAIL = 1e-6


@partial(jax.jit, static_argnums=(2,))
def permutations(keys, epochs, size):
    """All permutations of `size` items for every key and epoch: (keys * epochs, size)."""
    one = partial(permutation_index, position=jnp.arange(size), size=size)
    of_key = jax.vmap(one, in_axes=(None, 0))
    return jax.vmap(of_key, in_axes=(0, None))(keys, epochs).reshape(-1, size)


@pytest.fixture(scope="module")
def drawn():
    """2,000 permutations (40 keys of 50 epochs) by size."""
    keys = jax.random.split(jax.random.key(0), 40)
    return {size: np.asarray(permutations(keys, jnp.arange(50), size)) for size in (4, 5, 7, 64)}


def assert_uniform(counts, degrees):
    counts = np.asarray(counts, float)
    statistic = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
    assert statistic < chi2.isf(TAIL, degrees), f"chi-square {statistic:.0f} on {degrees} degrees of freedom"


def off_diagonal(pairs, size):
    counts = np.bincount(pairs, minlength=size * size).reshape(size, size)
    assert np.trace(counts) == 0
    return counts[~np.eye(size, dtype=bool)]


@pytest.mark.few(4)
@pytest.mark.parametrize("size", SIZES)
def test_every_item_comes_once_in_every_epoch(size):
    keys = jax.random.split(jax.random.key(1), 4)
    for items in permutations(keys, jnp.array([0, 1, 2, 2**31 - 1]), size):
        np.testing.assert_array_equal(np.sort(items), np.arange(size))


@pytest.mark.slow
def test_every_small_size_is_a_permutation():
    for size in range(1, 18):
        items = permutation_index(jax.random.key(size), 0, jnp.arange(size), size)
        assert sorted(items.tolist()) == list(range(size))


@pytest.mark.parametrize("size", [64, 100, 1437])
def test_keys_and_epochs_give_different_permutations(size):
    drawn = np.asarray(permutations(jax.random.split(jax.random.key(2), 8), jnp.arange(8), size))
    for first, second in itertools.combinations(drawn, 2):
        # Two independent permutations agree at one position on average, and at ten once in ten million.
        assert (first == second).sum() < 10


@pytest.mark.parametrize("size", [7, 64])
def test_every_item_is_equally_often_at_every_position(drawn, size):
    items = drawn[size]
    counts = np.bincount((items + np.arange(size) * size).ravel(), minlength=size * size)
    assert_uniform(counts, (size - 1) ** 2)


@pytest.mark.parametrize("size", [7, 64])
def test_every_pair_of_items_is_equally_often_adjacent(drawn, size):
    items = drawn[size]
    counts = off_diagonal((items[:, :-1] * size + items[:, 1:]).ravel(), size)
    assert_uniform(counts, size * (size - 1) - 1)


@pytest.mark.parametrize("size", [7, 64])
def test_every_pair_of_items_is_equally_often_half_an_epoch_apart(drawn, size):
    items = drawn[size]
    half = size // 2
    counts = off_diagonal((items[:, :half] * size + items[:, half : 2 * half]).ravel(), size)
    assert_uniform(counts, size * (size - 1) - 1)


@pytest.mark.parametrize("size", [7, 64])
def test_an_epoch_says_nothing_about_the_next(drawn, size):
    epochs = drawn[size].reshape(40, 50, size)
    counts = np.bincount((epochs[:, :-1] * size + epochs[:, 1:]).ravel(), minlength=size * size)
    assert_uniform(counts, (size - 1) ** 2)


@pytest.mark.parametrize("size", [4, 5])
def test_every_whole_permutation_is_equally_likely(drawn, size):
    index = {order: number for number, order in enumerate(itertools.permutations(range(size)))}
    counts = np.bincount([index[tuple(order)] for order in drawn[size].tolist()], minlength=len(index))
    assert_uniform(counts, len(index) - 1)


def test_the_statistics_of_jax_random_permutation_pass_the_same_thresholds():
    """The oracle: thresholds that a uniform permutation failed would say nothing about ours."""
    keys = jax.random.split(jax.random.key(3), 2000)
    items = np.asarray(jax.vmap(lambda key: jax.random.permutation(key, 64))(keys))
    assert_uniform(np.bincount((items + np.arange(64) * 64).ravel(), minlength=64 * 64), 63**2)
    assert_uniform(off_diagonal((items[:, :-1] * 64 + items[:, 1:]).ravel(), 64), 64 * 63 - 1)


@pytest.mark.slow
def test_too_few_rounds_would_be_noticed(monkeypatch):
    """The thresholds have teeth: with 4 rounds the pairs of neighbours are not uniform."""
    monkeypatch.setattr("dlcore.data._permutation._rounds", lambda size: 4)
    jax.clear_caches()
    items = np.asarray(permutations(jax.random.split(jax.random.key(0), 40), jnp.arange(50), 64))
    jax.clear_caches()
    with pytest.raises(AssertionError, match="chi-square"):
        assert_uniform(off_diagonal((items[:, :-1] * 64 + items[:, 1:]).ravel(), 64), 64 * 63 - 1)


def test_one_position_is_read_without_the_others():
    whole = permutation_index(jax.random.key(4), 9, jnp.arange(100), 100)
    for position in (0, 57, 99):
        assert int(permutation_index(jax.random.key(4), 9, position, 100)) == int(whole[position])


def test_raw_keys_and_typed_keys_give_the_same_items():
    typed = permutation_index(jax.random.key(5), 1, jnp.arange(20), 20)
    raw = permutation_index(jax.random.key_data(jax.random.key(5)), 1, jnp.arange(20), 20)
    np.testing.assert_array_equal(typed, raw)


def test_keys_of_another_generator_will_do():
    items = permutation_index(jax.random.key(5, impl="rbg"), 1, jnp.arange(20), 20)
    assert sorted(items.tolist()) == list(range(20))


def test_huge_sizes_need_no_memory_of_their_size():
    size = 2**31 - 1
    items = np.asarray(permutation_index(jax.random.key(6), 0, jnp.arange(1000), size))
    assert items.min() >= 0 and len(set(items.tolist())) == 1000


@pytest.mark.parametrize(("size", "error"), [(0, ValueError), (2**31, ValueError), (1.5, TypeError), (True, TypeError)])
def test_an_impossible_size_is_refused(size, error):
    with pytest.raises(error, match="permutation_index size: expected"):
        permutation_index(jax.random.key(0), 0, 0, size)
