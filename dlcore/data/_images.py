"""Make a `Dataset` of published images: pixels from 0 to 1, and validation rows held out of the training file."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from dlcore.data._dataset import Dataset

Examples = tuple[np.ndarray, np.ndarray]


def image_dataset(
    name: str,
    train: Examples,
    test: Examples,
    *,
    classes: Sequence[str],
    validation: int,
    stratify: bool,
    key: int,
) -> Dataset:
    """Returns the data set of two files of images.

    Args:
        name: what to call it.
        train: uint8 images (N, height, width, channels) and their labels (N,).
        test: the same.
        classes: the class names.
        validation: how many rows of `train` become validation rows; the last ones, or as `stratify` says.
        stratify: draw them at random with every class in proportion instead.
        key: the seed of that draw.
    """
    x, y = train
    if isinstance(validation, bool) or not isinstance(validation, numbers.Integral):
        raise TypeError(f"{name} validation: expected an int, found {type(validation).__name__}")
    if not 0 <= validation < len(x):
        raise ValueError(f"{name} validation: expected 0 to {len(x) - 1} of the {len(x)} rows, found {validation}")
    rest: Any = slice(len(x) - int(validation))
    held_out: Any = slice(len(x) - int(validation), None)
    if stratify and validation:
        from sklearn.model_selection import train_test_split

        try:
            rest, held_out = train_test_split(
                np.arange(len(x)), test_size=int(validation), random_state=key, stratify=y
            )
        except ValueError as error:  # fewer rows than classes
            raise ValueError(f"{name} validation: {validation} rows cannot be stratified: {error}") from None
    return Dataset(
        name,
        {"x": _to_unit(x[rest]), "y": y[rest]},
        {"x": _to_unit(x[held_out]), "y": y[held_out]} if validation else None,
        {"x": _to_unit(test[0]), "y": test[1]},
        task="classification",
        classes=classes,
    )


def _to_unit(pixels: np.ndarray) -> np.ndarray:
    return np.divide(pixels, np.float32(255), dtype=np.float32, order="C")
