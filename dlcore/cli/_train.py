"""`dlcore train`."""

from pathlib import Path

from dlcore.cli._augment import make
from dlcore.cli._mesh import join, process_number, read_mesh
from dlcore.cli._start import arguments_of, check_out, leave, next_folder


def train(
    preset: str | None = None,
    /,
    data: str | None = None,
    data_dir: Path | None = None,
    augment: tuple[str, ...] = (),
    optimizer: str | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    policy: str | None = None,
    accumulate: int | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    seeds: int | None = None,
    mesh: tuple[str, ...] = (),
    shard_params: bool = False,
    distributed: bool = False,
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    patience: int | None = None,
    out: Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    allow_changes: bool = False,
    save_every: int | None = None,
    config: Path | None = None,
) -> None:
    """Train a preset, and leave a folder with its checkpoints, metrics, curves and report.

    Args:
        preset: what to train, lenet5 by default; see `dlcore list`.
        data: another data set; see `dlcore list`.
        data_dir: where the files of a data set are that would be downloaded.
        augment: change training images, as in --augment flip shift; see `dlcore show`.
        optimizer: another optimizer.
        learning_rate: another learning rate.
        batch_size: examples a step.
        policy: the precision to compute in: bf16, fp16, or half, which is one of them by the device.
        accumulate: cut each batch into so many parts, one after another, to save memory.
        epochs: passes over the training data.
        seed: seed of the weights, the batches and the draws; 0 by default.
        seeds: train so many seeds at once, and report the spread.
        mesh: train on many devices, as in --mesh data=8, or data=4 model=2; see `dlcore plan`.
        shard_params: keep on each device a part of params and optimizer only, cut along the axis data.
        distributed: join the processes of a SLURM or Kubernetes job, of Open MPI 4, a TPU pod; data=ALL unless --mesh.
        coordinator: elsewhere, HOST:PORT of process 0; with --processes and --process.
        processes: elsewhere, how many processes there are.
        process: elsewhere, which one this is, from 0 on.
        patience: stop after so many epochs without improvement, with the best weights.
        out: the folder of the run, or gs://BUCKET/FOLDER; runs/PRESET-N by default.
        overwrite: replace an earlier run in that folder.
        resume: go on with the run in that folder, with the options that it was started with.
        allow_changes: go on with other options.
        save_every: epochs between two checkpoints; a minute by default.
        config: a JSON or TOML file of these options; those on the command line win.
    """
    from dlcore import presets
    from dlcore.train import fit, use_all_cores
    from dlcore.train._config import read_arguments
    from dlcore.train._folder import read_config

    out = check_out(out)
    axes = join((coordinator, processes, process), mesh) if distributed or coordinator is not None else mesh
    layout, is_first = read_mesh(axes, shard_params), not process_number()
    if resume and out is None:
        raise ValueError("--resume: say which run to go on with: --out DIR")
    if seeds is not None:
        use_all_cores()
    earlier = read_config(out) if resume and out is not None else None
    if earlier is not None and preset is None:
        arguments, about = read_arguments(earlier, {}, out), f"going on with {out}"
    else:
        chosen = presets.preset(preset or "lenet5")
        arguments, about = arguments_of(chosen), chosen.about
    given = {"batch_size": batch_size, "epochs": epochs, "key": seed, "seeds": seeds, "patience": patience}
    given |= {"policy": policy, "accumulate": accumulate}
    arguments |= {name: value for name, value in given.items() if value is not None}
    if layout is not None:
        arguments["mesh"] = layout
    if data is not None or data_dir is not None:
        from dlcore.data import load

        arguments["data"] = load(data or presets.preset(preset or "lenet5").data, folder=data_dir)
    if augment:
        arguments["augment"] = make(augment, len(arguments["data"].classes))
    if optimizer is not None or learning_rate is not None:
        chosen = presets.preset(preset or "lenet5")
        rate = chosen.learning_rate if learning_rate is None else learning_rate
        arguments["optimizer"] = presets.make_optimizer(optimizer or chosen.optimizer, rate)
    folder = next_folder(preset or "lenet5") if out is None else out
    if is_first:
        print(f"{about}\n{arguments['data']}", flush=True)
    run = fit(
        arguments.pop("model"),
        arguments.pop("data"),
        **arguments,
        out=folder,
        overwrite=overwrite,
        resume=resume,
        allow_changes=allow_changes,
        save_every=save_every,
        progress=True,
    )
    if is_first:
        print(run)
    if is_first and (folder / "report.html").exists():  # not where it was stopped before the first step
        print(f"report: {folder / 'report.html'}")
    leave(
        sorted(set([run.stopped] if isinstance(run.stopped, str) else run.stopped)),
        f"dlcore train --resume --out {folder}",
    )
