"""Curves of several groups with the bands of their lanes, and paired differences."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dlcore.report._figure import colors, is_loss, new_figure, plain_axes
from dlcore.report._statistics import mean_and_half


def bands(groups: Mapping[str, tuple[Any, Any]], *, ylabel: str, title: str = "") -> Any:
    """Draws a curve a group: the mean of its lanes, with the 95% band of the mean where there are several.

    Args:
      groups: (steps (S,), rows (lanes, S)) by name.
      ylabel: what is drawn.
      title: a line above.

    Returns:
      A matplotlib figure.

    Raises:
      ValueError: where nothing is finite.

    Example:
      >>> figure = bands({"a": ([1, 2], [[1.0, 0.5], [1.2, 0.7]])}, ylabel="loss")
      >>> len(figure.axes[0].get_lines())
      1
    """
    shown = {name: name if len(name) <= 80 else f"{name[:79]}…" for name in groups}
    many, columns, longest = len(groups) > 6, 1 + len(groups) // 21, max(map(len, shown.values()), default=0)
    beside = columns * (0.6 + 0.075 * longest) if many else 0  # inches that the names need in a legend of its own
    figure = new_figure(figsize=(6.5 + beside, 4))
    axes, least = figure.subplots(), np.inf
    for color, (name, (steps, rows)) in zip(colors(len(groups)), groups.items(), strict=True):
        steps, rows = np.asarray(steps), np.atleast_2d(np.asarray(rows, float))
        mean, half, count = mean_and_half(rows)
        known = count > 0
        if not known.any():
            continue
        least = min(least, float(np.nanmin(mean)))
        axes.plot(
            steps[known],
            mean[known],
            color=color,
            label=shown[name],
            linewidth=1.6,
            marker="." if known.sum() < 40 else "",
        )
        sure = known & np.isfinite(half)
        if sure.any():
            low, high = (mean - half)[sure], (mean + half)[sure]
            low = np.maximum(low, mean[sure] / 10) if is_loss(ylabel) else low  # a band to zero would fill the picture
            axes.fill_between(steps[sure], low, high, color=color, alpha=0.18, linewidth=0)
    if not np.isfinite(least):
        raise ValueError(f"there is no finite {ylabel} to draw")
    if is_loss(ylabel) and least > 0:
        axes.set_yscale("log")
    axes.set(xlabel="step", ylabel=ylabel)
    plain_axes(axes)
    outside = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)} if many else {}
    axes.legend(frameon=False, fontsize="small", ncols=columns, **outside)
    if title:
        figure.suptitle(title, fontsize="medium")
    return figure


def difference(
    steps: Any, a: Any, b: Any, *, names: tuple[str, str] = ("a", "b"), title: str = "", at: float | None = None
) -> Any:
    """Draws two paired curves, and b - a beneath them.

    Args:
      steps: (S,).
      a: (S,) or (lanes, S).
      b: the same.
      names: of the two.
      title: a line above.
      at: a step to mark.

    Returns:
      A matplotlib figure.

    Raises:
      ValueError: for shapes that differ, and where nothing is finite.

    Example:
      >>> figure = difference([1, 2, 3], [3.0, 2.0, 1.0], [3.0, 1.5, 0.8])
      >>> figure.axes[1].get_lines()[0].get_ydata().tolist()
      [0.0, -0.5, -0.2]
    """
    steps, a, b = np.asarray(steps), np.atleast_2d(np.asarray(a, float)), np.atleast_2d(np.asarray(b, float))
    if a.shape != b.shape or a.shape[1] != len(steps):
        raise ValueError(f"difference: expected curves over {len(steps)} steps, found shapes {a.shape} and {b.shape}")
    if not np.isfinite(b - a).any():
        raise ValueError("difference: there is nothing finite to draw")
    figure = new_figure(figsize=(6.5, 5))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    for rows, name, color in zip((a, b), names, colors(2), strict=True):
        upper.plot(steps, mean_and_half(rows)[0], color=color, label=name, linewidth=1.3)
    mean, half, _ = mean_and_half(b - a)
    lower.plot(steps, mean, color="#444444", linewidth=1.2)
    if np.isfinite(half).any():
        lower.fill_between(steps, mean - half, mean + half, color="#444444", alpha=0.2, linewidth=0)
    lower.axhline(0, color="#999999", linewidth=0.8)
    for axes in (upper, lower):
        if at is not None:
            axes.axvline(at, color="#999999", linestyle="--", linewidth=1)
        plain_axes(axes)
    upper.legend(frameon=False, fontsize="small")
    lower.set(xlabel="step", ylabel=f"{names[1]} - {names[0]}")
    if title:
        figure.suptitle(title, fontsize="medium")
    return figure
