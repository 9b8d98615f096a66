"""A token for each byte of UTF-8."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np

from dlcore.data._tokenizers._base import Tokenizer
from dlcore.data._tokenizers._texts import check_specials, expect_unicode


@dataclasses.dataclass(frozen=True, repr=False)
class ByteTokenizer(Tokenizer):
    """A token for each byte of UTF-8, with the byte for an id; see `byte_tokenizer`.

    Args:
      specials: texts of special tokens, with ids from 256 on.

    Example:
      >>> ByteTokenizer().encode("é")
      array([195, 169], dtype=int32)
    """

    kind: ClassVar[str] = "byte"
    specials: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "specials", check_specials(self.specials))

    @property
    def _ordinary(self) -> int:
        return 256

    def _encode(self, text: str, start: int) -> np.ndarray:
        expect_unicode("text", text, start)
        return np.frombuffer(text.encode(), np.uint8).astype(np.int32)

    def _decode(self, ids: np.ndarray, errors: str) -> str:
        return ids.astype(np.uint8).tobytes().decode("utf-8", errors)

    def _content(self) -> dict[str, Any]:
        return {}

    @classmethod
    def _build(cls, content: dict[str, Any]) -> Self:
        return cls(**content)


def byte_tokenizer(*, specials: Sequence[str] = ()) -> ByteTokenizer:
    """Tokenizer of the bytes of UTF-8: 256 ids for any text of any language, and nothing to learn.

    Args:
      specials: texts of special tokens, such as `("<pad>", "<bos>", "<eos>")`, with ids from 256 on.

    Returns:
      A `ByteTokenizer`, a frozen value.

    Raises:
      TypeError, ValueError: for specials that are not different texts; by `encode`, for half of a surrogate pair.

    Example:
      >>> tokenizer = byte_tokenizer(specials=("<eos>",))
      >>> tokenizer.decode([104, 105, 256]), tokenizer.size
      ('hi<eos>', 257)
      >>> tokenizer.decode(tokenizer.encode("é")[:1])
      '\N{REPLACEMENT CHARACTER}'
    """
    return ByteTokenizer(specials)
