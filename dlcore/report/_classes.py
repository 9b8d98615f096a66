"""What a classifier confuses, and what it gets wrong the most."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlcore.report._figure import new_figure

MOST = 24  # pictures in a gallery


def confusion_matrix(labels: Any, predictions: Any, classes: int) -> np.ndarray:
    """Returns how often each class (row) was taken for each (column).

    Args:
      labels: (N,) whole numbers below `classes`.
      predictions: (N,) the same.
      classes: number of classes.

    Returns:
      (classes, classes) counts.

    Raises:
      ValueError: for arrays of different lengths or numbers out of range.

    Example:
      >>> confusion_matrix([0, 0, 1], [0, 1, 1], 2).tolist()
      [[1, 1], [0, 1]]
    """
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if labels.shape != predictions.shape or labels.ndim != 1:
        raise ValueError(f"confusion_matrix: expected lists of one length, found {labels.shape}, {predictions.shape}")
    for name, given in (("labels", labels), ("predictions", predictions)):
        if given.size and not (0 <= given.min() and given.max() < classes):
            raise ValueError(
                f"{name}: expected whole numbers from 0 to {classes - 1}, found {given.min()}, {given.max()}"
            )
    matrix = np.zeros((classes, classes), int)
    np.add.at(matrix, (labels, predictions), 1)
    return matrix


def confusion(matrix: np.ndarray, classes: Sequence[str], title: str = "") -> Any:
    """Draws a confusion matrix: counts, shaded by their share of the row.

    Args:
      matrix: (C, C).
      classes: names of the C classes.
      title: a line above.

    Returns:
      A matplotlib figure.

    Example:
      >>> figure = confusion(np.eye(2, dtype=int), ("off", "on"))
    """
    matrix = np.asarray(matrix)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    size = min(10.0, 2.0 + 0.42 * len(matrix))
    figure = new_figure(figsize=(size + 0.4, size))
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(matrix) <= 20:
        for (i, j), count in np.ndenumerate(matrix):
            if count:
                shade = "white" if shares[i, j] > 0.5 else "black"
                axes.text(j, i, str(count), ha="center", va="center", color=shade, fontsize="small")
        axes.set_xticks(range(len(matrix)), classes, rotation=0 if max(map(len, classes)) < 3 else 60)
        axes.set_yticks(range(len(matrix)), classes)
    axes.set(xlabel="taken for", ylabel="is")
    if title:
        figure.suptitle(title, fontsize="medium")
    return figure


def worst(losses: Any, labels: Any, predictions: Any, count: int = 12) -> np.ndarray:
    """Returns which examples were classified worst: wrong ones first, and the largest loss first.

    Args:
      losses: (N,).
      labels: (N,).
      predictions: (N,).
      count: how many at most.

    Example:
      >>> worst([0.1, 2.0, 3.0], [0, 0, 1], [0, 1, 1], 2).tolist()
      [1, 2]
    """
    is_right = np.asarray(labels) == np.asarray(predictions)
    return np.lexsort((-np.asarray(losses, float), is_right))[:count]


def gallery(images: Any, captions: Sequence[str], title: str = "") -> Any:
    """Draws small pictures with a line beneath each.

    Args:
      images: (N, H, W), (N, H, W, 1) or (N, H, W, 3), of any range; the first 24 are drawn.
      captions: N lines.
      title: a line above.

    Returns:
      A matplotlib figure.

    Raises:
      ValueError: for another shape.

    Example:
      >>> figure = gallery(np.zeros((2, 8, 8, 1)), ["a", "b"])
    """
    images = np.asarray(images, float)
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[-1] != 3) or len(images) != len(captions):
        raise ValueError(f"gallery: expected pictures (N, H, W, 1 or 3) and N captions, found {images.shape}")
    count = min(len(images), MOST)
    columns = min(6, max(count, 1))
    lines = -(-max(count, 1) // columns)
    figure = new_figure(figsize=(1.5 * columns, 1.75 * lines))
    for place, axes in enumerate(np.ravel(figure.subplots(lines, columns, squeeze=False))):
        axes.set_axis_off()
        if place < count:
            low, high = images[place].min(), images[place].max()
            axes.imshow((images[place] - low) / (high - low or 1), cmap="gray_r", vmin=0, vmax=1)
            axes.set_title(captions[place], fontsize=7)
    if title:
        figure.suptitle(title, fontsize="medium")
    return figure
