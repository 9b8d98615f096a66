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
from dlcore.places import place
from dlcore.recipe import comparable
from dlcore.train._folder import RunFolder
from dlcore.train._pages import page_of
from dlcore.train._patience import Monitor
from dlcore.train._run import Run
from dlcore.train._table import Table


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
    def table(self) -> Table:
        """The lanes as a table, which `rows`, `means`, `best` and `compare` read."""
        rows = self._rows()
        name = self.monitor.name
        kept_best = any(name.startswith("best/") for run in self.runs for name in run.snapshot.arrays)
        wanted = (f"best_validation_{name}" if kept_best else "", f"validation_{name}", f"train_{name}")
        value = next((one for one in wanted if any(one in row for row in rows)), "train_loss")
        return Table(rows, [*self.points[0][0]], value)

    @property
    def rows(self) -> Sequence[Mapping[str, Any]]:
        """A row a lane: `lane`, the point, `seed`, `steps`, `stopped`, and the values of each metric.

        `train_loss` is the mean over the last epoch, `validation_loss` the last, and `best_validation_loss` the best.
        """
        return self.table.rows

    @property
    def axes(self) -> list[str]:
        """The names of the space, those that have one value only left out."""
        return self.table.axes

    @property
    def value(self) -> str:
        """What points are judged by: the monitored validation metric, at its best where the best weights were kept."""
        return self.table.value

    def means(self, *values: str) -> list[dict[str, Any]]:
        """Returns a row a point: its mean over the seeds, with the 95% interval, of each value.

        Args:
          *values: names of columns; `value` unless given.
        """
        return self.table.means(*(values or (self.value,)))

    def best(self, value: str | None = None) -> Run:
        """Returns the run of the best point: of its one seed, or with all of its seeds as lanes.

        Args:
          value: a column; the smallest loss is the best, and the largest of anything else. `value` unless given.

        Raises:
          ValueError: for a column that is not there, and where no run came to a finite value.
        """
        return self._select([row["lane"] for row in self.table.best(value or self.value)])

    def lane(self, lane: int) -> Run:
        """Returns one lane as the run that `fit` gives for its seed and hyperparameters alone.

        Args:
          lane: its number, the column `lane` of the table.

        Raises:
          IndexError: where there is no such lane.
        """
        return self._select([lane])

    def compare(self, a: Mapping[str, Any], b: Mapping[str, Any], value: str | None = None) -> report.Comparison:
        """Returns how much b differs from a: paired by seed and by all the rest, with a bootstrap interval.

        Args:
          a: some names of the space with their values.
          b: the same names with other values.
          value: a column; `value` unless given.

        Raises:
          ValueError: for names or values that are not in the space, and for fewer than two pairs.
        """
        return self.table.compare(a, b, value or self.value)

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
            labels = [self._say(point) for point in points]
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
        axis, value = axis or (self.axes or self.table.names)[0], value or self.value
        self.table.check(axis, value)
        return report.against(self.table.plain_rows, axis, value)

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
        self.table.check(x, y, value or self.value)
        return report.heatmap(self.table.plain_rows, x, y, value or self.value)

    def to_csv(self, path: str | Path) -> None:
        """Writes the table as CSV."""
        place(path, "path").write_text(report.table_csv(self.table.plain_rows), encoding="utf-8")

    def to_json(self, path: str | Path) -> None:
        """Writes the table as JSON, a list of objects."""
        place(path, "path").write_text(report.table_json(self.table.plain_rows), encoding="utf-8")

    def report(self, path: str | Path) -> None:
        """Writes one HTML file that needs no other: curves, table, configuration, the best run."""
        place(path, "path").write_text(page_of(self), encoding="utf-8")

    def write(self, folder: RunFolder) -> None:
        """Writes the table and the report into the folder of the sweep."""
        folder.put("lanes.csv", report.table_csv(self.table.plain_rows))
        folder.put("lanes.json", report.table_json(self.table.plain_rows))
        if self._is_measured():
            folder.put("report.html", page_of(self))

    def __repr__(self) -> str:
        if not self._is_measured():
            return self.headline()
        return f"{self.headline()}\n{report.table_text(self.table.ranked)}"

    def _repr_html_(self) -> str:
        table = report.table_html(self.table.ranked) if self._is_measured() else ""
        return f"<p>{html.escape(self.headline())}</p>{table}"

    def _rows(self) -> list[dict[str, Any]]:
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

    def _select(self, lanes: Sequence[int]) -> Run:
        for run, own in zip(self.runs, self.lanes, strict=True):
            if lanes[0] in own:
                return run.select([own.index(lane) for lane in lanes], lone=len(lanes) == 1)
        raise IndexError(f"there is no lane {lanes[0]}: the sweep has {sum(map(len, self.lanes))}")

    def _say(self, point: Mapping[str, Any]) -> str:
        return self.table.say({name: point[name] for name in self.axes or point})

    def _is_measured(self) -> bool:
        """Whether any step was made before it was stopped."""
        return self.value in self.rows[0]

    def _count(self) -> int:
        return len({comparable(point) for own in self.points for point in own})

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


def _end(rows: np.ndarray) -> float:
    lasts = [lane[np.isfinite(lane)][-1] for lane in rows if np.isfinite(lane).any()]
    return float(np.mean(lasts)) if lasts else -np.inf
