"""`fit`: everything that a training run takes, in one call."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dlcore.errors import suggest_arguments
from dlcore.train._run import Run
from dlcore.train._session import DEFAULTS, HOST, train_run


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
    augment: Any = None,
    epochs: float | None = None,
    steps: int | None = None,
    batch_size: int = 64,
    key: Any = 0,
    hparams: Mapping[str, Any] | None = None,
    mesh: Any = None,
    policy: str | None = None,
    accumulate: int = 1,
    seeds: int | Sequence[Any] | None = None,
    params: Any = None,
    state: Any = None,
    patience: int | None = None,
    min_delta: float = 0.0,
    monitor: str = "loss",
    lanes: str | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    allow_changes: bool = False,
    save_every: int | None = None,
    keep_last: int | None = 3,
    keep_best: int = 1,
    prefetch: int = 2,
    progress: bool | str | None = None,
) -> Run:
    """Trains a model, and returns the run.

    Batch n, its augmentation and its dropout are functions of (key, n) alone. Chunks of up to 256 steps run as one
    compiled program; validation is measured after every epoch, and the test split once, at the end. Wherever a model,
    an optimizer or a loss is wanted, a function of the hyperparameters that builds one will do: they are traced values,
    and a new value compiles nothing.

    Args:
      model: a layer, or `hparams -> layer`.
      data: a `Dataset`, a pair (x, y) of arrays, a source (called with (key, n)), or an iterator of batches
        or what gives one: a generator, a loader of Grain or PyTorch. Batches are pairs (x, y) or dicts.
      loss: `(predictions, targets) -> array`; cross-entropy for labels and squared error for numbers unless given.
      metrics: functions like it, or a dict of them by name; accuracy for labels unless given.
      objective: in place of loss and metrics; see `supervised`.
      optimizer: any optax optimizer, or `hparams -> optimizer`; `dl.optim.adam()` unless given.
      step: in place of `gradient_step(objective, optimizer)`.
      augment: `(key, batch) -> batch`, such as `dl.augment.flip()`, or `hparams -> augmentation`; it changes training
        batches, inside the compiled step, and nothing else.
      epochs: passes over the training data, 20 unless `epochs` or `steps` is given.
      steps: number of updates, in place of epochs.
      batch_size: examples a step; the remainder of an epoch is dropped.
      key: the seed, or a JAX key.
      hparams: hyperparameters by name; they win over the optimizer's own of the same name. Floating numbers are traced
        values; anything else (a width, an activation) is structure, which a program is compiled for.
      mesh: devices by axis, as in `{"data": 8}`, or `dl.scale.layout(...)`: one run over many devices, with batches cut
        along `data`, and params too where the layout says so.
      policy: the precision that the model computes in: "bf16", "fp16" (with dynamic loss scaling: `LossScale`), or
        "half", which is bf16 where the device has it (TPU, CPU, CUDA from compute capability 8 on) and fp16 elsewhere;
        float32 unless given. Params, optimizer, statistics of norms, losses and metrics stay float32.
      accumulate: cut each batch into so many parts, run them one after another, and make one update of the whole: for
        batches that do not fit in memory at once. Batch norm's statistics are those of a part.
      seeds: train so many lanes at once, with the seeds key, key + 1, ..., or those that are listed.
      params: initial params, instead of the model's own; they are copied.
      state: the model's state that belongs to them.
      patience: stop after so many evaluations without improvement, and take the best weights back (also where the
        patience never ran out).
      min_delta: what counts as an improvement.
      monitor: the validation metric to watch; the smallest loss is the best, and the largest of anything else.
      lanes: "loop" (one after another on each device, to the bits of lone runs) or "vmap" (side by side); what is
        faster there unless given.
      out: a folder for the configuration, the checkpoints, the metrics, the curves and `report.html`;
        `gs://BUCKET/FOLDER` with the extra `gcs`, where one process at a time may write.
      overwrite: whether to replace an earlier run in `out`.
      resume: whether to go on with an earlier run in `out`, to the bits that it would have had. Where there is none,
        the run starts; so a script that is killed and started again needs nothing else. An iterator with `get_state`
        and `set_state` (Grain) goes on where the run was; another one is to start anew, and is passed over so far.
      allow_changes: whether to go on though the configuration is another one.
      save_every: epochs between two checkpoints (256 steps where data have no epochs); a minute unless given, and
        always the end. They are written while the run goes on.
      keep_last: how many of the newest checkpoints are kept; None for all.
      keep_best: how many of the best are kept besides, by `monitor`.
      prefetch: stacks of 32 batches that a thread reads ahead from an iterator, and puts on the devices, while a chunk
        runs; 0 reads them in this thread, in between. A run that stops early has read so many more than it has used,
        and one that ends at `steps` none.
      progress: True, False, "lines", or None for a bar where somebody is watching.

    Returns:
      A `Run`. On Ctrl-C and on SIGTERM, the run so far.

    Raises:
      TypeError: for arguments of another kind.
      ValueError: for whatever does not fit, named, before anything is compiled.
      FileExistsError: where `out` exists.
      CheckpointError: where checkpoints cannot be read or written, are of another model, or are being written.

    Example:
      >>> import dlcore as dl
      >>> run = dl.fit(dl.models.mlp((32,), classes=3), dl.data.iris(), epochs=5, batch_size=32)
      >>> run.metrics["loss"].shape
      (15,)
    """
    given = locals()
    return train_run({name: given[name] for name in DEFAULTS}, **{name: given[name] for name in HOST})
