"""Many small images on one sheet."""

from typing import Any

import numpy as np

SEPARATOR = 128


def contact_sheet(images: Any, columns: int = 8) -> np.ndarray:
    """Lays images out on a grid, row by row, with lines of one pixel around them.

    Args:
      images: (N, H, W), (N, H, W, 1) or (N, H, W, 3); uint8, or floats of which 0 is black and 1 is white. Floats that
        leave [0, 1], such as standardized ones, are stretched together, from their smallest to their largest.
      columns: how many next to each other.

    Returns:
      uint8 (rows * (H + 1) + 1, columns * (W + 1) + 1, 3), which `matplotlib.pyplot.imsave` writes; fewer columns where
      there are fewer images. Places without an image are of the lines' gray.

    Raises:
      TypeError: for integers other than uint8.
      ValueError: for another shape, no image, values that are not finite, and less than one column.

    Example:
      >>> contact_sheet(np.zeros((10, 28, 28, 1)), columns=4).shape
      (88, 117, 3)
    """
    array = np.asarray(images)
    array = array[..., None] if array.ndim == 3 else array
    if array.ndim != 4 or array.shape[3] not in (1, 3):
        raise ValueError(f"images: expected (N, H, W), (N, H, W, 1) or (N, H, W, 3), found {np.shape(images)}")
    if not array.size:
        raise ValueError(f"images: expected one or more, found none in {np.shape(images)}")
    if isinstance(columns, bool) or not isinstance(columns, int | np.integer) or columns < 1:
        raise ValueError(f"columns: expected an integer of 1 or more, found {columns!r}")
    count, height, width, _ = array.shape
    columns = min(int(columns), count)
    rows = -(-count // columns)
    sheet = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1, 3), SEPARATOR, np.uint8)
    for place, image in enumerate(_as_bytes(array)):
        top, left = (place // columns) * (height + 1) + 1, (place % columns) * (width + 1) + 1
        sheet[top : top + height, left : left + width] = image
    return sheet


def _as_bytes(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind in "iub":
        raise TypeError(f"images: expected uint8 or floats, found {array.dtype}: images.astype('uint8')")
    wide = array.astype(np.float64)
    if not np.isfinite(wide).all():
        raise ValueError(f"images: expected finite values, found {(~np.isfinite(wide)).sum()} that are not")
    low, high = wide.min(), wide.max()
    if low < 0 or high > 1:
        wide = (wide - low) / (high - low) if high > low else np.full_like(wide, 0.5)
    return np.round(wide * 255).astype(np.uint8)
