"""What every tokenizer is: text to ids and back, special tokens, and a JSON file."""

import json
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from dlcore.errors import DataError, one_line, suggest
from dlcore.files import read_bytes, whole

FORMAT = "dlcore tokenizer"
VERSION = 1


class Tokenizer:
    """Base of tokenizers: immutable values, equal where they hold the same, with `encode` and `decode`.

    Special tokens have the ids after all others, in their order, and text never becomes one unless it is asked for:
    what a user types cannot end a sequence. `id_of` gives their ids.

    Attributes:
      specials: texts of the special tokens, such as `("<pad>", "<bos>", "<eos>")`.
      size: the number of ids, specials among them; ids are below it.
    """

    kind: ClassVar[str] = ""
    specials: Sequence[str]
    _kinds: ClassVar[dict[str, type["Tokenizer"]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        Tokenizer._kinds[cls.kind] = cls

    @property
    def size(self) -> int:
        """Number of ids, specials among them."""
        return self._ordinary + len(self.specials)

    @property
    def _ordinary(self) -> int:
        """Number of ids before the specials."""
        raise NotImplementedError

    def _encode(self, text: str, start: int) -> np.ndarray:
        """The ids of text without specials; `start` is where it is in the whole, for messages."""
        raise NotImplementedError

    def _decode(self, ids: np.ndarray, errors: str) -> str:
        """The text of ids in range."""
        raise NotImplementedError

    def _content(self) -> dict[str, Any]:
        """What distinguishes it, as JSON."""
        raise NotImplementedError

    @classmethod
    def _build(cls, content: dict[str, Any]) -> Self:
        """The tokenizer of `_content`; ValueError or TypeError for anything else."""
        raise NotImplementedError

    def __repr__(self) -> str:
        also = f", specials={self.specials!r}" if self.specials else ""
        return f"{type(self).__name__}(size={self.size}{also})"

    def encode(self, text: str, *, parse_specials: bool = False) -> np.ndarray:
        """Returns the ids of a text.

        Args:
          text: any text; it is taken as it is, without normalisation.
          parse_specials: whether the texts of special tokens become their ids; for text that you trust.

        Returns:
          (n,) int32.

        Raises:
          TypeError: for what is no text.
          ValueError: for what has no id, with its position.
        """
        if not isinstance(text, str):
            raise TypeError(f"text: expected str, found {type(text).__name__}")
        if not parse_specials or not self.specials:
            return self._encode(text, 0)
        pieces, start = [], 0
        for found in self._special_pattern.finditer(text):
            pieces += [self._encode(text[start : found.start()], start), [self.id_of(found[0])]]
            start = found.end()
        return np.concatenate([*pieces, self._encode(text[start:], start)]).astype(np.int32)

    def decode(self, ids: Any, *, skip_specials: bool = False, errors: str = "replace") -> str:
        """Returns the text of ids; `decode(encode(text))` is `text`.

        Args:
          ids: whole numbers (n,), an array or a list.
          skip_specials: whether special tokens are left out, in place of their texts.
          errors: what becomes of bytes that are no UTF-8, as in `bytes.decode`: of ids that a model made up, or that
            end within a character. "replace" writes U+FFFD, "strict" raises `UnicodeDecodeError`.

        Raises:
          TypeError: for what is not integers.
          ValueError: for other shapes, and for an id that is not in [0, size), with its position.
        """
        array = np.asarray(ids)
        if array.size == 0:
            array = array.astype(np.int32)
        if array.dtype.kind not in "iu":
            raise TypeError(f"ids: expected whole numbers, found {array.dtype}")
        if array.ndim != 1:
            raise ValueError(f"ids: expected one sequence (n,), found {array.shape}: [decode(row) for row in ids]")
        outside = (array < 0) | (array >= self.size)
        if outside.any():
            place = int(outside.argmax())
            raise ValueError(f"ids: expected numbers in [0, {self.size}), found {array[place]} at position {place}")
        array = array.astype(np.int64)
        if skip_specials:
            return self._decode(array[array < self._ordinary], errors)
        # Between specials: bytes on both sides of one are no character together.
        pieces, start = list[str](), 0
        for place in np.flatnonzero(array >= self._ordinary).tolist():
            pieces += [self._decode(array[start:place], errors), self.specials[int(array[place]) - self._ordinary]]
            start = place + 1
        return "".join([*pieces, self._decode(array[start:], errors)])

    def id_of(self, special: str) -> int:
        """Returns the id of a special token.

        Args:
          special: its text.

        Raises:
          ValueError: where there is no such special token.
        """
        if special not in self.specials:
            raise ValueError(f"there is no special token {special!r}{suggest(special, self.specials)}")
        return self._ordinary + self.specials.index(special)

    def to_json(self) -> dict[str, Any]:
        """Returns what `from_json` makes the same tokenizer of: a dict that `json` writes."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "kind": self.kind,
            **self._content(),
            "specials": list(self.specials),
        }

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Builds a tokenizer again; `Tokenizer.from_json` takes any kind, a subclass its own. Nothing is executed.

        Args:
          data: what `to_json` gave.

        Raises:
          ValueError: where it is something else, or says something that no tokenizer has.
        """
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise ValueError(f"expected a {FORMAT}, found {_say(data)}")
        if data.get("version") != VERSION:
            raise ValueError(f"expected version {VERSION}, found {_say(data.get('version'))}")
        kind = data.get("kind")
        known = cls._kinds if cls is Tokenizer else {cls.kind: cls}
        if not isinstance(kind, str) or kind not in known:
            raise ValueError(f"kind: expected {' or '.join(map(repr, known))}, found {_say(kind)}")
        content = {name: value for name, value in data.items() if name not in ("format", "version", "kind")}
        if not isinstance(content.get("specials"), list):
            raise ValueError(f"specials: expected a list, found {_say(content.get('specials'))}")
        try:
            built: Any = known[kind]._build(content)
        except TypeError as error:
            raise ValueError(str(error)) from None
        return built

    def save(self, path: str | Path) -> None:
        """Writes a JSON file, whole or not at all.

        Args:
          path: the file.
        """
        with whole(path) as part:
            part.write_text(json.dumps(self.to_json(), separators=(",", ":")) + "\n", encoding="ascii")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads a file that `save` wrote; `Tokenizer.load` takes any kind, a subclass its own.

        Args:
          path: the file.

        Raises:
          DataError: where it is missing, damaged or something else: one line, with the path.
        """
        try:
            return cls.from_json(json.loads(read_bytes(path, "a tokenizer file").decode()))
        except json.JSONDecodeError as error:
            raise DataError(f"{path}: expected JSON, found {error}") from None
        except UnicodeDecodeError:
            raise DataError(f"{path}: expected JSON, found bytes that are no UTF-8") from None
        except RecursionError:
            raise DataError(f"{path}: expected JSON, found brackets nested too deep") from None
        except ValueError as error:
            raise DataError(f"{path}: {one_line(error)}") from None

    @cached_property
    def _special_pattern(self) -> re.Pattern[str]:
        # The longest first: one may be the beginning of another.
        return re.compile("|".join(map(re.escape, sorted(self.specials, key=len, reverse=True))))


def _say(value: Any) -> str:
    said = repr(value)
    return said if len(said) <= 60 else f"{said[:60]}..."
