"""What a run that goes on from another starts with, and what the two have in common."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dlcore.train._snapshot import Snapshot


def joined(arguments: Sequence[Mapping[str, Any]], lanes: str | None) -> dict[str, Any]:
    """Returns arguments of `fit` that train all lanes of a run, from those of each by itself."""
    first = dict(arguments[0])
    if first["data"] is None:
        raise ValueError("this run was loaded without its data: dl.load(..., data=...)")
    if lanes is None:
        return first
    if any(own["hparams"] != first["hparams"] for own in arguments):
        raise ValueError("lanes with different hyperparameters are no one run: take one with `lane(i)`")
    return first | {"seeds": [own["key"] for own in arguments]}


def forked(
    before: Mapping[str, Any], snapshot: Snapshot, changes: Mapping[str, Any]
) -> tuple[dict[str, Any], Snapshot]:
    """Returns the arguments of a fork, and its start: without what the changes make void.

    Args:
      before: the arguments of the run that it comes from.
      snapshot: that run where it forks.
      changes: arguments of `fit`, and hyperparameters.
    """
    own = {name: value for name, value in changes.items() if name in before and name != "hparams"}
    others = {name: value for name, value in changes.items() if name not in own and name != "hparams"}
    hparams = {**(before["hparams"] or {}), **others, **changes.get("hparams", {})}
    dropped = (
        "once/",
        *(["carry/opt_state/"] if "optimizer" in changes else []),
        *(["patience/", "best/"] if {"patience", "monitor", "min_delta"} & set(changes) else []),
    )
    arrays = {name: array for name, array in snapshot.arrays.items() if not name.startswith(dropped)}
    reasons = tuple(reason if reason.startswith("non-finite") else "" for reason in snapshot.reasons)
    return {**before, **own, "hparams": hparams or None}, Snapshot(snapshot.step, arrays, reasons)


def paired(before: Mapping[str, Any], after: Mapping[str, Any], name: str) -> tuple[Any, Any, Any]:
    """Returns the steps at which both runs have measured a metric, and the values of both."""
    if name.startswith("validation_"):
        places = [np.atleast_2d(metrics["validation_step"])[0] for metrics in (before, after)]
    else:
        places = [np.arange(1, np.shape(metrics[name])[-1] + 1) for metrics in (before, after)]
    steps, first, second = np.intersect1d(*places, return_indices=True)
    return steps, np.asarray(before[name])[..., first], np.asarray(after[name])[..., second]
