"""What a sweep found out."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dlcore import report
from dlcore.errors import suggest
from dlcore.recipe import comparable, show
from dlcore.train._folder import RunFolder
from dlcore.train._pages import page_of
from dlcore.train._patience import Monitor
from dlcore.train._run import Run


@dataclass(frozen=True, repr=False, eq=False)
class Sweep:
    """The runs of a sweep, a lane for each point and seed, in the order of the points.

    Attributes:
      runs: one with lanes for each program; `lane` and `best` take single ones out.
      lanes: for each of them, the places of its lanes in the sweep.
      points: for each of them, the point of each lane.
      monitor: what `best` goes by unless told otherwise.
      stopped: "finished", "interrupted" or "terminated".
      folder: where the sweep is kept.
    """

    runs: Sequence[Run]
    lanes: Sequence[Sequence[int]]
    points: Sequence[Sequence[Mapping[str, Any]]]
    monitor: Monitor
    stopped: str
    folder: Path | None = None

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """A row a lane: `lane`, the point, `seed`, `steps`, `stopped`, and the values of each metric.

        `train_loss` is the mean over the last epoch, `validation_loss` the last, and `best_validation_loss` the best.
        """
        found, several = [], sum(map(len, self.lanes)) // max(1, self._count())
        for run, lanes, points in zip(self.runs, self.lanes, self.points, strict=True):
            measured = {_column(name): values for name, values in run.summary().items()} | _best(run)
            for index, (lane, point) in enumerate(zip(lanes, points, strict=True)):
                key = run.arguments[index]["key"]
                row = {"lane": lane, **point, "seed": key if isinstance(key, int) else lane % several}
                row |= {"steps": int(run.final.step[index]), "stopped": str(run.stopped[index])}
                found.append(row | {name: float(values[index]) for name, values in measured.items()})
        names = dict.fromkeys(name for row in found for name in row)  # some groups may have come further than others
        return [{n: row.get(n, np.nan) for n in names} for row in sorted(found, key=lambda row: row["lane"])]

    @property
    def axes(self) -> list[str]:
        """The names of the space, those that have one value only left out."""
        points = [point for own in self.points for point in own]
        return [name for name in points[0] if len({comparable(point[name]) for point in points}) > 1] if points else []

    @property
    def value(self) -> str:
        """What points are judged by: the monitored validation metric, at its best where the best weights were kept."""
        name = self.monitor.name
        wanted = (f"best_validation_{name}" if self._kept_best() else "", f"validation_{name}", f"train_{name}")
        return next((one for one in wanted if any(one in row for row in self.rows)), "train_loss")

    def means(self, *values: str) -> list[dict[str, Any]]:
        """Returns a row a point: its mean over the seeds, with the 95% interval, of each value.

        Args:
          *values: names of columns; `value` unless given.
        """
        wanted = values or (self.value,)
        self._check(*wanted)
        found = []
        for own in self._by_point():
            flat = {name: own[0][name] for name in self.points[0][0]} | {"seeds": len(own)}
            for name in wanted:
                interval = report.mean_interval([row[name] for row in own])
                flat |= {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}
            found.append(flat)
        return found

    def best(self, value: str | None = None) -> Run:
        """Returns the run of the best point: of its one seed, or with all of its seeds as lanes.

        Args:
          value: a column; the smallest loss is the best, and the largest of anything else. `value` unless given.

        Raises:
          ValueError: for a column that is not there, and where no run came to a finite value.
        """
        value = value or self.value
        self._check(value)
        chosen = min(self._by_point(), key=lambda own: _score(own, value))
        if not np.isfinite(_score(chosen, value)):
            raise ValueError(f"best: no point came to a finite {value} with all of its seeds")
        return self._select([row["lane"] for row in chosen])

    def lane(self, lane: int) -> Run:
        """Returns one lane as the run that `fit` gives for its seed and hyperparameters alone.

        Args:
          lane: its number, the column `lane` of the table.

        Raises:
          IndexError: where there is no such lane.
        """
        return self._select([lane])

    def compare(self, a: Mapping[str, Any], b: Mapping[str, Any], value: str | None = None) -> Any:
        """Returns how much b differs from a: paired by seed and by all the rest, with a bootstrap interval.

        Args:
          a: some names of the space with their values.
          b: the same names with other values.
          value: a column; `value` unless given.

        Raises:
          ValueError: for names or values that are not in the space, and for fewer than two pairs.
        """
        value = value or self.value
        self._check(value, *a, *b)
        if a.keys() != b.keys():
            raise ValueError(f"compare: expected the same names on both sides, found {sorted(a)} and {sorted(b)}")
        sides = []
        for wanted in (a, b):
            same = [row for row in self.rows if all(_is_same(row[name], wanted[name]) for name in wanted)]
            if not same:
                known = {name: list(dict.fromkeys(row[name] for row in self.plain_rows())) for name in wanted}
                raise ValueError(f"compare: no lane has {dict(wanted)}; there are {known}")
            others = [name for name in (*self.points[0][0], "seed") if name not in wanted]
            sides.append({comparable([row[name] for name in others]): row[value] for row in same})
        both = [pair for pair in sides[0] if pair in sides[1]]
        return report.paired_bootstrap([sides[0][pair] for pair in both], [sides[1][pair] for pair in both])

    def plot(self, name: str = "") -> Any:
        """Draws the learning curve of each point, with the 95% band of its seeds.

        Args:
          name: a metric; the validation metric of `monitor` unless given.
        """
        known = dict.fromkeys(one for run in self.runs for one in run.metrics)
        name = name or next((one for one in (f"validation_{self.monitor.name}", "loss") if one in known), "loss")
        if name not in known:
            raise ValueError(f"plot: there is no metric {name!r}{suggest(name, known)}")
        groups: dict[str, Any] = {}
        for run, points in zip(self.runs, self.points, strict=True):
            if name not in run.metrics:  # it was stopped before it came so far
                continue
            labels = [self._label(point) for point in points]
            steps = np.arange(1, run.metrics[name].shape[1] + 1)
            steps = run.metrics["validation_step"][0] if name.startswith("validation_") else steps
            for label in dict.fromkeys(labels):
                own = [index for index, one in enumerate(labels) if one == label]
                groups[label] = (steps, run.metrics[name][own])
        # In the order in which they end: so the legend reads from the top down.
        groups = dict(sorted(groups.items(), key=lambda item: -_end(item[1][1])))
        return report.bands(groups, ylabel=name.replace("_", " "), title=self.headline())

    def plot_axis(self, axis: str = "", value: str | None = None) -> Any:
        """Draws a value against one axis: every lane, and the mean with its 95% interval.

        Args:
          axis: a name of the space; the first that varies unless given.
          value: a column; `value` unless given.
        """
        axis, value = axis or (self.axes or [*self.points[0][0]])[0], value or self.value
        self._check(axis, value)
        return report.against(self.plain_rows(), axis, value)

    def plot_map(self, x: str = "", y: str = "", value: str | None = None) -> Any:
        """Draws the mean of a value over two axes.

        Args:
          x, y: names of the space; the first two that vary unless given.
          value: a column; `value` unless given.

        Raises:
          ValueError: where the space has fewer than two axes.
        """
        if len({*self.axes, x, y} - {""}) < 2:
            raise ValueError(f"plot_map: expected a space with two axes, found {self.axes}; see plot_axis")
        left = [name for name in self.axes if name not in (x, y)]
        x, y = x or left.pop(0), y or left.pop(0)
        self._check(x, y, value or self.value)
        return report.heatmap(self.plain_rows(), x, y, value or self.value)

    def to_csv(self, path: str | Path) -> None:
        """Writes the table as CSV."""
        Path(path).write_text(report.table_csv(self.plain_rows()))

    def to_json(self, path: str | Path) -> None:
        """Writes the table as JSON, a list of objects."""
        Path(path).write_text(report.table_json(self.plain_rows()))

    def report(self, path: str | Path) -> None:
        """Writes one HTML file that needs no other: curves, table, configuration, the best run."""
        Path(path).write_text(page_of(self))

    def write(self, folder: RunFolder) -> None:
        """Writes the table and the report into the folder of the sweep."""
        folder.put("lanes.csv", report.table_csv(self.plain_rows()))
        folder.put("lanes.json", report.table_json(self.plain_rows()))
        if self._is_measured():
            folder.put("report.html", page_of(self))

    def __repr__(self) -> str:
        if not self._is_measured():
            return self.headline()
        return f"{self.headline()}\n{report.table_text(self.ranked())}"

    def _repr_html_(self) -> str:
        table = report.table_html(self.ranked()) if self._is_measured() else ""
        return f"<p>{html.escape(self.headline())}</p>{table}"

    def ranked(self) -> list[dict[str, Any]]:
        """Returns a row a point for people, the best first."""
        names = [self.value, *(name for name in ("validation_accuracy", "test_accuracy") if name in self.rows[0])]
        names = list(dict.fromkeys(names))
        rows = zip(self.means(*names), self._by_point(), strict=True)
        uneven = len({row["steps"] for row in self.rows}) > 1
        found = []
        for mean, own in sorted(rows, key=lambda pair: _score(pair[1], self.value)):
            row = {name: self._plain(name, mean[name]) for name in self.points[0][0]} | {"seeds": len(own)}
            if uneven:  # rungs, patience: what stands in one row was not trained as long as what stands in another
                steps = sorted(one["steps"] for one in own)
                row["steps"] = steps[0] if steps[0] == steps[-1] else f"{steps[0]} to {steps[-1]}"
            for name in names:
                half = (mean[f"{name}_high"] - mean[f"{name}_low"]) / 2
                row[name] = f"{mean[name]:.4g}" + (f" ± {half:.2g}" if np.isfinite(half) else "")
            found.append(row)
        return found

    def plain_rows(self) -> list[dict[str, Any]]:
        """Returns the table with a name of its own for every value that is no number or text."""
        return [{name: self._plain(name, value) for name, value in row.items()} for row in self.rows]

    def _plain(self, name: str, value: Any) -> Any:
        return self._names.get((name, comparable(value)), value) if name in self.points[0][0] else value

    @cached_property
    def _names(self) -> dict[Any, str]:
        found: dict[Any, str] = {}
        for name in self.points[0][0]:
            values = {comparable(point[name]): point[name] for own in self.points for point in own}
            others = {key: show(value) for key, value in values.items() if not _is_plain(value)}
            for number, (key, text) in enumerate(others.items(), 1):
                found[name, key] = text if list(others.values()).count(text) == 1 else f"{text} ({number})"
        return found

    def _by_point(self) -> list[list[dict[str, Any]]]:
        """Returns the rows of each point, in the order of the points."""
        found: dict[Any, list[dict[str, Any]]] = {}
        for row in self.rows:
            found.setdefault(comparable([row[name] for name in self.points[0][0]]), []).append(row)
        return list(found.values())

    def _select(self, lanes: Sequence[int]) -> Run:
        for run, own in zip(self.runs, self.lanes, strict=True):
            if lanes[0] in own:
                return run.select([own.index(lane) for lane in lanes], lone=len(lanes) == 1)
        raise IndexError(f"there is no lane {lanes[0]}: the sweep has {sum(map(len, self.lanes))}")

    def _label(self, point: Mapping[str, Any]) -> str:
        said = {name: self._plain(name, point[name]) for name in self.axes or point}
        short = lambda value: f"{value:.6g}" if isinstance(value, float) else str(value)
        return ", ".join(f"{name.replace('_', ' ')} {short(value)}" for name, value in said.items())

    def _is_measured(self) -> bool:
        """Whether any step was made before it was stopped."""
        return self.value in self.rows[0]

    def _count(self) -> int:
        return len({comparable(point) for own in self.points for point in own})

    def _kept_best(self) -> bool:
        return any(name.startswith("best/") for run in self.runs for name in run.snapshot.arrays)

    def _check(self, *names: str) -> None:
        for name in names:
            if not self.rows or name not in self.rows[0]:
                raise ValueError(f"there is no column {name!r}{suggest(name, self.rows[0] if self.rows else ())}")

    def headline(self) -> str:
        """Returns the sweep in one line."""
        lanes = sum(map(len, self.lanes))
        points = self._count()
        programs = f"{len(self.runs)} program{'s' if len(self.runs) > 1 else ''}"
        seconds = sum(run.run_seconds for run in self.runs), sum(run.compile_seconds for run in self.runs)
        from_said = "" if self.stopped == "finished" else f", {self.stopped}"
        return (
            f"sweep of {points} points with {lanes // max(points, 1)} seeds, {lanes} runs in {programs}: "
            f"{seconds[0]:.1f} s + {seconds[1]:.1f} s to compile{from_said}"
        )


def _column(name: str) -> str:
    return name if name.startswith(("validation_", "test_")) else f"train_{name}"


def _best(run: Run) -> dict[str, np.ndarray]:
    found = {}
    for name, rows in run.metrics.items():
        if name.startswith("validation_") and name != "validation_step":
            best = np.nanmin if name.endswith(("loss", "mse", "mae")) else np.nanmax
            known = np.asarray(np.isfinite(rows).any(axis=1))
            found[f"best_{name}"] = np.where(known, best(np.where(known[:, None], rows, 0), axis=1), np.nan)
    return found


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _score(rows: Sequence[Mapping[str, Any]], value: str) -> float:
    """Returns the mean of a value, with the sign that makes the smallest the best: infinite where a lane failed."""
    if any(row["stopped"].startswith("non-finite") or not np.isfinite(row[value]) for row in rows):
        return np.inf
    return (1 if value.endswith(("loss", "mse", "mae")) else -1) * float(np.mean([row[value] for row in rows]))


def _end(rows: np.ndarray) -> float:
    lasts = [lane[np.isfinite(lane)][-1] for lane in rows if np.isfinite(lane).any()]
    return float(np.mean(lasts)) if lasts else -np.inf


def _is_same(value: Any, wanted: Any) -> bool:
    if isinstance(value, float) and isinstance(wanted, int | float):
        return value == wanted
    return comparable(value) == comparable(wanted)
