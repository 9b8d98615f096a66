"""`fit`: everything that a training run takes, in one call."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.errors import suggest_arguments
from dlcore.train._cache import compile_cache
from dlcore.train._folder import RunFolder
from dlcore.train._history import History
from dlcore.train._hparams import as_arrays, schedule_of
from dlcore.train._loop import Loop
from dlcore.train._patience import Patience
from dlcore.train._program import program
from dlcore.train._progress import make_progress
from dlcore.train._run import Run
from dlcore.train._setup import check_weights, prepare
from dlcore.train._signals import Interrupt


@suggest_arguments
def fit(
    model: Any,
    data: Any,
    *,
    loss: Any = None,
    metrics: Any = None,
    objective: Any = None,
    optimizer: Any = None,
    step: Any = None,
    epochs: float | None = None,
    steps: int | None = None,
    batch_size: int = 64,
    key: Any = 0,
    hparams: Mapping[str, Any] | None = None,
    seeds: int | Sequence[int] | None = None,
    params: Any = None,
    state: Any = None,
    patience: int | None = None,
    min_delta: float = 0.0,
    monitor: str = "loss",
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: bool | str | None = None,
) -> Run:
    """Trains a model, and returns the run.

    Batch n, its augmentation and its dropout are functions of (key, n) alone. Chunks of up to 256 steps run as one
    compiled program; validation is measured after every epoch, and the test split once, at the end. Wherever a model,
    an optimizer or a loss is wanted, a function of the hyperparameters that builds one will do: they are traced values,
    and a new value compiles nothing.

    Args:
      model: a layer, or `hparams -> layer`.
      data: a `Dataset`, a pair (x, y) of arrays, a source (called with (key, n)), or an iterator of batches.
      loss: `(predictions, targets) -> array`; cross-entropy for labels and squared error for numbers unless given.
      metrics: functions like it, or a dict of them by name; accuracy for labels unless given.
      objective: in place of loss and metrics; see `supervised`.
      optimizer: any optax optimizer, or `hparams -> optimizer`; `dl.optim.adam()` unless given.
      step: in place of `gradient_step(objective, optimizer)`.
      epochs: passes over the training data, 20 unless `epochs` or `steps` is given.
      steps: number of updates, in place of epochs.
      batch_size: examples a step; the remainder of an epoch is dropped.
      key: the seed, or a JAX key.
      hparams: numeric hyperparameters by name; they win over the optimizer's own of the same name.
      seeds: train so many lanes at once, with the seeds key, key + 1, ..., or those that are listed.
      params: initial params, instead of the model's own; they are copied.
      state: the model's state that belongs to them.
      patience: stop after so many evaluations without improvement, and take the best weights back (also where the
        patience never ran out).
      min_delta: what counts as an improvement.
      monitor: the validation metric to watch; the smallest loss is the best, and the largest of anything else.
      out: a folder for the configuration, the metrics and the picture of the curves.
      overwrite: whether `out` may hold an earlier run.
      progress: True, False, "lines", or None for a bar where somebody is watching.

    Returns:
      A `Run`. On Ctrl-C, the run so far.

    Raises:
      TypeError: for arguments of another kind.
      ValueError: for whatever does not fit, named, before anything is compiled.
      FileExistsError: where `out` exists.

    Example:
      >>> import dlcore as dl
      >>> run = dl.fit(dl.models.mlp((32,), classes=3), dl.data.iris(), epochs=5, batch_size=32)
      >>> run.metrics["loss"].shape
      (15,)
    """
    folder = RunFolder(out, overwrite) if out is not None else None
    with compile_cache(), Interrupt() as interrupt:
        setup = prepare(
            model,
            data,
            loss=loss,
            metrics=metrics,
            objective=objective,
            optimizer=optimizer,
            step=step,
            epochs=epochs,
            steps=steps,
            batch_size=batch_size,
            hparams=hparams,
        )
        keys, count = as_keys(key, seeds)
        patient = Patience(setup, patience, min_delta, monitor, count) if patience is not None else None
        if params is not None:
            state = {} if state is None else state
            check_weights(setup, params, state)
        lanes = None if count is None else "loop" if jax.default_backend() == "cpu" else "vmap"
        programs = program(setup.model, setup.objective, setup.optimizer, setup.step, batch_size, lanes)
        values = as_arrays(setup.hparams)
        if count is not None:
            values = {name: jnp.broadcast_to(value, (count,)) for name, value in values.items()}
        loop = Loop(setup, programs, History(count), make_progress(progress), patient, interrupt)
        with loop.show:
            carry = loop.train(lambda: programs.init(keys, values, params, state, inputs=setup.shapes))
        run = loop.finish(carry, lanes, schedule_of(optimizer))
    if folder is not None:
        folder.write(run, {"optimizer": optimizer, "loss": loss, "key": key, "seeds": seeds, "patience": patience})
    return run


def as_keys(key: Any, seeds: int | Sequence[int] | None) -> tuple[Any, int | None]:
    """Returns the keys of the lanes and their number; a lone key and None without `seeds`.

    Raises:
      TypeError: for a key that is neither a whole number nor a JAX key.
      ValueError: for no seeds.
    """
    is_seed = isinstance(key, int | np.integer) and not isinstance(key, bool)
    if not is_seed and not (
        isinstance(key, jax.Array) and key.shape == () and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    ):
        raise TypeError(f"key: expected a whole number or a key from jax.random.key, found {key!r}")
    if seeds is None:
        return (jax.random.key(key) if is_seed else key), None
    numbers = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not numbers or isinstance(seeds, bool):
        raise ValueError(f"seeds: expected one or more, found {seeds!r}")
    if not all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in numbers):
        raise TypeError(f"seeds: expected a number of lanes, or whole numbers, found {seeds!r}")
    offset = key if isinstance(seeds, int) else 0
    keys = [jax.random.key(offset + int(n)) if is_seed else jax.random.fold_in(key, int(n)) for n in numbers]
    return jnp.stack(keys), len(numbers)
