"""A finished (or stopped) training run."""

import functools
import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dlcore.data import Dataset, as_dataset
from dlcore.report import curves
from dlcore.train._cache import compile_cache
from dlcore.train._chunk import over_lanes
from dlcore.train._inputs import check_split
from dlcore.train._objective import build_layer
from dlcore.train._program import Program
from dlcore.train._progress import span, spread
from dlcore.train._setup import check_classes
from dlcore.train._state import TrainState


@dataclass(frozen=True, repr=False, eq=False)
class Run:
    """What `fit` returns. With `seeds`, every array has a first axis for the lanes, and what is printed its spread.

    Attributes:
      model: the layer that was trained.
      params: the trained parameters; those of the best evaluation where `patience` was given.
      state: the model's state that belongs to them.
      metrics: NumPy arrays by name: `loss` and the metrics at every step; `validation_*` at the steps
        `validation_step`; `gradient_norm`, `update_norm` and `params_norm` at the steps `norm_step`; `test_*` once.
      hparams: the numeric hyperparameters.
      stopped: why it ended: "finished", "patience", "non-finite at step N" or "interrupted"; one a lane with `seeds`.
      compile_seconds: time that tracing and compiling took.
      run_seconds: time that the rest took.
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
    programs: Program
    lanes: str | None = None
    batch_size: int = 64

    def predict(self, x: Any) -> jax.Array:
        """Returns the model's outputs for x (N, ...), computed in batches of the run's size.

        Args:
          x: inputs of the shape and type that the model was trained on.

        Returns:
          (N, ...), or (lanes, N, ...) for a run with seeds.

        Raises:
          ValueError: for inputs of another shape.
        """
        x = np.asarray(x)
        if not x.ndim or not len(x):
            raise ValueError(f"x: expected one or more examples (N, ...), found shape {x.shape}")
        size, outputs = min(self.batch_size, len(x)), []
        forward = _forward(self.model, self.lanes)
        with compile_cache():
            for start in range(0, len(x), size):
                batch = x[start : start + size]
                batch = np.concatenate([batch, np.repeat(batch[-1:], size - len(batch), axis=0)])
                outputs.append(forward(self.params, self.state, self.final.hparams, batch))
        axis = 1 if self.lanes else 0
        return jax.tree.map(
            lambda *parts: lax.slice_in_dim(jnp.concatenate(parts, axis), 0, len(x), axis=axis), *outputs
        )

    def evaluate(self, data: Any = "test") -> dict[str, np.ndarray]:
        """Returns the means of loss and metrics over a split of the run's data, or over other data.

        Args:
          data: the name of a split ("train", "validation", "test"), or a pair (x, y) of arrays.

        Returns:
          Values by name; one a lane for a run with seeds.

        Raises:
          ValueError: for a split that is not there, and for labels that the model has no output for.
        """
        if isinstance(data, str):
            check_split(self.data.splits if self.data else {}, data)
            arrays = self.data.splits[data]  # pyright: ignore[reportOptionalMemberAccess]
        else:
            dataset = as_dataset(data)
            arrays = dataset.train
            layer = build_layer(self.model, self.hparams)
            check_classes(len(dataset.classes), layer.plan(arrays["x"][: self.batch_size]).output)
        with compile_cache():
            arrays = {name: jnp.asarray(array) for name, array in arrays.items()}
            values = self.programs.evaluate(self.params, self.state, self.final.hparams, arrays, 0, len(arrays["x"]))
        return {name: np.asarray(value) for name, value in values.items()}

    def plot(self, *names: str) -> Any:
        """Draws the learning curves; see `dlcore.report.curves`.

        Args:
          *names: which metrics to draw; all unless given.

        Returns:
          A matplotlib figure.
        """
        return curves(self.metrics, title=self._headline(), names=names or None)

    def summary(self) -> dict[str, np.ndarray]:
        """Returns the last value of every metric: training values over the last epoch (or the last 20 steps)."""
        last: dict[str, np.ndarray] = {}
        for name, rows in self.metrics.items():
            if name.startswith("test_"):
                last[name] = rows
            elif not name.endswith(("_step", "_norm")) and name != "learning_rate" and rows.shape[-1]:
                count = 1 if name.startswith("validation_") else self._window()
                ends = [lane[np.isfinite(lane)][-count:] for lane in np.atleast_2d(rows)]
                means = np.array([end.mean() if end.size else np.nan for end in ends])
                last[name] = means if rows.ndim > 1 else means[0]
        return last

    def __repr__(self) -> str:
        lines = [f"{name.replace('_', ' '):<20} {spread(value)}" for name, value in self.summary().items()]
        return "\n  ".join([self._headline(), *lines])

    def _repr_html_(self) -> str:
        rows = (
            f"<tr><td>{html.escape(name.replace('_', ' '))}</td><td>{html.escape(spread(value))}</td></tr>"
            for name, value in self.summary().items()
        )
        return f"<p>{html.escape(self._headline())}</p><table>{''.join(rows)}</table>"

    def _window(self) -> int:
        if self.data is None:
            return 20
        return max(1, len(self.data.train["x"]) // self.batch_size)

    def _headline(self) -> str:
        steps = np.atleast_1d(np.asarray(self.final.step))
        name = repr(self.model) if len(repr(self.model)) <= 60 else repr(self.model).split("(")[0] + "(...)"
        seeds = f", {len(steps)} seeds" if self.lanes else ""
        reasons = sorted(set(np.atleast_1d(self.stopped)))
        said = "" if reasons == ["finished"] else f", stopped: {', '.join(reasons)}"
        where = f" on {self.data.name}" if self.data else ""
        count = f"{steps.max():,}" if steps.min() == steps.max() else f"{steps.min():,} to {steps.max():,}"
        times = f"{span(self.run_seconds)} + {span(self.compile_seconds)} to compile"
        return f"{name}{where}{seeds}: {count} steps in {times}{said}"


@functools.lru_cache(maxsize=32)
def _forward(model: Any, lanes: str | None) -> Any:
    def outputs(params: Any, state: Any, hparams: Any, x: Any) -> Any:
        return build_layer(model, hparams).apply(params, state, x)[0]

    return jax.jit(over_lanes(outputs, lanes, (True, True, True, False)))
