"""Files that nobody meant to write: whatever is in them, a reader returns or raises `DataError` in one line.

`fuzz_tables(count)`, `fuzz_images(count)` and `fuzz_token_files(count)` try so many; the tests call them with few.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
from hypothesis import strategies as st
from PIL import Image

from dlcore.data import MappedWindows, read_image, read_table, read_text, write_tokens
from dlcore.errors import DataError

_MARKS = [
    b"\0",
    b'"',
    b",",
    b"\n",
    b"\r",
    b"\xff",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"nan",
    b"inf",
    b"1e999",
    b"-",
    b"\xe2",
]
_FIELDS = st.one_of(
    st.sampled_from(
        ["", "NA", "nan", "true", "FALSE", "1", "-2.5", "1e400", "inf", "2020-01-01", "3,5", "unknown", "y"]
    ),
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=8),
)


@st.composite
def mutated(draw: Any, originals: list[bytes]) -> bytes:
    """A valid file with some bytes changed, cut out, doubled or put in."""
    content = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 12)))
        kind = draw(st.sampled_from(["change", "cut", "double", "insert", "mark", "end"]))
        if kind == "change" and start < len(content):
            content[start] = draw(st.integers(0, 255))
        elif kind == "cut":
            del content[start:end]
        elif kind == "double":
            content[start:start] = content[start:end] * draw(st.integers(1, 50))
        elif kind == "insert":
            content[start:start] = draw(st.binary(max_size=8))
        elif kind == "mark":
            content[start:start] = draw(st.sampled_from(_MARKS))
        elif kind == "end":
            del content[start:]
    return bytes(content)


@st.composite
def csv_files(draw: Any) -> bytes:
    """Rows of fields, mostly as many as the header has, quoted or not."""
    width = draw(st.integers(1, 4))
    names = draw(st.lists(st.sampled_from(["a", "b", "c", "y", "", "a b"]), min_size=width, max_size=width))
    rows = draw(st.lists(st.lists(_FIELDS, min_size=width, max_size=width), max_size=12))
    quoted = draw(st.booleans())
    texts = [
        [f'"{field}"' if quoted else field for field in row] for row in [[*names, "y"], *([*row, "1"] for row in rows)]
    ]
    text = draw(st.sampled_from(["\n", "\r\n", "\r"])).join(map(",".join, texts))
    return text.encode("utf-8", "surrogatepass")


def fuzz_tables(count: int) -> int:
    """Reads so many files as tables and as text, and returns how many of them could be read."""
    header = b"size,colour,when,ripe,y\n"
    valid = [
        header + b"".join(b"%d,%s,%d.5,%s,%d\n" % (i, b"red" if i % 2 else b"", i, b"true", i % 3) for i in range(20)),
        b'\xef\xbb\xbf"y","a"\r\n' + b"".join(b'%d.5,"x""\r\n%d"\r\n' % (i, i % 2) for i in range(20)),
    ]

    def read(path: Path, choice: int) -> None:
        options: list[dict[str, Any]] = [{}, {"task": "regression"}, {"task": "classification"}]
        try:
            read_table(path, target="y", missing=("mean", "most_common", "error")[choice % 3], **options[choice // 3])
        except ValueError as error:
            # These follow from arguments: the target, and how many rows each split is to have.
            assert (
                "there is no column 'y'" in str(error) or "would be empty" in str(error) or "besides 'y'" in str(error)
            )

    files = st.one_of(mutated(valid), csv_files(), st.binary(max_size=300))
    return _fuzz(count, files, "table.csv", read) + _fuzz(
        max(1, count // 10), files, "text.txt", lambda path, choice: read_text(path)
    )


def fuzz_images(count: int) -> int:
    """Reads so many files as images, and returns how many of them could be read."""
    valid = []
    generator = np.random.default_rng(0)
    colours = Image.fromarray(generator.integers(0, 256, (9, 7, 3), np.uint8))
    deep = Image.fromarray(generator.integers(0, 65536, (9, 7), np.uint16))
    exif = Image.Exif()
    exif[0x0112] = 6
    pictures = [(colours, name, {}) for name in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")]
    pictures += [(colours, "JPEG", {"exif": exif}), (deep, "PNG", {}), (deep, "TIFF", {})]
    pictures += [(colours.convert("RGBA"), name, {}) for name in ("PNG", "WEBP", "TIFF")]
    pictures += [(colours.convert("P"), "PNG", {"transparency": 3}), (colours, "PNG", {"exif": exif})]
    pictures += [
        (colours.convert("CMYK"), "TIFF", {"compression": "tiff_lzw"}),
        (colours, "JPEG", {"progressive": True}),
    ]
    for image, name, options in pictures:
        file = io.BytesIO()
        image.save(file, name, **options)
        valid.append(file.getvalue())

    def read(path: Path, choice: int) -> None:
        fit, channels = ("crop", "stretch")[choice % 2], (1, 3)[choice // 2 % 2]
        found = read_image(path, (5, 6), channels=channels, fit=fit, max_pixels=10_000)
        assert found.shape == (5, 6, channels) and found.dtype == np.float32
        assert 0 <= found.min() and found.max() <= 1  # NaN fails too

    return _fuzz(count, st.one_of(mutated(valid), st.binary(max_size=300)), "image.png", read)


def fuzz_token_files(count: int) -> int:
    """Maps so many files as token ids, and returns how many of them could be read."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tokens.npy")
        write_tokens(path, np.arange(40))
        valid = [path.read_bytes()]

    def read(path: Path, choice: int) -> None:
        try:
            MappedWindows(path, 3, 2, vocabulary=1000).batch(choice)
        except ValueError as error:
            assert "lower length" in str(error) or "lower batch_size" in str(error)  # too few tokens for the arguments

    return _fuzz(count, st.one_of(mutated(valid), st.binary(max_size=200)), "tokens.npy", read)


def _fuzz(count: int, files: Any, name: str, read: Callable[[Path, int], object]) -> int:
    readable = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)

        @hypothesis.settings(max_examples=count, deadline=None)
        @hypothesis.given(content=files, choice=st.integers(0, 8))
        def attempt(content: bytes, choice: int) -> None:
            nonlocal readable
            path.write_bytes(content)
            try:
                read(path, choice)
            except DataError as error:
                assert str(error).startswith(str(path)) and str(error).isprintable() and len(str(error)) < 1000
            else:
                readable += 1

        attempt()
    return readable
