"""A token for each character."""

import dataclasses
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from dlcore.data._tokenizers._base import Tokenizer
from dlcore.data._tokenizers._texts import check_specials, documents


@dataclasses.dataclass(frozen=True, repr=False)
class CharTokenizer(Tokenizer):
    """A token for each character (Unicode code point) of an alphabet; see `char_tokenizer`.

    The ids are the places in the alphabet, then that of `unknown` if there is one, then the specials.

    Args:
      alphabet: different characters in ascending order.
      unknown: what stands for every other character, in `decode` too; None refuses them.
      specials: texts of special tokens.

    Example:
      >>> CharTokenizer("abc").encode("cab")
      array([2, 0, 1], dtype=int32)
    """

    kind: ClassVar[str] = "char"
    alphabet: str
    unknown: str | None = None
    specials: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.alphabet, str) or list(self.alphabet) != sorted(set(self.alphabet)):
            raise ValueError("alphabet: expected different characters in ascending order: ''.join(sorted(set(text)))")
        if not self.alphabet:
            raise ValueError("alphabet: expected a character or more, found none")
        if self.unknown is not None and (not isinstance(self.unknown, str) or not self.unknown):
            raise ValueError(f"unknown: expected a text or None, found {self.unknown!r}")
        if self.unknown is not None and self.unknown in self._characters:
            raise ValueError(f"unknown: expected what is not in the alphabet, found {self.unknown!r}")
        object.__setattr__(self, "specials", check_specials(self.specials))
        if self.unknown in self.specials:
            raise ValueError(f"specials: expected others than `unknown`, found {self.unknown!r}")

    @property
    def _ordinary(self) -> int:
        return len(self.alphabet) + (self.unknown is not None)

    @cached_property
    def _characters(self) -> frozenset[str]:
        return frozenset(self.alphabet)

    @cached_property
    def _codes(self) -> np.ndarray:
        return _code_points(self.alphabet)

    def _encode(self, text: str, start: int) -> np.ndarray:
        given = _code_points(text)
        ids = np.minimum(np.searchsorted(self._codes, given), len(self._codes) - 1)
        strange = self._codes[ids] != given
        if strange.any():
            if self.unknown is None:
                place = int(strange.argmax())
                raise ValueError(
                    f"text: expected characters of the alphabet of {len(self.alphabet)}, found {text[place]!r} "
                    f"(U+{ord(text[place]):04X}) at position {start + place}; char_tokenizer(text, unknown='\\ufffd') "
                    "gives all such characters one id"
                )
            ids = np.where(strange, len(self.alphabet), ids)
        return ids.astype(np.int32)

    def _decode(self, ids: np.ndarray, errors: str) -> str:
        tokens = [*self.alphabet, *([] if self.unknown is None else [self.unknown])]
        return "".join([tokens[index] for index in ids.tolist()])

    def _content(self) -> dict[str, Any]:
        return {"alphabet": self.alphabet, "unknown": self.unknown}

    @classmethod
    def _build(cls, content: dict[str, Any]) -> Self:
        return cls(**content)


def char_tokenizer(
    text: str | Iterable[str], *, unknown: str | None = None, specials: Sequence[str] = ()
) -> CharTokenizer:
    """Tokenizer of the characters that occur in a text, with ids in the order of their code points.

    Args:
      text: what it is made for, or several texts; make it of the training text alone, and give it an `unknown`.
      unknown: what stands for all characters that do not occur, with an id of its own, such as the replacement
        character; they decode as it. None refuses them: nothing is lost in silence.
      specials: texts of special tokens, such as `("<pad>", "<bos>", "<eos>")`, with the last ids.

    Returns:
      A `CharTokenizer`, a frozen value.

    Raises:
      TypeError: for what is no text.
      ValueError: for no characters; for an `unknown` that occurs; and, from `encode`, for a character outside the
        alphabet where there is no `unknown`.

    Example:
      >>> tokenizer = char_tokenizer("hello", specials=("<eos>",))
      >>> tokenizer.alphabet, tokenizer.encode("hell"), tokenizer.size
      ('ehlo', array([1, 0, 2, 2], dtype=int32), 5)
    """
    characters: set[str] = set()
    for document in documents(text):
        characters.update(document)
    return CharTokenizer("".join(sorted(characters)), unknown, specials)


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
