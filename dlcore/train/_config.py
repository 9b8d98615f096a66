"""What a run was told to do, as JSON: to build it again, and to see whether it is still the same."""

import hashlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import optax

from dlcore._version import __version__
from dlcore.errors import CheckpointError, one_line
from dlcore.json_form import from_json, to_json
from dlcore.train._checkpoint import SCHEMA
from dlcore.train._setup import Setup
from dlcore.train._stream import Stream

# How long a run goes on is no part of what it is.
LENGTH = ("epochs", "steps")
# What arguments were before there were any, where that is not None.
BEFORE = {"accumulate": 1}


def make_config(arguments: Mapping[str, Any], setup: Setup, kind: str = "run") -> dict[str, Any]:
    """Returns the configuration of a run or a sweep, ready for JSON."""
    arguments = {name: value.data if isinstance(value, Stream) else value for name, value in arguments.items()}
    plain = {name: value for name, value in arguments.items() if name not in ("params", "state")}
    return {
        "schema": SCHEMA,
        "kind": kind,
        "arguments": {name: to_json(value) for name, value in plain.items()},
        "digests": {
            "data": _digest(setup.inputs.dataset.splits if setup.inputs.dataset is not None else None),
            "params": _digest(arguments.get("params")),
        },
        "batch": _shapes(setup.inputs.batch),
        "total": setup.total,
        "hparams": {name: float(value) for name, value in setup.hparams.items()},
        "versions": {"dlcore": __version__, "jax": jax.__version__, "optax": optax.__version__},
        "device": jax.devices()[0].device_kind,
    }


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Returns what differs between two configurations, a line each; their lengths may differ."""
    lines = []
    old, new = BEFORE | before["arguments"], BEFORE | after["arguments"]
    for name in dict.fromkeys([*old, *new]):
        if name not in LENGTH and old.get(name) != new.get(name):
            lines.append(one_line(f"{name}: {_say(old.get(name))} -> {_say(new.get(name))}", 2000))
    for name in ("data", "params"):
        if before["digests"][name] != after["digests"][name] and not any(line.startswith(f"{name}:") for line in lines):
            lines.append(f"{name}: the arrays are others than before")
    return lines


def read_arguments(config: Mapping[str, Any], given: Mapping[str, Any], where: Any) -> dict[str, Any]:
    """Builds the arguments of a run again.

    Args:
      config: what `make_config` gave.
      given: arguments that stand in place of those.
      where: what to call the run in an error.

    Returns:
      The arguments; data that cannot be built are None.

    Raises:
      CheckpointError: for another argument that cannot be built from JSON and was not given.
    """
    arguments = dict(given)
    for name, form in config["arguments"].items():
        if name in given:
            continue
        try:
            arguments[name] = from_json(form)
        except Exception:  # a file may say anything, and a factory may raise anything
            if name == "data" and config["batch"] is not None:
                arguments[name] = None
                continue
            name = one_line(name)
            found = f"{name} = {one_line(_say(form))}, which cannot be built from its name"
            raise CheckpointError(f"{where} was made with {found}: give {name}=...") from None
    return arguments


def _shapes(batch: Any) -> dict[str, Any] | None:
    is_plain = isinstance(batch, dict) and all(hasattr(leaf, "shape") for leaf in batch.values())
    return {name: [list(leaf.shape), leaf.dtype.name] for name, leaf in batch.items()} if is_plain else None


def _digest(tree: Any) -> str | None:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    if not leaves:
        return None
    digest = hashlib.blake2b(digest_size=16)
    for path, leaf in leaves:
        array = np.asarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data if array.size else b"")
    return digest.hexdigest()


def _say(form: Any) -> str:
    """Returns the JSON form of a value as a person would write it."""
    match form:
        case {"recipe": str(name), "arguments": dict(arguments)}:
            return f"{name.split('.')[-1]}({', '.join(f'{k}={_say(v)}' for k, v in arguments.items())})"
        case {"function": str(name)}:
            return name.split(".")[-1]
        case {"opaque": text}:
            return str(text)
        case {"tuple": list(items)} | list(items):
            return f"({', '.join(map(_say, items))})"
        case {"dict": dict(items)}:
            return "{" + ", ".join(f"{name}: {_say(item)}" for name, item in items.items()) + "}"
    return repr(form)
