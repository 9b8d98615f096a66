"""Folders of runs, on this machine or in a bucket of Google Cloud Storage: one kind of path for both."""

import contextlib
import importlib.util
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

from dlcore.errors import CheckpointError, DlcoreError, one_line

_BUCKET = "gs://"
_ONE_SLASH = re.compile("^(gs|s3|az|hf|https?):/(?=[^/])")  # what pathlib makes of an address


def place(path: str | os.PathLike[str], name: str = "out") -> Any:
    """Returns a path to read and to write: a `pathlib.Path`, or an `etils.epath.Path` for `gs://BUCKET/FOLDER`.

    Args:
        path: a path of this machine, or an address in Google Cloud Storage, a `pathlib.Path` of one too.
        name: of the argument, for the message.

    Raises:
        ValueError: for another address.
        ImportError: for a bucket, where gcsfs is missing.

    Example:
        >>> place("runs/mine").name
        'mine'
    """
    text = _ONE_SLASH.sub(r"\1://", path.as_posix()) if isinstance(path, PurePath) else os.fspath(path)
    if "://" not in text:
        return Path(path)
    if not re.match(f"{_BUCKET}[^/]", text):
        repair = "mount what is elsewhere, and give the folder that it is mounted on"
        raise ValueError(f"{name}: expected a folder, or gs://BUCKET/FOLDER, found {text!r}; {repair}")
    if importlib.util.find_spec("gcsfs") is None:
        raise ImportError(f"{name}: {text} needs gcsfs, which is missing: pip install 'dlcore[gcs]'", name="gcsfs")
    from etils import epath

    _system(text)
    return epath.Path(text)


def is_bucket(path: PurePath) -> bool:
    """Whether a path that `place` gave lies in a bucket."""
    return path.as_posix().startswith(_BUCKET)


def absolute(path: Any) -> Any:
    """Returns the path from the root on, which Orbax wants; that of a bucket is one."""
    return path if is_bucket(path) else path.absolute()


def children(folder: Any) -> list[Any]:
    """Returns what lies in a folder; nothing where there is none."""
    if not is_bucket(folder):
        return list(folder.iterdir()) if folder.is_dir() else []
    try:
        names = _system(folder).ls(str(folder), detail=False)
    except FileNotFoundError:
        return []
    here = str(folder).removeprefix(_BUCKET)  # an empty object of that name stands for an empty folder
    return [folder / name.rstrip("/").rsplit("/", 1)[1] for name in names if name.rstrip("/") != here]


def create(file: Any, content: bytes) -> None:
    """Writes an object of a bucket that is not there yet.

    Raises:
        FileExistsError: it is there already, or somebody was faster.
    """
    _system(file).pipe_file(str(file), content, mode="create")


def move(folder: Any, target: Any, seal: str) -> None:
    """Gives a folder another name: at once, or, in a bucket, so that one of the two is whole at every instant.

    A bucket knows objects only, and copies one by one.

    Args:
        folder: that is there.
        target: that is not.
        seal: the file without which the folder is not whole; it is copied last, and deleted first.
    """
    if not is_bucket(folder):
        os.rename(folder, target)
        return
    system, here = _system(folder), str(folder).removeprefix(_BUCKET)
    names = [one.removeprefix(here) for one in system.find(here)]
    for some in ([one for one in names if one != f"/{seal}"], [one for one in names if one == f"/{seal}"]):
        if some:
            system.copy([here + one for one in some], [str(target).removeprefix(_BUCKET) + one for one in some])
    _take_away(folder, seal)


def remove(folder: Any, seal: str) -> None:
    """Deletes a folder as far as that can be done; in a bucket the seal first, so that no half of it looks whole."""
    if not is_bucket(folder):
        clear(folder)
        return
    with contextlib.suppress(Exception):  # of aiohttp, of requests, of google.auth
        _take_away(folder, seal)


def clear(folder: Any) -> None:
    """Deletes a folder and all in it, in any order; one that is not there does no harm."""
    if is_bucket(folder):
        folder.rmtree(missing_ok=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def reaching(path: Any) -> Iterator[None]:
    """Says in one line why a bucket cannot be reached, of which each layer beneath speaks in its own way.

    Raises:
        CheckpointError: in place of what was raised.
    """
    try:
        yield
    except Exception as error:
        if not is_bucket(path) or isinstance(error, DlcoreError):
            raise
        raise CheckpointError(f"{path} cannot be reached: {one_line(error) or type(error).__name__}") from None


def is_out_of_reach(error: BaseException) -> bool:
    """Whether reading from a bucket failed on the way there, rather than by what was found."""
    if isinstance(error, OSError):
        return not isinstance(error, FileNotFoundError)
    if re.search(
        r"\b(PERMISSION_DENIED|UNAUTHENTICATED|UNAVAILABLE|DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED)\b", str(error)
    ):
        return True
    return type(error).__module__.split(".")[0] in ("gcsfs", "aiohttp", "requests", "google")


def _take_away(folder: Any, seal: str) -> None:
    (folder / seal).unlink(missing_ok=True)  # where this fails, the rest stays too
    clear(folder)


def _system(path: Any) -> Any:
    """Returns gcsfs's file system, which is kept from remembering listings: tensorstore writes there too, unseen."""
    from etils.epath.backend import fsspec_backend

    system = fsspec_backend.fs(path)
    system.dircache.use_listings_cache = False
    return system
