"""`dlcore show`."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from dlcore.cli._augment import make
from dlcore.cli._files import check_place, write_whole

WIDTH = 600  # pixels that a sheet is enlarged to, by a whole factor
ROWS, COLUMNS = 10, 8  # of a table, where --count says nothing


def show(
    data: str,
    /,
    split: Literal["train", "validation", "test"] = "train",
    data_dir: Path | None = None,
    augment: tuple[str, ...] = (),
    out: Path | None = None,
    count: int | None = None,
) -> None:
    """Show a data set: its card, and a contact sheet of its images or the first rows of its table.

    Args:
        data: its name; see `dlcore list`.
        split: which part of it.
        data_dir: where the files of a data set are that would be downloaded.
        augment: augmentations to apply one after the other, as in --augment flip shift.
        out: the picture; DATA-SPLIT.png by default.
        count: how many examples; 64 images or 10 rows by default.
    """
    from dlcore.data import card, load

    if count is not None and count < 1:
        raise ValueError(f"count: expected a positive whole number, found {count}")
    dataset = load(data, folder=data_dir)
    arrays = dataset.splits[split]
    x = arrays["x"]
    is_image = x.ndim == 4 and x.shape[-1] in (1, 3)
    for word, given in (("--augment", augment), ("--out", out)):
        if given and not is_image:
            raise ValueError(f"{word}: expected a data set of images, found {data} with x {x.shape[1:]}")
    place = Path(f"{data}-{split}.png") if out is None else out
    if is_image:
        place = check_place(place)
        picture = png(sheet(x[: count or 64], augment))
    print(card(data))
    if is_image:
        write_whole(place, picture)
        print(f"contact sheet: {place}")
    else:
        print(rows_text(dataset, arrays, count or ROWS))


def sheet(images: Any, augmentations: Sequence[str] = ()) -> Any:
    """Returns the pixels of a contact sheet, (height, width, 3) uint8, of images that may be augmented first.

    Args:
        images: (N, H, W, 1) or (N, H, W, 3).
        augmentations: names in `dlcore.augment`.

    Raises:
        ValueError: for an augmentation that is not there, or that says nothing to a picture.
    """
    import jax
    import numpy as np

    from dlcore.report import contact_sheet

    if augmentations:
        batch = {"x": np.asarray(images), "y": np.zeros(len(images), np.int32)}
        images = np.asarray(make(augmentations, 1)(jax.random.key(0), batch)["x"])
        images = np.clip(images, 0, 1) if "noise" in augmentations else images
    pixels = contact_sheet(images)
    factor = max(1, WIDTH // pixels.shape[1])
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def png(pixels: Any) -> bytes:
    """Returns (height, width, 3) uint8 as a PNG file."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def rows_text(dataset: Any, arrays: Mapping[str, Any], count: int) -> str:
    """Returns the first rows of a split as a table: the first columns of x, and y."""
    from dlcore.report import table_text

    rows = []
    for x, y in zip(arrays["x"][:count], arrays["y"][:count], strict=True):
        flat = x.reshape(-1)
        names = dataset.feature_names or [f"x{index}" for index in range(len(flat))]
        row = {name: value.item() for name, value in zip(names[:COLUMNS], flat, strict=False)}
        row |= {"...": "..."} if len(flat) > COLUMNS else {}
        rows.append(row | {"y": dataset.classes[y] if dataset.classes and y.ndim == 0 else y.ravel()[0].item()})
    return table_text(rows)
