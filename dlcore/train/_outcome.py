"""What training came to: a `Run`, and what people look at in its folder."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.report import page
from dlcore.train._first_look import FirstLook
from dlcore.train._folder import RunFolder, metrics_table, numbers
from dlcore.train._hparams import schedule_of
from dlcore.train._loop import Loop
from dlcore.train._pages import run_sections
from dlcore.train._program import program
from dlcore.train._run import Run


def make_run_of(loop: Loop, arguments: Sequence[Mapping[str, Any]], folder: Path | None, again: Any) -> Run:
    """Returns the run that a loop has come to.

    Args:
      loop: after training.
      arguments: of `fit`, for each lane by itself.
      folder: where the run is kept.
      again: trains on from a snapshot; see `train_run`.
    """
    setup, fleet, schedule = loop.setup, loop.fleet, schedule_of(arguments[0]["optimizer"])
    carry = fleet.join(loop.carries)
    params, state = fleet.join(loop.best) if loop.best is not None else (carry.params, carry.state)
    metrics = loop.history.metrics()
    steps = np.arange(loop.history.done.max())
    rates = jax.vmap(schedule)(jnp.asarray(steps)) if schedule and len(steps) else None
    if rates is None and (own := carry.hparams.get("learning_rate")) is not None:
        rates = np.asarray(own)[..., None] if loop.varies("learning_rate") else np.ravel(own)[0]
    if fleet.lanes is None:
        metrics = {name: values[0] for name, values in metrics.items()}
    if rates is not None:
        shape = (*np.shape(rates)[:-1], len(steps)) if np.ndim(rates) > 1 else steps.shape
        metrics["learning_rate"] = np.broadcast_to(np.asarray(rates, np.float32), shape)
    reasons = loop.reasons.copy()
    reasons[loop.active] = loop.interrupt.requested or "finished"
    hparams = {
        name: np.asarray(value) if loop.varies(name) else setup.hparams[name] for name, value in carry.hparams.items()
    }
    later = loop.snapshot_later()
    if setup.layout is not None and setup.layout.is_shared:
        later()  # one process that asked by itself would wait for the others
    return Run(
        model=setup.model,
        params=params,
        state=state,
        metrics=metrics,
        hparams=hparams | setup.structure,
        stopped=reasons if fleet.lanes else reasons[0],
        compile_seconds=loop.compile_seconds,
        run_seconds=loop.run_seconds,
        wait_seconds=loop.wait_seconds,
        steps_per_second=loop.steps_per_second,
        final=carry,
        data=setup.inputs.dataset,
        arguments=arguments,
        snapshot_of=later,
        programs=lambda lanes: program(
            setup.model,
            setup.objective,
            setup.optimizer,
            setup.step,
            setup.batch_size,
            lanes,
            setup.layout if setup.layout is None or not setup.layout.is_shared else None,  # its weights are here
            setup.scaled,
        ),
        again=again,
        lanes=fleet.lanes,
        batch_size=setup.batch_size,
        folder=folder,
        first_look=FirstLook(folder),
    )


def write_run(folder: RunFolder, run: Run) -> None:
    """Writes what people look at; the checkpoints are there already."""
    folder.put_json(
        "results.json",
        {
            "steps": int(np.max(run.final.step)),
            "stopped": np.asarray(run.stopped).tolist(),
            "compile_seconds": run.compile_seconds,
            "run_seconds": run.run_seconds,
            "wait_seconds": run.wait_seconds,
            "results": {name: numbers(value) for name, value in run.summary().items()},
        },
    )
    folder.put("metrics.csv", metrics_table(run.metrics))
    if "loss" in run.metrics:  # an interrupt may come before the first step
        picture = io.BytesIO()
        run.plot().savefig(picture, dpi=120)
        folder.put("curves.png", picture.getvalue())
        folder.put("report.html", page(run.headline(), run_sections(run)))
