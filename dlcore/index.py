"""Everything public, room by room, with the first line of its docstring."""

import importlib
import inspect
from collections.abc import Mapping
from types import ModuleType

ROOMS = {
    "dlcore": "the commonest, at the top",
    "activations": "functions of arrays",
    "initializers": "`(key, shape, dtype) -> array`",
    "ops": "array math without parameters",
    "ops.filters": "fixed kernels of image processing",
    "layers": "pairs of pure functions",
    "losses": "`(predictions, targets) -> array`, unreduced",
    "metrics": "of examples, of sums, of orders",
    "optim": "optimizers, transformations and schedules",
    "space": "what a sweep varies",
    "data": "data sets and sources",
    "data.synthetic": "made data, functions of a key",
    "augment": "augmentations of batches",
    "models": "architectures",
    "inspect": "looking into models",
    "scale": "meshes of devices, and machines that are not here",
    "report": "pictures, tables and pages",
    "train": "runs and sweeps",
    "export": "programs for other processes",
    "classic": "the classics, by hand",
    "testing": "the laws of layers",
}


def index() -> Mapping[str, Mapping[str, str]]:
    """Returns the public names of every room with what they are, in one line each.

    Example:
      >>> index()["losses"]["mse"]
      'Squared error, `(prediction - target)^2`, averaged over the last axis where there are two or more.'
    """
    found: dict[str, dict[str, str]] = {}
    for room in ROOMS:
        module = importlib.import_module("dlcore" if room == "dlcore" else f"dlcore.{room}")
        names = sorted(getattr(module, "__all__", None) or _defined(module), key=str.lower)
        things = {name: getattr(module, name) for name in names}
        found[room] = {
            name: first_line(thing) for name, thing in things.items() if callable(thing) and not _is_alias(thing)
        }
    return found


def as_text() -> str:
    """Returns the index as plain text."""
    lines = []
    for room, names in index().items():
        width = max(map(len, names))
        lines += [f"{'dl' if room == 'dlcore' else f'dl.{room}'}: {ROOMS[room]}".replace("`", "")]
        lines += [f"  {name:<{width}}  {line.replace('`', '')}" for name, line in names.items()]
    return "\n".join(lines)


def as_markdown() -> str:
    """Returns the index as a Markdown page: `API.md`."""
    lines = ["# What dlcore has", "", "`dlcore list --all` prints it; `help(dl.losses.mse)` says more of each.", ""]
    for room, names in index().items():
        lines += [f"## {'dl' if room == 'dlcore' else f'dl.{room}'}: {ROOMS[room]}", "", "| name | what |", "|---|---|"]
        lines += [f"| `{name}` | {_escaped(line)} |" for name, line in names.items()] + [""]
    return "\n".join(lines[:-1])


def first_line(thing: object) -> str:
    """Returns the first line of a docstring, or what kind of thing it is."""
    text = inspect.getdoc(thing) or ""
    return text.split("\n\n")[0].replace("\n", " ").strip() or type(thing).__name__


def _is_alias(thing: object) -> bool:
    """Whether it is a name for a type of functions, which has no docstring of its own."""
    return type(thing).__module__ in ("typing", "collections.abc", "types") and not inspect.isroutine(thing)


def _escaped(line: str) -> str:
    return line.replace("|", "\\|")


def _defined(module: ModuleType) -> list[str]:
    own = lambda thing: getattr(thing, "__module__", "").startswith("dlcore")
    return [name for name, thing in vars(module).items() if not name.startswith("_") and callable(thing) and own(thing)]
