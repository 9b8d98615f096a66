"""How byte-pair encoding learns: the most frequent pair of neighbours, after each merge without a recount."""

import heapq
from collections import defaultdict
from collections.abc import Mapping

Pair = tuple[int, int]


def learn_merges(words: Mapping[bytes, int], limit: int, min_frequency: int = 2) -> list[Pair]:
    """Returns the pairs to merge, in their order.

    Pairs are counted at every place, weighed by how often the word occurs; those of the highest count are merged, and
    of equal counts the smallest pair of ids. A merge visits only the places of its pair, so that the whole costs
    little more than the text has words of its own.

    Args:
      words: how often each occurs.
      limit: how many merges at most.
      min_frequency: pairs that occur less often are not merged.

    Returns:
      Pairs of ids: bytes, or 256 + the place of an earlier pair.

    Example:
      >>> learn_merges({b"aab": 2, b"ab": 3}, 5)
      [(97, 98), (97, 256)]
    """
    ids, after, before, weights = _chain(words)
    counts: defaultdict[Pair, int] = defaultdict(int)
    places: defaultdict[Pair, list[int]] = defaultdict(list)  # of the left one; some are out of date
    for left, right in enumerate(after):
        if right >= 0:
            pair = ids[left], ids[right]
            counts[pair] += weights[left]
            places[pair].append(left)
    heap = [(-count, pair) for pair, count in counts.items()]
    heapq.heapify(heap)
    merges: list[Pair] = []
    while heap and len(merges) < limit:
        known, pair = heapq.heappop(heap)
        count = counts.get(pair, 0)
        if count < min_frequency:
            if -known < min_frequency:
                break  # and all that follow
            continue
        if count != -known:  # it has become rarer since
            heapq.heappush(heap, (-count, pair))
            continue
        new, changed = 256 + len(merges), set[Pair]()
        merges.append(pair)
        for left in sorted(set(places.pop(pair))):
            right = after[left]
            if ids[left] != pair[0] or right < 0 or ids[right] != pair[1]:
                continue
            weight, far, near = weights[left], after[right], before[left]
            if near >= 0:
                counts[ids[near], pair[0]] -= weight
                counts[ids[near], new] += weight
                places[ids[near], new].append(near)
                changed.add((ids[near], new))
            if far >= 0:
                counts[pair[1], ids[far]] -= weight
                counts[new, ids[far]] += weight
                places[new, ids[far]].append(left)
                changed.add((new, ids[far]))
                before[far] = left
            ids[left], ids[right], after[left] = new, -1, far
        del counts[pair]
        for one in changed:
            heapq.heappush(heap, (-counts[one], one))
    return merges


def _chain(words: Mapping[bytes, int]) -> tuple[list[int], list[int], list[int], list[int]]:
    """All words in a row: ids, the place after and before each within its word (or -1), and the word's count."""
    ids: list[int] = []
    after: list[int] = []
    before: list[int] = []
    weights: list[int] = []
    for word, count in words.items():
        start, stop = len(ids), len(ids) + len(word)
        ids += word
        after += [*range(start + 1, stop), -1]
        before += [-1, *range(start, stop - 1)]
        weights += [count] * len(word)
    return ids, after, before, weights
