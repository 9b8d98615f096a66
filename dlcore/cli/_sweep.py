"""`dlcore sweep`."""

from pathlib import Path
from typing import Any

from dlcore.cli._augment import make
from dlcore.cli._start import arguments_of, check_out, leave, next_folder


def sweep(
    preset: str = "lenet5",
    /,
    grid: tuple[str, ...] = (),
    random: tuple[str, ...] = (),
    samples: int | None = None,
    rungs: tuple[int, ...] = (),
    data: str | None = None,
    data_dir: Path | None = None,
    augment: tuple[str, ...] = (),
    epochs: int | None = None,
    policy: str | None = None,
    accumulate: int = 1,
    seed: int = 0,
    seeds: int = 1,
    patience: int | None = None,
    monitor: str = "loss",
    out: Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    allow_changes: bool = False,
    save_every: int | None = None,
    config: Path | None = None,
) -> None:
    """Train a preset at every point of a space, with several seeds, as one program on all cores.

    Args:
        preset: what to train; see `dlcore list`.
        grid: values of hyperparameters: learning_rate=1e-4,1e-3 width=32,64 optimizer=sgd,adam
        random: ranges to draw from: learning_rate=1e-4:1e-1 (every factor as likely; dropout=0:0.5 evenly, from 0 on)
        samples: how many draws to make.
        rungs: epochs at which the better half of the points goes on.
        data: another data set; see `dlcore list`.
        data_dir: where the files of a data set are that would be downloaded.
        augment: change training images, as in --augment flip shift; see `dlcore show`.
        epochs: passes over the training data.
        policy: the precision to compute in: bf16, fp16, or half, which is one of them by the device.
        accumulate: cut each batch into so many parts, one after another, to save memory.
        seed: the first seed.
        seeds: runs at each point.
        patience: stop each run after so many epochs without improvement, with its best weights.
        monitor: the validation metric to judge by.
        out: the folder of the sweep, or gs://BUCKET/FOLDER; runs/PRESET-sweep-N by default.
        overwrite: replace an earlier one in that folder.
        resume: go on with the sweep in that folder; repeat the other options.
        allow_changes: go on with other options.
        save_every: epochs between two checkpoints; a minute by default.
        config: a JSON or TOML file of these options; those on the command line win.
    """
    from dlcore import presets
    from dlcore.data import load
    from dlcore.space import grid_of, range_of
    from dlcore.train import sweep as run_sweep

    out = check_out(out)
    chosen = presets.preset(preset)
    axes = dict(map(grid_of, grid)) | dict(map(range_of, random))
    if not axes:
        raise ValueError("sweep: give a --grid or a --random range, as in --grid learning_rate=1e-4,1e-3,1e-2")
    model, space = presets.space_of(chosen, axes)
    if resume and out is None:
        raise ValueError("--resume: say which sweep to go on with: --out DIR")
    folder = next_folder(f"{preset}-sweep") if out is None else out
    dataset = load(data or chosen.data, folder=data_dir)
    print(f"{chosen.about}\n{dataset}", flush=True)
    options: Any = arguments_of(chosen) | ({} if epochs is None else {"epochs": epochs})
    options = {name: options[name] for name in ("optimizer", "batch_size", "epochs") if name not in space}
    options |= {"augment": make(augment, len(dataset.classes))} if augment else {}
    result = run_sweep(
        model,
        dataset,
        space=space,
        seeds=seeds,
        samples=samples,
        rungs=rungs,
        **options,
        policy=policy,
        accumulate=accumulate,
        key=seed,
        patience=patience,
        monitor=monitor,
        out=folder,
        overwrite=overwrite,
        resume=resume,
        allow_changes=allow_changes,
        save_every=save_every,
        progress=True,
    )
    print(result)
    if (folder / "report.html").exists():  # not where it was stopped before the first step
        print(f"report: {folder / 'report.html'}")
    leave([result.stopped], f"the same command with --resume --out {folder}")
