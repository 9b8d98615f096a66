"""`dlcore list`."""

from collections.abc import Mapping, Sequence
from pathlib import Path


def list_names(*, all: bool = False, markdown: bool = False) -> None:
    """List presets, data sets and optimizers.

    Args:
        all: everything public, room by room, with a line on each.
        markdown: the same as a Markdown page.
    """
    if all or markdown:
        from dlcore import index

        print(index.as_markdown() if markdown else index.as_text())
        return
    from dlcore import data, presets

    for title, lines in (
        ("presets", [f"{name:<14} {chosen.about}" for name, chosen in presets.PRESETS.items()]),
        ("data", data_lines({name: data.files(name) for name in data.names()}, _data_place())),
        ("optimizers", list(presets.OPTIMIZERS)),
    ):
        print("\n  ".join([title, *lines]))


def _data_place() -> Path:
    from dlcore.data._cache import data_place
    from dlcore.errors import DataError

    try:
        return data_place()
    except DataError:  # no home: nothing is there
        return Path("nowhere")


def data_lines(sets: Mapping[str, Sequence[str]], folder: Path) -> list[str]:
    r"""Returns a line a data set: its name, its size and shapes as on its card, and whether it is here.

    Args:
        sets: by name, the files that each needs in the data folder; none for those that come with scikit-learn.
        folder: the data folder.

    Example:
        >>> print(*data_lines({"iris": (), "mnist": ("mnist/train-images.gz",)}, Path("nowhere")), sep="\n")
        iris           here      150 flowers, x (4,), y ()
        mnist          not here  70,000 images, x (28, 28, 1), y ()
    """
    from dlcore.data import card

    lines = []
    for name, files in sets.items():
        here = "here" if all((folder / file).is_file() for file in files) else "not here"
        lines.append(f"{name:<14} {here:<9} {card(name).size}, {card(name).shapes}")
    return lines
