"""What the reports of runs and sweeps show."""

from typing import Any

import numpy as np

from dlcore.recipe import recipe_of, show
from dlcore.report import confusion, confusion_matrix, gallery, page, worst
from dlcore.train._progress import spread

SHOWN = 10_000  # examples that a report classifies at most


def run_sections(run: Any) -> list[tuple[str, Any]]:
    """Returns what `report` shows, as pairs of heading and content."""
    sections: list[tuple[str, Any]] = [("Results", {k.replace("_", " "): spread(v) for k, v in run.summary().items()})]
    if "loss" in run.metrics:
        sections.append(("Learning curves", run.plot()))
    sections += _classified(run)
    plain = {k: v for k, v in run.arguments[0].items() if v is not None and k not in ("params", "state")}
    told = {name: _told(value) for name, value in plain.items()}
    return [*sections, ("Configuration", told | {"hparams": {k: _told(v) for k, v in run.hparams.items()}})]


def page_of(sweep: Any) -> str:
    """Returns the report of a sweep: points, curves, axes, lanes, and the best run."""
    sections: list[tuple[str, Any]] = [("Points", sweep.table.ranked), ("Learning curves", sweep.plot())]
    sections += [(f"By {name.replace('_', ' ')}", sweep.plot_axis(name)) for name in sweep.axes]
    if len(sweep.axes) > 1:
        sections.append(("Map", sweep.plot_map()))
    sections.append(("Lanes", sweep.table.plain_rows))
    try:
        sections += run_sections(sweep.best())
    except ValueError:  # nothing came to a finite value
        pass
    return page(sweep.headline(), sections)


def _classified(run: Any) -> list[tuple[str, Any]]:
    data = run.data
    if data is None or data.task != "classification":
        return []
    splits = data.splits
    split = next((name for name in ("test", "validation") if name in splits), None)
    if split is None:
        return []
    x, labels = (np.asarray(splits[split][name])[:SHOWN] for name in "xy")
    from scipy.special import logsumexp

    outputs, classes = run.predict(x), data.classes
    logits = np.asarray(outputs[0] if run.lanes else outputs, float) if hasattr(outputs, "shape") else np.zeros(0)
    if logits.shape != (len(labels), len(classes)) or not np.isfinite(logits).all():  # of the first lane
        return []
    predictions = np.asarray(logits.argmax(1))
    losses = np.asarray(logsumexp(logits, axis=1)) - logits[np.arange(len(x)), labels]
    indices = worst(losses, labels, predictions)
    captions = [f"{classes[labels[i]]}, taken for {classes[predictions[i]]}" for i in indices]
    is_image = x.ndim == 4 and x.shape[-1] in (1, 3)
    named = zip(indices, labels[indices], predictions[indices], losses[indices], strict=True)
    rows = [{"row": int(i), "label": classes[a], "prediction": classes[b], "loss": float(c)} for i, a, b, c in named]
    matrix = confusion_matrix(labels, predictions, len(classes))
    return [
        (f"Confusion matrix ({split})", confusion(matrix, classes)),
        (f"Worst classified ({split})", gallery(x[indices], captions) if is_image else rows),
    ]


def _told(value: Any) -> str:
    return repr(value) if recipe_of(value) is not None else show(value)
