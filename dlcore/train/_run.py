"""A finished (or stopped) training run."""

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.data import Dataset, as_dataset
from dlcore.places import place
from dlcore.report import curves, difference, page
from dlcore.train._cache import compile_cache
from dlcore.train._first_look import FirstLook
from dlcore.train._folder import CHECKPOINTS
from dlcore.train._fork import forked, joined, paired
from dlcore.train._headline import headline, last_values
from dlcore.train._history import History, loss_first
from dlcore.train._inputs import check_split
from dlcore.train._objective import build_layer
from dlcore.train._pages import run_sections
from dlcore.train._predict import predict
from dlcore.train._program import Program
from dlcore.train._progress import spread
from dlcore.train._saver import open_snapshot
from dlcore.train._snapshot import Snapshot
from dlcore.train._state import TrainState
from dlcore.train._trace import check_classes


@dataclass(frozen=True, repr=False, eq=False)
class Run:
    """What `fit` returns. With `seeds`, every array has a first axis for the lanes, and what is printed its spread.

    Attributes:
      model: the layer that was trained.
      params: the trained parameters; those of the best evaluation where `patience` was given.
      state: the model's state that belongs to them.
      metrics: NumPy arrays by name: `loss` and the metrics at every step; `validation_*` at the steps
        `validation_step`; `gradient_norm`, `update_norm` and `params_norm` at the steps `norm_step`; `test_*` once.
      hparams: the hyperparameters by name; arrays (lanes,) where lanes differ.
      stopped: why it ended: "finished", "patience", "non-finite at step N", "interrupted" (Ctrl-C), "terminated"
        (SIGTERM) or "rung at epoch N"; one a lane with `seeds`.
      compile_seconds: time that tracing and compiling took.
      run_seconds: time that the rest took.
      wait_seconds: the part of it in which an iterator had no batches ready.
      steps_per_second: of this call, without compilation; NaN where it took no step.
      final: the whole `TrainState` at the last step.
      data: the data set that it was trained on, if it was one.
    """

    model: Any
    params: Any
    state: Any
    metrics: Mapping[str, np.ndarray]
    hparams: Mapping[str, Any]
    stopped: Any
    compile_seconds: float
    run_seconds: float
    final: TrainState
    data: Dataset | None
    arguments: Sequence[Mapping[str, Any]]  # of `fit`, for each lane by itself
    snapshot_of: Callable[[], Snapshot]
    programs: Callable[[str | None], Program]
    again: Callable[..., "Run"]
    lanes: str | None = None
    batch_size: int = 64
    folder: Path | None = None
    parent: "Run | None" = None
    forked_at: int = 0
    wait_seconds: float = 0.0
    steps_per_second: float = float("nan")
    first_look: FirstLook = field(default_factory=FirstLook)  # at the test split; lanes share it

    @property
    def snapshot(self) -> Snapshot:
        """All that the run has come to, as arrays by name: what `resume` and `fork` start from."""
        return self.snapshot_of()

    def lane(self, lane: int) -> "Run":
        """Returns one lane as the run that `fit` gives for its seed and hyperparameters alone.

        Args:
          lane: its number, from 0; negative ones count from the end.

        Raises:
          IndexError: where there is no such lane.
        """
        if self.lanes is None:
            raise IndexError("this is a lone run: it has no lanes")
        count = len(self.arguments)
        if not -count <= lane < count:
            raise IndexError(f"there is no lane {lane}: the run has lanes 0 to {count - 1}")
        return self.select([lane % count], lone=True)

    def select(self, lanes: Sequence[int], *, lone: bool = False) -> "Run":
        """Returns the run of some of the lanes; with `lone`, of one of them, without a lane axis."""
        index = np.asarray(lanes)
        pick = lambda tree: jax.tree.map(lambda leaf: leaf[index[0] if lone else index], tree)
        snapshot = self.snapshot.lanes(index, lone)
        rates = self.metrics.get("learning_rate", np.zeros(0))
        metrics = History.from_arrays(snapshot.arrays).metrics()
        if rates.size:
            metrics["learning_rate"] = rates[..., : snapshot.arrays["lanes/done"].max()]
            metrics["learning_rate"] = metrics["learning_rate"][index] if rates.ndim > 1 else metrics["learning_rate"]
        if lone:
            metrics = {k: v[0] if k != "learning_rate" or rates.ndim > 1 else v for k, v in metrics.items()}
        return replace(
            self,
            params=pick(self.params),
            state=pick(self.state),
            metrics=metrics,
            hparams={name: _one(value if np.ndim(value) == 0 else pick(value)) for name, value in self.hparams.items()},
            stopped=pick(self.stopped),
            final=pick(self.final),
            arguments=[self.arguments[lane] for lane in index],
            snapshot_of=lambda: snapshot,
            lanes=None if lone else self.lanes,
            folder=None,
        )

    def resume(
        self,
        *,
        epochs: float | None = None,
        steps: int | None = None,
        prefetch: int = 2,
        progress: bool | str | None = None,
    ) -> "Run":
        """Trains on, as if the run had not stopped.

        Args:
          epochs: how many in all, from the start; as many as the run was meant to have unless given.
          steps: the same in updates.
          prefetch: as in `fit`.
          progress: as in `fit`.

        Returns:
          The whole run, with the metrics from the start. A run with a folder goes on in it.

        Raises:
          ValueError: where nothing is left to do.
        """
        changes = {"epochs": epochs, "steps": steps} if epochs is not None or steps is not None else {}
        arguments = joined(self.arguments, self.lanes) | changes
        run = self.again(arguments, self.snapshot, out=self.folder, prefetch=prefetch, progress=progress, further=True)
        return replace(run, first_look=self.first_look)

    def fork(
        self,
        step: int | None = None,
        *,
        out: str | Path | None = None,
        prefetch: int = 2,
        progress: bool | str | None = None,
        **changes: Any,
    ) -> "Run":
        """Trains on from a checkpoint with something changed; the batches and the draws stay what they were.

        Args:
          step: the checkpoint, one of those in the run's folder; where the run has ended unless given.
          out: a folder for the new run.
          prefetch: as in `fit`.
          progress: as in `fit`.
          **changes: arguments of `fit` (`epochs=40`, `optimizer=...`), and hyperparameters (`learning_rate=1e-4`).

        Returns:
          The new run; `plot_difference()` draws what the change did.

        Raises:
          ValueError: for a name that nothing reads.
          CheckpointError: where there is no such checkpoint.
        """
        snapshot = self.snapshot if step is None else self._stored(step)
        arguments, start = forked(joined(self.arguments, self.lanes), snapshot, changes)
        run = self.again(arguments, start, out=out, prefetch=prefetch, progress=progress)
        return replace(run, parent=self, forked_at=snapshot.step, first_look=self.first_look)

    def plot_difference(self, name: str = "loss") -> Any:
        """Draws a metric of a forked run beside the run it comes from, and the difference of the two beneath.

        Args:
          name: a metric of every step, or of validation.

        Raises:
          ValueError: for a run that was not forked.
        """
        if self.parent is None:
            raise ValueError("plot_difference: this run has no parent; `run.fork(...)` gives one that has")
        return difference(
            *paired(self.parent.metrics, self.metrics, name),
            names=("before", "forked"),
            title=f"{name.replace('_', ' ')}, forked at step {self.forked_at}",
            at=self.forked_at,
        )

    def predict(self, x: Any) -> jax.Array:
        """Returns the model's outputs for x (N, ...), computed in batches of the run's size.

        Args:
          x: inputs of the shape and type that the model was trained on.

        Returns:
          (N, ...), or (lanes, N, ...) for a run with seeds.

        Raises:
          ValueError: for inputs of another shape.
        """
        return predict(self.model, self._weights, x, self.batch_size, self.lanes)

    def evaluate(self, data: Any = "test") -> dict[str, np.ndarray]:
        """Returns the means of loss and metrics over a split of the run's data, or over other data.

        Args:
          data: the name of a split ("train", "validation", "test"), or a pair (x, y) of arrays.

        Returns:
          Values by name; one a lane for a run with seeds.

        Raises:
          ValueError: for a split that is not there, and for labels that the model has no output for.

        Warns:
          UserWarning: where "test" was evaluated before, on this run or the run that it goes on from; one with a
            folder remembers it there.
        """
        if isinstance(data, str):
            check_split(self.data.splits if self.data else {}, data)
            arrays = self.data.splits[data]  # pyright: ignore[reportOptionalMemberAccess]
            if data == "test":
                self.first_look.look(self.data.name, int(np.max(self.final.step)))  # pyright: ignore[reportOptionalMemberAccess]
        else:
            dataset = as_dataset(data)
            arrays = dataset.train
            layer = build_layer(self.model, self.hparams)
            check_classes(len(dataset.classes), layer.plan(arrays["x"][: self.batch_size]).output)
        with compile_cache():
            arrays = {name: jnp.asarray(array) for name, array in arrays.items()}
            order = [np.arange(len(self.arguments), dtype=np.int32)] if self.lanes else []
            values = self.programs(self.lanes).evaluate(self._weights, *order, arrays, 0, len(arrays["x"]))
        return {name: np.asarray(value) for name, value in loss_first(values).items()}

    def plot(self, *names: str) -> Any:
        """Draws the learning curves; see `dlcore.report.curves`.

        Args:
          *names: which metrics to draw; all unless given.

        Returns:
          A matplotlib figure.
        """
        return curves(self.metrics, title=self.headline(), names=names or None)

    def summary(self) -> dict[str, np.ndarray]:
        """Returns the last value of every metric: training values over the last epoch (or the last 20 steps)."""
        window = 20 if self.data is None else max(1, len(self.data.train["x"]) // self.batch_size)
        return last_values(self.metrics, window)

    def report(self, path: str | Path) -> None:
        """Writes one HTML file that needs no other: results, curves, configuration; for classifiers what they confuse.

        Args:
          path: the file.
        """
        place(path, "path").write_text(page(self.headline(), run_sections(self)), encoding="utf-8")

    def __repr__(self) -> str:
        lines = [f"{name.replace('_', ' '):<20} {spread(value)}" for name, value in self.summary().items()]
        return "\n  ".join([self.headline(), *lines])

    def _repr_html_(self) -> str:
        rows = (
            f"<tr><td>{html.escape(name.replace('_', ' '))}</td><td>{html.escape(spread(value))}</td></tr>"
            for name, value in self.summary().items()
        )
        return f"<p>{html.escape(self.headline())}</p><table>{''.join(rows)}</table>"

    def _stored(self, step: int) -> Snapshot:
        if self.folder is None:
            raise ValueError(
                "fork: a run without a folder has no checkpoints; train with out=..., or fork from its end"
            )
        return open_snapshot(self.folder / CHECKPOINTS, step)  # pyright: ignore[reportReturnType]

    @property
    def _weights(self) -> tuple[Any, Any, Any]:
        return self.params, self.state, self.final.hparams

    def headline(self) -> str:
        """Returns the run in one line."""
        return headline(self)


def _one(values: Any) -> Any:
    """Returns the number that all lanes share, or their numbers."""
    is_shared = isinstance(values, np.ndarray) and values.ndim and (values == values[0]).all()
    return values[0].item() if is_shared else values
