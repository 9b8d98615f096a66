"""Files as rows of a run's inputs."""

import csv
import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dlcore.cli._files import check_file, read_bytes
from dlcore.errors import CheckpointError, DataError, suggest


class Inputs(NamedTuple):
    """What a run takes.

    Attributes:
        shape: of one example.
        dtype: of its numbers.
        names: of the features; none where the data have no names, or are not here.
        bounds: the smallest and the largest of each feature over the training rows, or None.
        invert: whether images are to be made dark for light.
        tokenizer: a tokenizer's file, or None.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    names: Sequence[str] = ()
    bounds: tuple[np.ndarray, np.ndarray] | None = None
    invert: bool = False
    tokenizer: Path | None = None

    @classmethod
    def of(cls, run: Any, folder: Path, invert: bool = False, tokenizer: Path | None = None) -> "Inputs":
        """Returns what a loaded run takes.

        Raises:
            CheckpointError: for a run whose batches have no x.
        """
        from dlcore.train._folder import read_config

        batch = (read_config(folder) or {}).get("batch") or {}
        if "x" not in batch:
            raise CheckpointError(f"{folder}: expected a run whose batches have x, found {sorted(batch)}")
        shape, dtype = batch["x"]
        if run.data is None:
            return cls(tuple(shape[1:]), np.dtype(dtype), (), None, invert, tokenizer)
        x = run.data.train["x"]
        bounds = (x.min(axis=0), x.max(axis=0))
        return cls(tuple(shape[1:]), np.dtype(dtype), run.data.feature_names, bounds, invert, tokenizer)

    @property
    def is_image(self) -> bool:
        """Whether one example is an image (H, W, 1) or (H, W, 3)."""
        return len(self.shape) == 3 and self.shape[2] in (1, 3) and self.dtype.kind == "f"


def read_rows(file: Path, inputs: Inputs) -> np.ndarray:
    """Returns a file as examples (N, ...) of the shape and dtype that a run takes.

    Args:
        file: .npy, .csv, .txt, or an image.
        inputs: what the run takes.

    Raises:
        DataError: where the file is not what its name says or not what the run takes; one line with path, expected
            and found.

    Warns:
        UserWarning: where numbers lie far outside those that the run was trained on.
    """
    check_file(file)
    readers = {".npy": _array, ".csv": _table, ".txt": _texts}
    rows = readers.get(file.suffix.lower(), _image)(file, inputs)
    if rows.shape[1:] != inputs.shape:
        raise DataError(f"{file}: expected examples of shape {inputs.shape}, found {rows.shape[1:]}")
    if rows.dtype.kind == "f" and not np.isfinite(rows).all():
        first = int(np.argwhere(~np.isfinite(rows))[0][0])
        raise DataError(
            f"{file}: expected finite numbers, found {rows[first][~np.isfinite(rows[first])][0]} in row {first}"
        )
    rows = rows.astype(inputs.dtype)
    _warn_outside(file, rows, inputs)
    return rows


def _array(file: Path, inputs: Inputs) -> np.ndarray:
    try:  # mapped: a header that promises more than the file has is found before memory is asked for
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise DataError(f"{file}: expected an array in NumPy's format, found {_line(error)}") from None
    kinds = "f" if inputs.is_image else "iu" if inputs.dtype.kind == "i" else "fiu"
    if array.dtype.kind not in kinds:
        repair = "; divide by 255" if inputs.is_image and array.dtype == np.uint8 else ""
        raise DataError(f"{file}: expected {inputs.dtype} as in training, found {array.dtype}{repair}")
    array = array if array.ndim == len(inputs.shape) + 1 else np.asarray(array)[None]
    if not len(array):
        raise DataError(f"{file}: expected one or more examples, found none")
    return np.asarray(array)


def _table(file: Path, inputs: Inputs) -> np.ndarray:
    if len(inputs.shape) != 1:
        raise DataError(f"{file}: expected a file of examples of shape {inputs.shape}, found a table")
    try:
        text = read_bytes(file, "a table").decode("utf-8-sig")
        lines = [line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: expected CSV in UTF-8, found {error}") from None
    if len(lines) < 2:
        raise DataError(f"{file}: expected a header and one or more rows, found {len(lines)} lines")
    head = [name.strip() for name in lines[0]]
    if all(_is_number(name) for name in head):
        raise DataError(f"{file}: expected a header with the names of the features, found numbers: {lines[0][:3]}")
    columns = _columns(file, head, inputs)
    rows = np.empty((len(lines) - 1, len(columns)))
    for number, line in enumerate(lines[1:], 2):
        if len(line) != len(head):
            raise DataError(f"{file}: expected {len(head)} fields as in the header, found {len(line)} in line {number}")
        for place, column in enumerate(columns):
            if not _is_number(line[column]):
                raise DataError(
                    f"{file}: expected a number for {head[column]!r}, found {line[column]!r} in line {number}"
                )
            rows[number - 2, place] = float(line[column])
    return rows


def _columns(file: Path, head: Sequence[str], inputs: Inputs) -> list[int]:
    """Returns which column holds which feature."""
    count = inputs.shape[0]
    if not inputs.names:
        if len(head) != count:
            raise DataError(f"{file}: expected {count} columns, found {len(head)}")
        return list(range(count))
    known = [name.strip() for name in inputs.names]
    if twice := [name for name in head if head.count(name) > 1]:
        raise DataError(f"{file}: expected different names of columns, found {twice[0]!r} more than once")
    if unknown := [name for name in head if name not in known]:
        raise DataError(f"{file}: there is no feature {unknown[0]!r}{suggest(unknown[0], known)}")
    if missing := [name for name in known if name not in head]:
        raise DataError(f"{file}: expected {count} columns, found none for {missing[0]!r}")
    return [head.index(name) for name in known]


def _texts(file: Path, inputs: Inputs) -> np.ndarray:
    if inputs.dtype.kind != "i" or len(inputs.shape) != 1:
        raise DataError(f"{file}: expected a file of examples {inputs.shape} {inputs.dtype}, found a text")
    if inputs.tokenizer is None:
        raise DataError(f"{file}: expected a tokenizer for a text, found none: --tokenizer FILE")
    from dlcore.data import Tokenizer

    check_file(inputs.tokenizer, "a tokenizer file")
    tokenizer, length = Tokenizer.load(inputs.tokenizer), inputs.shape[0]
    try:
        lines = read_bytes(file, "a text").decode("utf-8-sig").splitlines()
        rows = [tokenizer.encode(line) for line in lines]
    except ValueError as error:
        raise DataError(f"{file}: {_line(error)}") from None
    if not rows:
        raise DataError(f"{file}: expected one or more lines, found none")
    for number, row in enumerate(rows, 1):
        if len(row) != length:
            raise DataError(f"{file}: expected {length} tokens a line, found {len(row)} in line {number}")
    return np.stack(rows)


def _image(file: Path, inputs: Inputs) -> np.ndarray:
    from PIL import Image, ImageOps

    if not inputs.is_image:
        known = "a .npy, .csv or .txt file"
        raise DataError(f"{file}: expected {known} of examples {inputs.shape} {inputs.dtype}, found {file.suffix!r}")
    height, width, channels = inputs.shape
    try:
        with warnings.catch_warnings(), Image.open(file) as picture:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if picture.mode[0] in "IF":  # Pillow would cut these to 8 bits
                raise ValueError(f"mode {picture.mode}, which is not 8 bits a channel")
            picture = ImageOps.exif_transpose(picture)
            if picture.has_transparency_data:
                picture = picture.convert("RGBA")
                picture = Image.alpha_composite(Image.new("RGBA", picture.size, "black"), picture)
            picture = picture.convert("L" if channels == 1 else "RGB").resize(
                (width, height), Image.Resampling.BILINEAR
            )
    except Exception as error:  # Pillow's readers raise all kinds
        raise DataError(f"{file}: expected an image, found {_line(error)}") from None
    pixels = np.asarray(picture, np.float32).reshape(1, height, width, channels) / 255
    return 1 - pixels if inputs.invert else pixels


def _warn_outside(file: Path, rows: np.ndarray, inputs: Inputs) -> None:
    """Says where numbers are on another scale: outside the training rows by a quarter of what those span."""
    if inputs.bounds is None or inputs.dtype.kind != "f":
        return
    low, high = inputs.bounds
    room = np.maximum(high.max() - low.min() if len(inputs.shape) > 1 else high - low, 1e-6) / 4
    outside = (rows < low - room) | (rows > high + room)
    if not outside.any():
        return
    row, *place = (int(index) for index in np.argwhere(outside)[0])
    at = tuple(place)
    name = inputs.names[place[-1]] if inputs.names else f"x{list(place)}"
    warnings.warn(
        f"{file}: {name} is {rows[(row, *at)]:.4g} in row {row}, outside {low[at]:.4g} to {high[at]:.4g} of the "
        "training data, as which it has to be scaled",
        stacklevel=2,
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
