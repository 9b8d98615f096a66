"""Plain text: a file of one's own, and a corpus that comes with Python."""

from __future__ import annotations

import dataclasses
import os
import platform

from dlcore.data._check import checked_limit
from dlcore.errors import DataError
from dlcore.files import read_bytes, shown


@dataclasses.dataclass(frozen=True, repr=False)
class Corpus:
    """Text to train a language model on, and text that is held out.

    Attributes:
        name: what it is called.
        train: the text to train on.
        validation: text that follows it, for validation.
        version: which edition it is, since texts change.

    Example:
        >>> Corpus("abc", train="aabbcc", validation="abc", version="1")
        Corpus abc 1: 6 train / 3 validation characters
    """

    name: str
    train: str
    validation: str
    version: str

    def __repr__(self) -> str:
        sizes = f"{len(self.train):,} train / {len(self.validation):,} validation"
        return f"Corpus {self.name} {self.version}: {sizes} characters"


def read_text(path: str | os.PathLike[str], *, max_bytes: int = 1 << 30) -> str:
    """Reads a text file in UTF-8; a byte order mark is left out, and line ends become newlines.

    Args:
        path: the file.
        max_bytes: a larger file is refused; 1 GiB by default.

    Returns:
        The text.

    Raises:
        DataError: the file is missing, not a regular file, too large, or not UTF-8; then the position of the first
            wrong byte is named.
        TypeError: `max_bytes` is not an int.
        ValueError: `max_bytes` is below 1.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "verse.txt")
        ...     _ = path.write_text("Gallia est omnis divisa")
        ...     read_text(path)
        'Gallia est omnis divisa'
    """
    content = read_bytes(path, "a text file in UTF-8", checked_limit("read_text max_bytes", max_bytes))
    return decoded(path, content).replace("\r\n", "\n").replace("\r", "\n")


def decoded(path: str | os.PathLike[str], content: bytes) -> str:
    """Returns UTF-8 content as text without its byte order mark."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        is_utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
        found = "UTF-16" if is_utf16 else f"0x{content[error.start]:02x} at byte {error.start} (line {line})"
        raise DataError(f"{shown(path)}: expected text in UTF-8, found {found}; save it as UTF-8") from error
    return text.removeprefix("\ufeff")


def pydoc() -> Corpus:
    """Python's own reference on its language, 370,000 characters of English that come with every Python.

    The topics of `help("...")` in alphabetical order, cut at blank lines; a paragraph that occurs again is left out,
    so that no paragraph of validation is in train. Validation is the last tenth, in one piece. The text differs
    between versions of Python, which `version` tells.

    Returns:
        A `Corpus`.

    Raises:
        DataError: this Python has been stripped of its documentation.

    Source: Python Software Foundation, The Python Language Reference; the module `pydoc_data.topics`.

    Example:
        >>> corpus = pydoc()
        >>> corpus.name, 0.89 < len(corpus.train) / len(corpus.train + corpus.validation) < 0.91
        ('pydoc', True)
    """
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise DataError(
            "pydoc_data.topics: expected Python's bundled documentation, found none in this Python; install it whole"
        ) from error
    paragraphs: dict[str, str] = {}  # by what they say, whatever the line breaks and the indentation
    for topic in sorted(topics):
        for paragraph in topics[topic].replace("\r\n", "\n").split("\n\n"):
            if words := " ".join(paragraph.split()):
                paragraphs.setdefault(words, paragraph.strip("\n"))
    texts = list(paragraphs.values())
    held_out = sum(map(len, texts)) / 10
    cut, length = len(texts), 0
    while length < held_out:
        cut -= 1
        length += len(texts[cut])
    train, validation = ("\n\n".join(part) + "\n" for part in (texts[:cut], texts[cut:]))
    return Corpus("pydoc", train, validation, f"Python {platform.python_version()}")
