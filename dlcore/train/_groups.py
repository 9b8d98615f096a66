"""The lanes of a sweep, grouped into programs."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dlcore.recipe import comparable
from dlcore.train._setup import PREPARED, Setup, prepare

# Arguments of `fit` that may be axes of a space.
ARGUMENTS = tuple(name for name in PREPARED if name not in ("data", "metrics", "hparams", "mesh"))


class Group(NamedTuple):
    """What runs as one program: lanes that differ in their keys and in traced numbers only."""

    setup: Setup
    lanes: list[int]  # their places in the sweep
    arguments: list[dict[str, Any]]  # of `fit`, for each lane
    points: list[dict[str, Any]]  # of the space, for each lane
    hparams: list[dict[str, float]]  # the numbers, for each lane


def make_groups(base: Mapping[str, Any], points: Sequence[Mapping[str, Any]], keys: Sequence[Any]) -> list[Group]:
    """Returns the lanes of a sweep, every point with every key, grouped by what a program is compiled for.

    Args:
      base: arguments of `fit`.
      points: of the space, which win over them.
      keys: of each point's lanes.

    Raises:
      TypeError, ValueError: for any point that `fit` would refuse, with a note that says which.
    """
    groups: dict[Any, Group] = {}
    data = base["data"]
    for number, point in enumerate(points):
        own = {name: value for name, value in point.items() if name in ARGUMENTS}
        rest = {name: value for name, value in point.items() if name not in ARGUMENTS}
        arguments = {**base, **own, "hparams": {**(base["hparams"] or {}), **rest} or None}
        try:
            setup = prepare(**{name: arguments[name] for name in PREPARED if name != "data"}, data=data)
        except (TypeError, ValueError) as error:
            error.add_note(f"at the point {dict(point)}")
            raise
        if setup.inputs.stream is not None:
            raise TypeError("data: an iterator can be read once, and a sweep reads it for every run; give arrays")
        data = setup.inputs  # which are on the device by now
        same = comparable([setup.structure, {name: arguments[name] for name in ARGUMENTS}, sorted(setup.hparams)])
        group = groups.setdefault(same, Group(setup, [], [], [], []))
        for place, key in enumerate(keys):
            group.lanes.append(number * len(keys) + place)
            group.arguments.append({**arguments, "seeds": None, "lanes": None, "key": key})
            group.points.append(dict(point))
            group.hparams.append(dict(setup.hparams))
    return list(groups.values())
