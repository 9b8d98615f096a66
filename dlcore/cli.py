"""The command line: `dlcore train`, `dlcore list`, `dlcore summary`."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from dlcore.errors import DlcoreError


def train(
    preset: str = "lenet5",
    /,
    data: str | None = None,
    optimizer: str | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    epochs: int | None = None,
    seed: int = 0,
    seeds: int | None = None,
    patience: int | None = None,
    out: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Train a preset, and leave a folder with its configuration, metrics and curves.

    Args:
        preset: what to train; see `dlcore list`.
        data: another data set.
        optimizer: another optimizer.
        learning_rate: another learning rate.
        batch_size: examples a step.
        epochs: passes over the training data.
        seed: seed of the weights, the batches and the draws.
        seeds: train so many seeds at once, and report the spread.
        patience: stop after so many epochs without improvement, with the best weights.
        out: the folder of the run; runs/PRESET-N by default.
        overwrite: replace an earlier run in that folder.
    """
    from dlcore import presets
    from dlcore.data import load
    from dlcore.train import fit

    chosen = presets.preset(preset)
    dataset = load(data or chosen.data)
    rate = chosen.learning_rate if learning_rate is None else learning_rate
    folder = _next_folder(preset) if out is None else out
    print(f"{chosen.about}\n{dataset}", flush=True)
    run = fit(
        chosen.model(),
        dataset,
        optimizer=presets.make_optimizer(optimizer or chosen.optimizer, rate),
        batch_size=chosen.batch_size if batch_size is None else batch_size,
        epochs=chosen.epochs if epochs is None else epochs,
        key=seed,
        seeds=seeds,
        patience=patience,
        out=folder,
        overwrite=overwrite,
        progress=True,
    )
    print(run)
    print(f"curves: {folder / 'curves.png'}")
    if "interrupted" in run.stopped:
        sys.exit(130)  # what a shell expects after Ctrl-C


def list_names() -> None:
    """List presets, data sets and optimizers."""
    from dlcore import data, presets

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
    """Runs the command line: exits with 2 for what the user can mend, said in one line, and with 130 after Ctrl-C."""
    import tyro

    commands = {"train": train, "list": list_names, "summary": summary}
    about = "Deep learning as pure functions. Without options, `dlcore train` trains LeNet-5 on handwritten digits."
    with _one_line_errors():
        tyro.extras.subcommand_cli_from_dict(commands, prog="dlcore", description=about, args=arguments)


@contextlib.contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except (DlcoreError, ValueError, TypeError, OSError) as error:
        place = "".join(f" ({note})" for note in getattr(error, "__notes__", ()) if note.startswith("in layer "))
        print(f"dlcore: {error}{place}", file=sys.stderr)
        sys.exit(2)


def _next_folder(preset: str) -> Path:
    number = 1
    while (folder := Path("runs", f"{preset}-{number}")).exists():
        number += 1
    return folder
