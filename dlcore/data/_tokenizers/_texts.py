"""What is checked of the texts that tokenizers are given."""

from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["check_specials", "documents", "expect_unicode"]


def check_specials(specials: Any) -> tuple[str, ...]:
    """Returns the texts of special tokens as a tuple.

    Raises:
      TypeError: for a single text, and for what is no text.
      ValueError: for empty and repeated ones.
    """
    if isinstance(specials, str) or not isinstance(specials, Sequence):
        raise TypeError(f"specials: expected several texts, found {specials!r}: ({specials!r},)")
    for special in specials:
        if not isinstance(special, str):
            raise TypeError(f"specials: expected texts, found {special!r}")
        expect_unicode("specials", special)
        if not special:
            raise ValueError("specials: expected texts of a character or more, found ''")
    if len(set(specials)) < len(specials):
        raise ValueError(f"specials: expected different texts, found {list(specials)}")
    return tuple(specials)


def expect_unicode(name: str, text: str, start: int = 0) -> None:
    """Refuses half of a surrogate pair, which has no UTF-8.

    Raises:
      ValueError: names it and its position.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        found = f"U+{ord(text[error.start]):04X}, half of a surrogate pair, at position {start + error.start}"
        raise ValueError(f"{name}: expected text that UTF-8 can write, found {found}") from None


def documents(text: Any) -> Iterable[str]:
    """Returns the texts to learn from: one, or several.

    Raises:
      TypeError: for what is neither.
      ValueError: where there is no character at all.
    """
    texts = [text] if isinstance(text, str) else list(text) if isinstance(text, Iterable) else text
    if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
        raise TypeError(f"text: expected text, or several texts, found {type(text).__name__}")
    if not any(texts):
        raise ValueError("text: expected something to learn from, found no characters")
    return texts
