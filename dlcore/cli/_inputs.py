"""Files as rows of a run's inputs."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dlcore.errors import CheckpointError, DataError, suggest
from dlcore.files import open_regular, reason, regular_size, shown

_MOST_BYTES = 1 << 30


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
    regular_size(file, "a file")
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
    from dlcore.data._npy import read_npy

    with open_regular(file, "a file") as (stream, size):
        array = read_npy(shown(file), stream, size)
    kinds = "f" if inputs.is_image else "iu" if inputs.dtype.kind == "i" else "fiu"
    if array.dtype.kind not in kinds:
        repair = "; divide by 255" if inputs.is_image and array.dtype == np.uint8 else ""
        raise DataError(f"{file}: expected {inputs.dtype} as in training, found {array.dtype}{repair}")
    array = array if array.ndim == len(inputs.shape) + 1 else array[None]
    if not len(array):
        raise DataError(f"{file}: expected one or more examples, found none")
    return array


def _table(file: Path, inputs: Inputs) -> np.ndarray:
    from dlcore.data._csv import read_csv

    if len(inputs.shape) != 1:
        raise DataError(f"{file}: expected a file of examples of shape {inputs.shape}, found a table")
    table = read_csv(file, max_bytes=_MOST_BYTES, delimiter=",")
    head = [column.name for column in table]
    if all(_is_number(name) for name in head):
        raise DataError(f"{file}: expected a header with the names of the features, found numbers: {head[:3]}")
    rows = np.empty((len(table[0].values), inputs.shape[0]))
    for place, column in enumerate(table[index] for index in _columns(file, head, inputs)):
        for row, value in enumerate(column.values):
            if value is None or not _is_number(value):
                raise column.error(file, row, "a number")
            rows[row, place] = float(value)
    return rows


def _columns(file: Path, head: Sequence[str], inputs: Inputs) -> list[int]:
    """Returns which column holds which feature."""
    count = inputs.shape[0]
    if not inputs.names:
        if len(head) != count:
            raise DataError(f"{file}: expected {count} columns, found {len(head)}")
        return list(range(count))
    known = [name.strip() for name in inputs.names]
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
    from dlcore.data import Tokenizer, read_text

    tokenizer, length = Tokenizer.load(inputs.tokenizer), inputs.shape[0]
    try:
        rows = [tokenizer.encode(line) for line in read_text(file).splitlines()]
    except ValueError as error:  # what the tokenizer has no token for
        raise DataError(f"{file}: {reason(error)}") from None
    if not rows:
        raise DataError(f"{file}: expected one or more lines, found none")
    for number, row in enumerate(rows, 1):
        if len(row) != length:
            raise DataError(f"{file}: expected {length} tokens a line, found {len(row)} in line {number}")
    return np.stack(rows)


def _image(file: Path, inputs: Inputs) -> np.ndarray:
    from dlcore.data import read_image

    if not inputs.is_image:
        known = "a .npy, .csv or .txt file"
        raise DataError(f"{file}: expected {known} of examples {inputs.shape} {inputs.dtype}, found {file.suffix!r}")
    height, width, channels = inputs.shape
    pixels = read_image(file, (height, width), channels=channels)[None]  # as `image_folder` reads them for training
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
