"""The command line: `dlcore train`, `dlcore sweep`, `dlcore verify`, `dlcore list`, `dlcore summary`."""

import contextlib
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dlcore.errors import DlcoreError


def train(
    preset: str | None = None,
    /,
    data: str | None = None,
    optimizer: str | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    seeds: int | None = None,
    patience: int | None = None,
    out: Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    allow_changes: bool = False,
    save_every: int | None = None,
) -> None:
    """Train a preset, and leave a folder with its checkpoints, metrics, curves and report.

    Args:
        preset: what to train, lenet5 by default; see `dlcore list`.
        data: another data set.
        optimizer: another optimizer.
        learning_rate: another learning rate.
        batch_size: examples a step.
        epochs: passes over the training data.
        seed: seed of the weights, the batches and the draws; 0 by default.
        seeds: train so many seeds at once, and report the spread.
        patience: stop after so many epochs without improvement, with the best weights.
        out: the folder of the run; runs/PRESET-N by default.
        overwrite: replace an earlier run in that folder.
        resume: go on with the run in that folder, with the options that it was started with.
        allow_changes: go on with other options.
        save_every: epochs between two checkpoints; a minute by default.
    """
    from dlcore import presets
    from dlcore.train import fit, use_all_cores
    from dlcore.train._config import read_arguments
    from dlcore.train._folder import read_config

    if resume and out is None:
        raise ValueError("--resume: say which run to go on with: --out DIR")
    if seeds is not None:
        use_all_cores()
    earlier = read_config(out) if resume and out is not None else None
    if earlier is not None and preset is None:
        arguments, about = read_arguments(earlier, {}, out), f"going on with {out}"
    else:
        chosen = presets.preset(preset or "lenet5")
        arguments, about = _arguments(chosen), chosen.about
    given = {"batch_size": batch_size, "epochs": epochs, "key": seed, "seeds": seeds, "patience": patience}
    arguments |= {name: value for name, value in given.items() if value is not None}
    if data is not None:
        from dlcore.data import load

        arguments["data"] = load(data)
    if optimizer is not None or learning_rate is not None:
        chosen = presets.preset(preset or "lenet5")
        rate = chosen.learning_rate if learning_rate is None else learning_rate
        arguments["optimizer"] = presets.make_optimizer(optimizer or chosen.optimizer, rate)
    folder = _next_folder(preset or "lenet5") if out is None else out
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
    print(run)
    print(f"report: {folder / 'report.html'}")
    _leave(
        sorted(set([run.stopped] if isinstance(run.stopped, str) else run.stopped)),
        f"dlcore train --resume --out {folder}",
    )


def sweep(
    preset: str = "lenet5",
    /,
    grid: tuple[str, ...] = (),
    random: tuple[str, ...] = (),
    samples: int | None = None,
    rungs: tuple[int, ...] = (),
    data: str | None = None,
    epochs: int | None = None,
    seed: int = 0,
    seeds: int = 1,
    patience: int | None = None,
    monitor: str = "loss",
    out: Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    allow_changes: bool = False,
    save_every: int | None = None,
) -> None:
    """Train a preset at every point of a space, with several seeds, as one program on all cores.

    Args:
        preset: what to train; see `dlcore list`.
        grid: values of hyperparameters: learning_rate=1e-4,1e-3 width=32,64 optimizer=sgd,adam
        random: ranges to draw from: learning_rate=1e-4:1e-1 (every factor as likely; dropout=0:0.5 evenly, from 0 on)
        samples: how many draws to make.
        rungs: epochs at which the better half of the points goes on.
        data: another data set.
        epochs: passes over the training data.
        seed: the first seed.
        seeds: runs at each point.
        patience: stop each run after so many epochs without improvement, with its best weights.
        monitor: the validation metric to judge by.
        out: the folder of the sweep; runs/PRESET-sweep-N by default.
        overwrite: replace an earlier one in that folder.
        resume: go on with the sweep in that folder; repeat the other options.
        allow_changes: go on with other options.
        save_every: epochs between two checkpoints; a minute by default.
    """
    from dlcore import presets
    from dlcore.data import load
    from dlcore.space import grid_of, range_of
    from dlcore.train import sweep as run_sweep

    chosen = presets.preset(preset)
    axes = dict(map(grid_of, grid)) | dict(map(range_of, random))
    if not axes:
        raise ValueError("sweep: give a --grid or a --random range, as in --grid learning_rate=1e-4,1e-3,1e-2")
    model, space = presets.space_of(chosen, axes)
    if resume and out is None:
        raise ValueError("--resume: say which sweep to go on with: --out DIR")
    folder = _next_folder(f"{preset}-sweep") if out is None else out
    dataset = load(data or chosen.data)
    print(f"{chosen.about}\n{dataset}", flush=True)
    options: Any = _arguments(chosen) | ({} if epochs is None else {"epochs": epochs})
    options = {name: options[name] for name in ("optimizer", "batch_size", "epochs") if name not in space}
    result = run_sweep(
        model,
        dataset,
        space=space,
        seeds=seeds,
        samples=samples,
        rungs=rungs,
        **options,
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
    print(f"report: {folder / 'report.html'}")
    _leave([result.stopped], f"the same command with --resume --out {folder}")


def verify(folder: Path, /) -> None:
    """Run a run again from checkpoint to checkpoint, and compare every bit.

    Args:
        folder: the folder of the run.
    """
    from dlcore.train import verify as run_again

    found = run_again(folder)
    print(found)
    if not found.ok:
        sys.exit(1)


def list_names(*, all: bool = False, markdown: bool = False) -> None:
    """List presets, data sets and optimizers.

    Args:
        all: everything public, room by room, with a line on each.
        markdown: the same as a Markdown page.
    """
    from dlcore import data, index, presets

    if all or markdown:
        print(index.as_markdown() if markdown else index.as_text())
        return
    for title, lines in (
        ("presets", [f"{name:<14} {chosen.about}" for name, chosen in presets.PRESETS.items()]),
        ("data", [repr(data.load(name)).removeprefix("Dataset ") for name in data.names()]),
        ("optimizers", list(presets.OPTIMIZERS)),
    ):
        print("\n  ".join([title, *lines]))


def summary(preset: str = "lenet5", /) -> None:
    """Show a preset's layers: shapes, parameters and FLOPs of one example.

    Args:
        preset: what to show; see `dlcore list`.
    """
    from dlcore import data, inspect, presets

    chosen = presets.preset(preset)
    print(inspect.summary(chosen.model(), data.load(chosen.data).train["x"][:1]))


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line: exits with 2 for what the user can mend, 130 after Ctrl-C, 143 after SIGTERM."""
    import tyro

    commands = {"train": train, "sweep": sweep, "verify": verify, "list": list_names, "summary": summary}
    about = "Deep learning as pure functions. Without options, `dlcore train` trains LeNet-5 on handwritten digits."
    with _one_line_errors():
        tyro.extras.subcommand_cli_from_dict(commands, prog="dlcore", description=about, args=arguments)


@contextlib.contextmanager
def _one_line_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: print(f"dlcore: {message}", file=sys.stderr, flush=True)
        try:
            yield
        except KeyboardInterrupt:
            sys.exit(130)
        except (DlcoreError, ValueError, TypeError, OSError) as error:
            place = "".join(f" ({note})" for note in getattr(error, "__notes__", ()) if note.startswith(("in ", "at ")))
            print(f"dlcore: {error}{place}", file=sys.stderr)
            sys.exit(2)


def _arguments(chosen: Any) -> dict[str, Any]:
    from dlcore import presets
    from dlcore.data import load

    return {
        "model": chosen.model(),
        "data": load(chosen.data),
        "optimizer": presets.make_optimizer(chosen.optimizer, chosen.learning_rate),
        "batch_size": chosen.batch_size,
        "epochs": chosen.epochs,
        "key": 0,
    }


def _leave(reasons: list[str], again: str) -> None:
    from dlcore.train import exit_status

    for reason in reasons:
        if status := exit_status(reason):
            print(f"{reason}, and saved; go on with: {again}")
            sys.exit(status)


def _next_folder(name: str) -> Path:
    number = 1
    while (folder := Path("runs", f"{name}-{number}")).exists():
        number += 1
    return folder
