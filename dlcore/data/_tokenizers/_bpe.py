"""Byte-pair encoding: bytes, and the pairs of tokens that were most frequent in a text."""

import dataclasses
import heapq
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from dlcore.checks import expect_positive
from dlcore.data._tokenizers._base import Tokenizer
from dlcore.data._tokenizers._merges import learn_merges
from dlcore.data._tokenizers._texts import check_specials, documents, expect_unicode

# GPT-2's, with Python's own classes of characters: English contractions, a word, a number or signs with the blank
# before them, and blanks, of which the last stays with the word that follows. Every character is in one piece.
PATTERN = re.compile(
    r"'(?:s|t|re|ve|m|ll|d)| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+",
)
_REMEMBERED = 1 << 16  # words
_MOST_BYTES = 1 << 26  # of all tokens together; a hundred times what 100,000 tokens of a language take
_LONGEST = 64  # characters of a word that is worth remembering

Pair = tuple[int, int]


@dataclasses.dataclass(frozen=True, repr=False)
class BPETokenizer(Tokenizer):
    """Byte-pair encoding on bytes; see `bpe_tokenizer`, which learns the merges.

    Ids below 256 are bytes, id 256 + i is the pair `merges[i]`, and the specials come last.

    Args:
      merges: pairs of ids, each of which was there before.
      specials: texts of special tokens.

    Example:
      >>> tokenizer = BPETokenizer([(104, 105), (32, 256)])
      >>> tokenizer.encode("hi hi"), tokenizer.token(257)
      (array([256, 257], dtype=int32), b' hi')
    """

    kind: ClassVar[str] = "bpe"
    merges: Sequence[Pair]
    specials: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "merges", _check_merges(self.merges))
        object.__setattr__(self, "specials", check_specials(self.specials))

    @property
    def _ordinary(self) -> int:
        return 256 + len(self.merges)

    def token(self, index: int) -> bytes:
        """Returns the bytes of an id, which need not be whole characters; a special's are those of its text.

        Args:
          index: the id.

        Raises:
          ValueError: for an id that there is not.
        """
        if not 0 <= index < self.size:
            raise ValueError(f"index: expected a number in [0, {self.size}), found {index}")
        return self._tokens[index] if index < self._ordinary else self.specials[index - self._ordinary].encode()

    @cached_property
    def _tokens(self) -> list[bytes]:
        tokens = [bytes([byte]) for byte in range(256)]
        for left, right in self.merges:
            tokens.append(tokens[left] + tokens[right])
        return tokens

    @cached_property
    def _ranks(self) -> dict[Pair, int]:
        return {pair: rank for rank, pair in enumerate(self.merges)}

    @cached_property
    def _known(self) -> dict[str, list[int]]:
        """Words that were encoded already; filled as they come."""
        return {}

    def _encode(self, text: str, start: int) -> np.ndarray:
        expect_unicode("text", text, start)
        ids: list[int] = []
        known = self._known
        for word in PATTERN.findall(text):
            pieces = known.get(word)
            if pieces is None:
                pieces = merge_word(word.encode(), self._ranks)
                if len(word) <= _LONGEST and len(known) < _REMEMBERED:
                    known[word] = pieces
            ids += pieces
        return np.array(ids, np.int32)

    def _decode(self, ids: np.ndarray, errors: str) -> str:
        tokens = self._tokens
        return b"".join([tokens[index] for index in ids.tolist()]).decode("utf-8", errors)

    def _content(self) -> dict[str, Any]:
        return {"merges": [list(pair) for pair in self.merges]}

    @classmethod
    def _build(cls, content: dict[str, Any]) -> Self:
        return cls(**content)


def bpe_tokenizer(
    text: str | Iterable[str], size: int, *, specials: Sequence[str] = (), min_frequency: int = 2
) -> BPETokenizer:
    """Tokenizer of byte pairs: starts from bytes, and merges the most frequent pair of neighbours, again and again.

    Text is cut into words first, with the blank before each, as GPT-2 does; no token crosses such a border. Of pairs
    that are equally frequent the one of the smaller ids comes first (the left id, then the right), so that the same
    text gives the same tokenizer everywhere. Any text can be encoded, of any language, and comes back to the byte.

    Args:
      text: what to learn from, or several texts.
      size: the number of ids to come to, with the 256 bytes and the specials. The tokenizer is smaller where the text
        runs out of pairs: build models for its `size`.
      specials: texts of special tokens, such as `("<pad>", "<bos>", "<eos>")`, with the last ids.
      min_frequency: a pair is merged only if it occurs at least so often.

    Returns:
      A `BPETokenizer`, a frozen value.

    Raises:
      TypeError: for what is no text.
      ValueError: for no characters, and for a size below 256 and the specials.

    Source: Sennrich, Haddow and Birch, 2016; on bytes, and the cutting into words, by Radford, Wu, Child, Luan, Amodei
    and Sutskever, 2019.

    Example:
      >>> tokenizer = bpe_tokenizer("low low low lower lowest", 260)
      >>> [tokenizer.token(index) for index in range(256, tokenizer.size)]
      [b'lo', b'low', b' low', b' lowe']
      >>> [tokenizer.decode([index]) for index in tokenizer.encode("slow lower")]
      ['s', 'low', ' lowe', 'r']
    """
    specials = check_specials(specials)
    expect_positive(size=size, min_frequency=min_frequency)
    if size < 256 + len(specials):
        raise ValueError(f"size: expected at least {256 + len(specials)}, for 256 bytes and the specials, found {size}")
    counts: dict[str, int] = {}
    for document in documents(text):
        expect_unicode("text", document)
        for word in PATTERN.findall(document):
            counts[word] = counts.get(word, 0) + 1
    words = {word.encode(): count for word, count in counts.items()}
    return BPETokenizer(learn_merges(words, size - 256 - len(specials), min_frequency), specials)


def merge_word(word: bytes, ranks: dict[Pair, int]) -> list[int]:
    """Returns the ids of a word: the pair that was learnt first is merged first, from left to right.

    Args:
      word: its bytes.
      ranks: the place of each pair among the merges.

    Example:
      >>> merge_word(b"aaa", {(97, 97): 0})
      [256, 97]
    """
    ids, count = list(word), len(word)
    after, before = list(range(1, count + 1)), list(range(-1, count - 1))
    # By rank and then by place; what was merged meanwhile is passed over. A word of n bytes takes n log n steps.
    heap = [(ranks[pair], place) for place, pair in enumerate(zip(ids, ids[1:], strict=False)) if pair in ranks]
    heapq.heapify(heap)
    while heap:
        rank, left = heapq.heappop(heap)
        right = after[left]
        if right >= count or ranks.get((ids[left], ids[right])) != rank:
            continue
        ids[left], ids[right] = 256 + rank, -1
        after[left] = after[right]
        if after[right] < count:
            before[after[right]] = left
        for first, second in ((before[left], left), (left, after[left])):
            if first >= 0 and second < count and (pair := (ids[first], ids[second])) in ranks:
                heapq.heappush(heap, (ranks[pair], first))
    return [index for index in ids if index >= 0]


def _check_merges(merges: Any) -> tuple[Pair, ...]:
    if isinstance(merges, str) or not isinstance(merges, Sequence):
        raise TypeError(f"merges: expected pairs of ids, found {type(merges).__name__}")
    pairs: dict[Pair, None] = {}
    lengths, total = [1] * 256, 0
    for place, pair in enumerate(merges):
        is_pair = isinstance(pair, list | tuple) and len(pair) == 2 and all(type(one) is int for one in pair)
        if not is_pair or not all(0 <= one < 256 + place for one in pair):
            raise ValueError(f"merges: expected a pair of ids in [0, {256 + place}) at place {place}, found {pair!r}")
        if (known := (pair[0], pair[1])) in pairs:
            raise ValueError(f"merges: expected different pairs, found {pair!r} again at place {place}")
        pairs[known] = None
        lengths.append(lengths[pair[0]] + lengths[pair[1]])
        total += lengths[-1]
        if total > _MOST_BYTES:  # each merge can double a token: sixty make one that no machine can hold
            found = f"more at place {place}"
            raise ValueError(f"merges: expected tokens of at most {_MOST_BYTES} bytes in all, found {found}")
    return tuple(pairs)
