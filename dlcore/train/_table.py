"""The lanes of a sweep as a table: a row a lane, and what is read from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dlcore import report
from dlcore.errors import suggest
from dlcore.recipe import comparable, show

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """Rows of lanes, in the order of the lanes.

    Attributes:
      rows: `lane`, the point, `seed`, `steps`, `stopped`, and metrics by name.
      names: those of the space.
      value: the column that points are judged by.
    """

    rows: Sequence[Row]
    names: Sequence[str]
    value: str

    @cached_property
    def axes(self) -> list[str]:
        """The names of the space that have more than one value."""
        return [name for name in self.names if len({comparable(row[name]) for row in self.rows}) > 1]

    @cached_property
    def by_point(self) -> list[list[Row]]:
        """The rows of each point, in the order of the points."""
        found: dict[Any, list[Row]] = {}
        for row in self.rows:
            found.setdefault(comparable([row[name] for name in self.names]), []).append(row)
        return list(found.values())

    def check(self, *names: str) -> None:
        """Refuses names that are no columns."""
        for name in names:
            if not self.rows or name not in self.rows[0]:
                raise ValueError(f"there is no column {name!r}{suggest(name, self.rows[0] if self.rows else ())}")

    def means(self, *values: str) -> list[dict[str, Any]]:
        """Returns a row a point: its mean over the seeds, with the 95% interval, of each value."""
        self.check(*values)
        found = []
        for own in self.by_point:
            flat = {name: own[0][name] for name in self.names} | {"seeds": len(own)}
            for name in values:
                interval = report.mean_interval([row[name] for row in own])
                flat |= {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}
            found.append(flat)
        return found

    def best(self, value: str) -> list[Row]:
        """Returns the rows of the point with the smallest loss, or the largest of anything else.

        Raises:
          ValueError: where no point came to a finite value.
        """
        self.check(value)
        chosen = min(self.by_point, key=lambda own: _score(own, value))
        if not np.isfinite(_score(chosen, value)):
            raise ValueError(f"best: no point came to a finite {value} with all of its seeds")
        return chosen

    def compare(self, a: Mapping[str, Any], b: Mapping[str, Any], value: str) -> report.Comparison:
        """Returns how much b differs from a: see `Sweep.compare`."""
        self.check(value, *a, *b)
        if a.keys() != b.keys():
            raise ValueError(f"compare: expected the same names on both sides, found {sorted(a)} and {sorted(b)}")
        others = [name for name in (*self.names, "seed") if name not in a]
        sides = []
        for wanted in (a, b):
            own = [row for row in self.rows if all(_is_same(row[name], wanted[name]) for name in wanted)]
            if not own:
                known = {name: list(dict.fromkeys(row[name] for row in self.plain_rows)) for name in wanted}
                raise ValueError(f"compare: no lane has {dict(wanted)}; there are {known}")
            sides.append({comparable([row[name] for name in others]): row[value] for row in own})
        both = [pair for pair in sides[0] if pair in sides[1]]
        names = (self.say(a), self.say(b))
        return report.paired_bootstrap(*([side[pair] for pair in both] for side in sides), what=value, names=names)

    @cached_property
    def ranked(self) -> list[dict[str, Any]]:
        """A row a point for people, the best first."""
        wanted = (self.value, *(name for name in ("validation_accuracy", "test_accuracy") if name in self.rows[0]))
        values = list(dict.fromkeys(wanted))
        uneven = len({row["steps"] for row in self.rows}) > 1
        found = []
        pairs = zip(self.means(*values), self.by_point, strict=True)
        for mean, own in sorted(pairs, key=lambda pair: _score(pair[1], self.value)):
            row = {name: self.plain(name, mean[name]) for name in self.names} | {"seeds": len(own)}
            if uneven:  # rungs, patience: what stands in one row was not trained as long as what stands in another
                steps = sorted(one["steps"] for one in own)
                row["steps"] = steps[0] if steps[0] == steps[-1] else f"{steps[0]} to {steps[-1]}"
            for name in values:
                half = (mean[f"{name}_high"] - mean[f"{name}_low"]) / 2
                row[name] = f"{mean[name]:.4g}" + (f" ± {half:.2g}" if np.isfinite(half) else "")
            found.append(row)
        return found

    @cached_property
    def plain_rows(self) -> list[dict[str, Any]]:
        """The rows, with a name of its own for every value that is no number or text."""
        return [{name: self.plain(name, value) for name, value in row.items()} for row in self.rows]

    def plain(self, name: str, value: Any) -> Any:
        """Returns a number or a text that stands for a value of a column."""
        return self._texts.get((name, comparable(value)), value) if name in self.names else value

    def say(self, point: Mapping[str, Any]) -> str:
        """Returns a point, or a part of one, in a few words."""
        short = lambda value: f"{value:.6g}" if isinstance(value, float) else str(value)
        return ", ".join(f"{name.replace('_', ' ')} {short(self.plain(name, point[name]))}" for name in point)

    @cached_property
    def _texts(self) -> dict[Any, str]:
        found: dict[Any, str] = {}
        for name in self.names:
            values = {comparable(row[name]): row[name] for row in self.rows}
            others = {key: show(value) for key, value in values.items() if not _is_plain(value)}
            for number, (key, text) in enumerate(others.items(), 1):
                found[name, key] = text if list(others.values()).count(text) == 1 else f"{text} ({number})"
        return found


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _score(rows: Sequence[Row], value: str) -> float:
    """Returns the mean of a value, with the sign that makes the smallest the best: infinite where a lane failed."""
    if any(row["stopped"].startswith("non-finite") or not np.isfinite(row[value]) for row in rows):
        return np.inf
    return (1 if value.endswith(("loss", "mse", "mae")) else -1) * float(np.mean([row[value] for row in rows]))


def _is_same(value: Any, wanted: Any) -> bool:
    if isinstance(value, float) and isinstance(wanted, int | float):
        return value == wanted
    return comparable(value) == comparable(wanted)
