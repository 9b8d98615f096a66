"""`sweep`: many runs, in as few programs as there are structures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dlcore.errors import suggest_arguments
from dlcore.space import points
from dlcore.train._cache import compile_cache
from dlcore.train._cohorts import Cohorts
from dlcore.train._config import make_config
from dlcore.train._devices import use_all_cores
from dlcore.train._folder import RunFolder
from dlcore.train._groups import make_groups
from dlcore.train._keys import as_keys
from dlcore.train._progress import make_progress
from dlcore.train._results import Sweep
from dlcore.train._session import DEFAULTS, check_changes
from dlcore.train._signals import Interrupt


@suggest_arguments
def sweep(
    model: Any,
    data: Any,
    *,
    space: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    seeds: int | Sequence[int] = 1,
    samples: int | None = None,
    rungs: Sequence[float] = (),
    loss: Any = None,
    metrics: Any = None,
    objective: Any = None,
    optimizer: Any = None,
    step: Any = None,
    augment: Any = None,
    epochs: float | None = None,
    steps: int | None = None,
    batch_size: int = 64,
    key: int = 0,
    hparams: Mapping[str, Any] | None = None,
    policy: str | None = None,
    accumulate: int = 1,
    patience: int | None = None,
    min_delta: float = 0.0,
    monitor: str = "loss",
    lanes: str | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    allow_changes: bool = False,
    save_every: int | None = None,
    progress: bool | str | None = None,
) -> Sweep:
    """Trains a model at every point of a space, each with several seeds, on all cores or accelerators at once.

    Floating hyperparameters are traced values: however many there are, they are lanes of one program, which is compiled
    once. Whatever is structure (a width, an activation, a batch size, another optimizer) groups the lanes, into one
    program a group. Each lane is the run that `fit` gives for its seed and hyperparameters alone: to the bit where
    lanes run one after another (CPU), and to float rounding where they run side by side.

    Args:
      model: a layer, or `hparams -> layer`.
      data: as in `fit`, but no iterator.
      space: lists of values or distributions (`dl.space.log_uniform`) by name, or a list of points. A name is a
        hyperparameter, or one of the arguments `model`, `loss`, `objective`, `optimizer`, `step`, `augment`, `epochs`,
        `steps`, `batch_size`, `policy` and `accumulate`.
      seeds: so many runs at each point, with the seeds key, key + 1, ...; or those that are listed.
      samples: how many draws are made from distributions.
      rungs: epochs at which only the better half of the points goes on (successive halving), judged by the mean of
        `monitor` over their seeds.
      loss, metrics, objective, optimizer, step, epochs, steps, batch_size, hparams, policy, accumulate: as in `fit`.
      key: the seed of the first run, and of the random draws.
      patience, min_delta, monitor: as in `fit`; each lane stops by itself and keeps its own best weights.
      lanes: "loop" (one after another on each device) or "vmap" (side by side); what is faster there unless given.
      out: a folder for the configuration, the checkpoints, the table and `report.html`; `gs://...` as in `fit`.
      overwrite, resume, allow_changes, save_every, progress: as in `fit`.

    Returns:
      A `Sweep`.

    Raises:
      TypeError, ValueError, FileExistsError, CheckpointError: as `fit`, before anything is compiled.

    Source: Jamieson and Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter Optimization, 2016, for
      successive halving.

    Example:
      >>> import dlcore as dl
      >>> rates, model = {"learning_rate": [1e-3, 1e-2, 1e-1]}, dl.models.softmax_regression(3)
      >>> result = dl.sweep(model, dl.data.iris(), space=rates, seeds=2, epochs=2, batch_size=32)
      >>> len(result.rows), result.rows[0]["learning_rate"]
      (6, 0.001)
    """
    given = locals()
    base = DEFAULTS | {name: given[name] for name in DEFAULTS if name in given}
    found = points(space, samples, key)
    if resume and out is None:
        raise ValueError("resume: give the folder of the sweep too: out=...")
    if len(found) > 1 or seeds != 1:
        use_all_cores()  # before the first array is made, a key
    own_keys = as_keys(key, seeds)[1]
    folder = RunFolder(out, overwrite=overwrite, resume=resume) if out is not None else None
    with compile_cache(), Interrupt() as interrupt:
        groups = make_groups(base, found, own_keys)
        cohorts = Cohorts(groups, len(own_keys), rungs, base, make_progress(progress), interrupt)
        if folder is None:
            return cohorts.run()
        with folder:
            told = {"space": space, "samples": samples, "rungs": list(rungs)}
            config = make_config(base | told, groups[0].setup, "sweep")
            if resume:
                check_changes(folder.path, config, allow_changes)
            folder.put_json("config.json", config)
            result = cohorts.run(folder.checkpoints, resume=resume, save_every=save_every)
            result.write(folder)
    return result
