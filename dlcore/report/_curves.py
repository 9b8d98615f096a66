"""Learning curves."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dlcore.errors import suggest
from dlcore.report._figure import new_figure, plain_axes

TRAIN, VALIDATION, TEST = "#4c72b0", "#dd8452", "#55a868"


def curves(metrics: Mapping[str, Any], *, title: str = "", names: tuple[str, ...] | None = None) -> Any:
    """Draws the learning curves of a run, one panel a metric: training, validation, and the test value as a line.

    Arrays with a lane axis are drawn as the mean over lanes with a band of one standard deviation.

    Args:
      metrics: arrays by name, as in `Run.metrics`: `loss` (steps,) or (lanes, steps), `validation_loss`, ...
      title: a line above the panels.
      names: which metrics to draw; all that were measured at every step unless given.

    Returns:
      A `matplotlib.figure.Figure`, which belongs to no window: a notebook shows it, `savefig` writes it.

    Raises:
      ValueError: where there is nothing to draw.

    Example:
      >>> figure = curves({"loss": np.linspace(1, 0, 50)}, title="a run")
      >>> len(figure.axes)
      1
    """
    skipped = ("learning_rate", "validation_step", "norm_step", "gradient_norm", "update_norm", "params_norm")
    if names is None:
        names = tuple(k for k in metrics if k not in skipped and not k.startswith(("validation_", "test_")))
    if unknown := [name for name in names if name not in metrics]:
        raise ValueError(f"there is no metric {unknown[0]!r}{suggest(unknown[0], metrics)}")
    if not names:
        raise ValueError(f"there is no metric to draw among {sorted(metrics)}")
    figure = new_figure(figsize=(4.6 * len(names), 3.4))
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        rows = np.atleast_2d(np.asarray(metrics[name], float))
        if rows.shape[1]:
            _train(axes, rows)
        if f"validation_{name}" in metrics:
            values = np.atleast_2d(np.asarray(metrics[f"validation_{name}"], float))
            _band(axes, np.atleast_2d(metrics["validation_step"])[0], values, VALIDATION, "validation")
        if f"test_{name}" in metrics:
            test = float(np.nanmean(np.asarray(metrics[f"test_{name}"], float)))
            axes.axhline(test, color=TEST, linestyle="--", linewidth=1, label=f"test {test:.3g}")
        if name == "loss" and np.nanmin(rows, initial=np.inf) > 0:
            axes.set_yscale("log")
        axes.set(xlabel="step", title=name.replace("_", " "))
        plain_axes(axes)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize="small")
    if title:
        figure.suptitle(title, fontsize="medium")
    return figure


def _train(axes: Any, rows: np.ndarray) -> None:
    steps = np.arange(1, rows.shape[1] + 1)
    width = max(1, rows.shape[1] // 60)
    if len(rows) == 1 and width > 1:
        axes.plot(steps, rows[0], color=TRAIN, alpha=0.2, linewidth=0.7)
    # Means over equal windows: the noise of single batches would hide the course.
    count = rows.shape[1] // width
    means = rows[:, : count * width].reshape(len(rows), count, width).mean(2)
    _band(axes, steps[width - 1 :: width][:count], means, TRAIN, "train")


def _band(axes: Any, x: np.ndarray, rows: np.ndarray, color: str, label: str) -> None:
    known = np.isfinite(rows).any(0)
    x, rows = x[known], rows[:, known]
    if not rows.size:
        return
    mean = np.nanmean(rows, 0)
    axes.plot(x, mean, color=color, label=label, linewidth=1.6)
    if len(rows) > 1:
        several = np.isfinite(rows).sum(0) > 1  # lanes end at different steps
        deviation = np.zeros(len(x))
        deviation[several] = np.nanstd(rows[:, several], 0, ddof=1)
        axes.fill_between(x, mean - deviation, mean + deviation, color=color, alpha=0.2, linewidth=0)
