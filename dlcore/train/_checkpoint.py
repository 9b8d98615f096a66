"""One checkpoint on disk, checked to the last bit when it is read."""

import contextlib
import hashlib
import json
import logging
import math
import os
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dlcore.errors import CheckpointError, one_line
from dlcore.places import absolute, children, is_bucket, is_out_of_reach

SCHEMA = 1
KEY = "dlcore"
# Orbax writes these two last, and then gives the folder its name; in a bucket, the second after all else.
METADATA, COMMITTED = "_CHECKPOINT_METADATA", "commit_success.txt"


class Damaged(Exception):
    """The sentence that says which checkpoint, and what is wrong with it."""


def is_committed(folder: Path) -> bool:
    if is_bucket(folder):  # one question, and no answer is not no
        return {METADATA, COMMITTED} <= {one.name for one in children(folder)}
    return (folder / METADATA).is_file() and (folder / COMMITTED).is_file()


def read_header(folder: Path) -> dict[str, Any]:
    try:
        if not is_committed(folder):
            raise ValueError("it was not written to the end")
        metadata = json.loads((folder / METADATA).read_text())["custom_metadata"]
        if metadata["digest"] != digest(metadata[KEY].encode()):
            raise ValueError("its metadata were changed")
        header = json.loads(metadata[KEY])
        if type(header["schema"]) is not int:
            raise ValueError(f"its schema is {header['schema']!r}")
        if header["schema"] <= SCHEMA:
            _check_form(header)
    except Exception as error:
        raise _fault(folder, error) from None
    if header["schema"] > SCHEMA:
        found = f"schema {header['schema']}, this one reads up to {SCHEMA}"
        raise CheckpointError(f"{folder} was written by a newer dlcore: {found}; update dlcore")
    return header


def read(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    header = read_header(folder)
    try:
        pieces = _pieces(folder)
        data = np.concatenate([pieces[name] for name in sorted(pieces)])
        if header["digest"] != digest(data):
            raise ValueError("its arrays were changed")
        arrays, start = {}, 1
        for name, (dtype, shape) in header["arrays"].items():
            end = start + np.dtype(dtype).itemsize * math.prod(shape)
            arrays[name] = data[start:end].copy().view(dtype).reshape(shape)
            start = end
        if start != len(data):
            raise ValueError(f"its arrays have {len(data)} bytes, and its metadata say {start}")
    except Exception as error:
        raise _fault(folder, error) from None
    return header, arrays


def _fault(folder: Path, error: Exception) -> Exception:
    """Returns what came of reading: a damaged checkpoint is passed over, one behind a broken connection is not."""
    if is_bucket(folder) and is_out_of_reach(error):
        return CheckpointError(f"{folder} cannot be reached: {reason(error)}")
    return Damaged(f"{folder} is damaged: {reason(error)}")


def _check_form(header: dict[str, Any]) -> None:
    """Refuses metadata that no `Store` wrote, whose digest is right all the same."""
    for name, kinds in {"step": int, "score": float | None, "arrays": dict, "meta": dict, "digest": str}.items():
        if not isinstance(header[name], kinds):
            raise ValueError(f"its {name} is {header[name]!r}")
    for name, form in header["arrays"].items():
        if not is_form(form):
            raise ValueError(f"its array {name!r} is {form!r}")


def is_form(form: Any) -> bool:
    """Whether this is the JSON form of an array: the name of its dtype, and its shape."""
    return (
        isinstance(form, list)
        and len(form) == 2
        and isinstance(form[0], str)
        and isinstance(form[1], list)
        and all(type(length) is int and length >= 0 for length in form[1])
    )


def _pieces(folder: Path) -> dict[str, np.ndarray]:
    with orbax() as ocp:
        alone = by_itself(ocp)
        with ocp.Checkpointer(ocp.StandardCheckpointHandler(**alone), **alone) as reader:
            return reader.restore(absolute(folder) / "default")


def by_itself(ocp: Any) -> dict[str, Any]:
    """Returns the keyword with which Orbax waits for no other process of the program."""
    if not jax.distributed.is_initialized():
        return {}
    own = jax.process_index()
    options = ocp.options.MultiprocessingOptions(own, {own}, barrier_sync_key_prefix=f"dlcore-{own}")
    return {"multiprocessing_options": options}


def digest(data: Any) -> str:
    return hashlib.blake2b(data, digest_size=32).hexdigest()


def reason(error: BaseException) -> str:
    """Returns what the operating system said, from under the layers above it; else the first line of the message."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if found := re.search(r"os_error_code='(\d+)'", str(error)):
        return os.strerror(int(found[1]))
    return one_line(next(iter(str(error).splitlines()), "")) or type(error).__name__


_turn = threading.RLock()


@contextlib.contextmanager
def orbax() -> Iterator[Any]:
    """Gives Orbax to one thread at a time, and keeps it from logging, with tracebacks, what is raised as one line.

    Two checkpointers that write at once, each to its own folder, get into each other's way. The first line that absl
    logs, shown or not, sets up the root logger if nobody has, and the program's own `logging.basicConfig` would then do
    nothing; so the handler of last resort stands there for the time being.
    """
    log, root, handler = logging.getLogger("absl"), logging.getLogger(), logging.lastResort or logging.NullHandler()
    with _turn:
        if _is_not_of_orbax in log.filters:  # this thread is in here already
            yield sys.modules["orbax.checkpoint"]
            return
        has_handlers = bool(root.handlers)
        if not has_handlers:
            root.addHandler(handler)
        log.addFilter(_is_not_of_orbax)
        try:
            import orbax.checkpoint as ocp

            yield ocp
        finally:
            log.removeFilter(_is_not_of_orbax)
            if not has_handlers:
                root.removeHandler(handler)


def _is_not_of_orbax(record: logging.LogRecord) -> bool:
    trace = record.exc_info[2] if record.exc_info else None  # `absl.logging.exception` gives its own file as the place
    return "orbax" not in Path(trace.tb_frame.f_code.co_filename if trace else record.pathname).parts
