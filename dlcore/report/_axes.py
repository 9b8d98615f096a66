"""A value against one axis of a space, and over two."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dlcore.report._figure import is_loss, new_figure, plain_axes
from dlcore.report._statistics import check_columns, label, mean_interval, same

Rows = Sequence[Mapping[str, Any]]
BLUE = "#4c72b0"


def against(rows: Rows, axis: str, value: str) -> Any:
    """Draws a value against one axis: every row as a point, and the mean with its 95% interval.

    Args:
      rows: dicts by column.
      axis: the column to go along; numbers over more than a factor 20 on a logarithmic scale.
      value: the column to draw.

    Returns:
      A matplotlib figure.

    Raises:
      ValueError: for a column that is not there, and where nothing is finite.

    Example:
      >>> rows = [{"rate": 0.1, "loss": 1.0}, {"rate": 0.1, "loss": 2.0}, {"rate": 0.2, "loss": 3.0}]
      >>> figure = against(rows, "rate", "loss")
    """
    check_columns(rows, axis, value)
    options, values = _options(rows, axis), [np.array([float(row[value]) for row in own]) for own in _by(rows, axis)]
    known = [own[np.isfinite(own)] for own in values]
    if not any(own.size for own in known):
        raise ValueError(f"there is no finite {value} to draw")
    numeric = all(_is_number(option) for option in options)
    places = np.array(options, float) if numeric else np.arange(len(options), dtype=float)
    logarithmic = numeric and places.min() > 0 and places.max() > 20 * places.min()
    figure = new_figure(figsize=(6, 3.8))
    axes = figure.subplots()
    spread = np.random.default_rng(0)
    for place, own in zip(places, known, strict=True):
        jitter = spread.uniform(-0.08, 0.08, own.size) if not numeric else np.zeros(own.size)
        axes.plot(place + jitter, own, ".", color=BLUE, alpha=0.35, markersize=5)
    means = [mean_interval(own) for own in known]
    middle = np.array([one.mean for one in means])
    ends = np.nan_to_num(np.array([[one.mean - one.low, one.high - one.mean] for one in means]).T)
    style = {"fmt": "o-" if numeric else "o", "color": BLUE, "capsize": 3, "markersize": 5, "linewidth": 1.4}
    axes.errorbar(places, middle, yerr=ends, **style)
    if logarithmic:
        axes.set_xscale("log")
    if not numeric:
        axes.set_xticks(places, [label(option) for option in options])
        axes.set_xlim(-0.5, len(options) - 0.5)
    everything = np.concatenate(known)
    if is_loss(value) and everything.min() > 0 and everything.max() > 20 * everything.min():
        axes.set_yscale("log")
    axes.set(xlabel=axis.replace("_", " "), ylabel=value.replace("_", " "))
    plain_axes(axes)
    return figure


def heatmap(rows: Rows, x: str, y: str, value: str) -> Any:
    """Draws the mean of a value in each cell of two axes.

    Args:
      rows: dicts by column.
      x: the column to the right.
      y: the column upwards.
      value: the column to draw.

    Returns:
      A matplotlib figure.

    Raises:
      ValueError: for a column that is not there, and where nothing is finite.

    Example:
      >>> rows = [{"rate": 0.1, "width": 8, "loss": 1.0}, {"rate": 0.2, "width": 8, "loss": 2.0}]
      >>> heatmap(rows, "rate", "width", "loss").axes[0].images[0].get_array().tolist()
      [[1.0, 2.0]]
    """
    check_columns(rows, x, y, value)
    columns, lines = _options(rows, x), _options(rows, y)
    cells = np.full((len(lines), len(columns)), np.nan)
    for i, own in enumerate(_by(rows, y)):
        for row_option, cell in zip(_options(own, x), _by(own, x), strict=True):
            j = [same(option) for option in columns].index(same(row_option))
            cells[i, j] = mean_interval([row[value] for row in cell]).mean
    if not np.isfinite(cells).any():
        raise ValueError(f"there is no finite {value} to draw")
    figure = new_figure(figsize=(min(12, 2.6 + 0.8 * len(columns)), min(10, 1.6 + 0.5 * len(lines))))
    axes = figure.subplots()
    image = axes.imshow(np.ma.masked_invalid(cells), origin="lower", aspect="auto", cmap="viridis")
    if max(cells.shape) <= 12:
        middle = (np.nanmin(cells) + np.nanmax(cells)) / 2
        for (i, j), number in np.ndenumerate(cells):
            if np.isfinite(number):
                shade = "white" if number <= middle else "black"
                axes.text(j, i, f"{number:.3g}", ha="center", va="center", color=shade, fontsize="small")
    names = [label(option) for option in columns]
    slanted = {"rotation": 20, "ha": "right"} if max(map(len, names)) > 8 else {}  # else they run into each other
    axes.set_xticks(range(len(columns)), names, **slanted)
    axes.set_yticks(range(len(lines)), [label(option) for option in lines])
    axes.set(xlabel=x.replace("_", " "), ylabel=y.replace("_", " "))
    figure.colorbar(image, ax=axes, label=value.replace("_", " "))
    return figure


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _options(rows: Rows, name: str) -> list[Any]:
    """Returns the different values of a column, numbers in their order and others as they come."""
    first = {same(row[name]): row[name] for row in rows}
    options = list(first.values())
    return sorted(options) if all(_is_number(option) for option in options) else options


def _by(rows: Rows, name: str) -> list[Rows]:
    return [[row for row in rows if same(row[name]) == same(option)] for option in _options(rows, name)]
