"""Download a file whose size and checksum are known: from several mirrors, resumed, and whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from io import FileIO
from pathlib import Path
from typing import Any

from dlcore.data._cache import data_dir
from dlcore.data._http import Broken, Refused, length, receive
from dlcore.data._progress import progress_bar
from dlcore.errors import DataError
from dlcore.files import open_regular

_ATTEMPTS = 4  # for each mirror: the first, and three that go on where a connection broke


def fetch(
    name: str,
    urls: Sequence[str],
    *,
    sha256: str,
    size: int,
    folder: str | os.PathLike[str] | None = None,
    progress: bool = True,
    timeout: float = 30.0,
) -> Path:
    """Returns a file of known content, downloaded unless it is there.

    What has come so far lies beside it under `.part`, and a later call goes on from there. The file gets its name
    only when size and checksum are right, so that whatever has the name is whole. Several processes may ask for one
    file at the same time.

    Args:
        name: what to call the file, without a folder.
        urls: where it is, `http` or `https`; tried in turn.
        sha256: its checksum, 64 hexadecimal digits.
        size: its bytes.
        folder: where to put it; by default `data_dir()`.
        progress: show a bar where standard error is a terminal.
        timeout: seconds without an answer, or with less than a kibibyte, until a connection is given up.

    Returns:
        The path of the file.

    Raises:
        ValueError: `name` is no plain file name, or `urls`, `sha256` or `size` cannot be right.
        DataError: no mirror gave the file, or it cannot be written.

    Example:
        >>> import tempfile
        >>> checksum = hashlib.sha256(b"abc").hexdigest()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "letters").write_bytes(b"abc")
        ...     fetch("letters", ["https://example.org/letters"], sha256=checksum, size=3, folder=folder).name
        'letters'
    """
    _check(name, urls, sha256, size)
    target = (data_dir() if folder is None else Path(folder)) / name
    if _is_right(target, sha256, size):
        return target
    failures = []
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _part_file(target) as part, progress_bar(name, size, progress) as show:
            for url in urls:
                failure = _from_mirror(url, part, sha256, size, timeout, show)
                if failure is None:
                    _publish(part, target, sha256, size)
                    return target
                failures.append(f"{url}: {failure}")
    except OSError as error:
        raise DataError(f"{target}: expected to write {size} bytes, found {error.strerror or error}") from None
    raise DataError(
        f"{target}: expected {size} bytes with SHA-256 {sha256}, found {'; '.join(failures)}; "
        f"get {urls[0]} by other means and put it there"
    )


def _check(name: Any, urls: Any, sha256: Any, size: Any) -> None:
    if not isinstance(name, str) or name in ("", ".", "..") or set(name) & set("/\\:\0"):
        raise ValueError(f"fetch name: expected a file name without a folder, found {name!r}")
    if isinstance(urls, str) or not urls:
        raise ValueError(f"fetch urls: expected a sequence of at least one URL, found {urls!r}")
    for url in urls:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"fetch urls: expected http or https, found {url!r}")
    if not isinstance(sha256, str) or len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
        raise ValueError(f"fetch sha256: expected 64 hexadecimal digits in lower case, found {sha256!r}")
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ValueError(f"fetch size: expected a positive int, found {size!r}")


def _is_right(path: Path, sha256: str, size: int) -> bool:
    if not path.exists():
        return False
    with open_regular(path) as (stream, found):
        return found == size and hashlib.file_digest(stream, "sha256").hexdigest() == sha256


@contextlib.contextmanager
def _part_file(target: Path) -> Iterator[FileIO]:
    """Gives the file that a download grows in: `.part`, kept for later calls, or a new one if another process has it.

    The system lets go of the lock when a process ends, however it ends.
    """
    part = _locked(target.with_name(f"{target.name}.part"))
    shared = part is not None
    part = part or open(target.with_name(f".{target.name}.{secrets.token_hex(8)}.part"), "a+b", buffering=0)
    try:
        yield part
    except OSError:  # most likely the disk is full
        shared = False
        raise
    finally:
        part.close()
        if not shared:
            Path(part.name).unlink(missing_ok=True)


def _locked(path: Path) -> FileIO | None:
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    part = open(path, "a+b", buffering=0)
    try:
        fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Between opening and locking, its last owner may have given it its final name.
        if os.path.samestat(os.fstat(part.fileno()), path.stat()):
            return part
    except OSError:
        pass
    part.close()
    return None


def _from_mirror(
    url: str, part: FileIO, sha256: str, size: int, timeout: float, show: Callable[[int], None]
) -> str | None:
    """Fills `part` and returns None, or says what went wrong."""
    failure = None
    for _ in range(_ATTEMPTS):
        before = length(part)
        try:
            if before != size:
                receive(url, part, size, timeout, show)
        except Broken as error:
            failure = str(error)
            continue
        except Refused as error:
            return str(error)
        part.seek(0)
        found = hashlib.file_digest(part, "sha256").hexdigest()
        if found == sha256:
            return None
        part.truncate(0)
        failure = f"SHA-256 {found}"
        if not before:  # else what was there before, from another mirror, may be to blame
            return failure
    return failure


def _publish(part: FileIO, target: Path, sha256: str, size: int) -> None:
    os.fsync(part.fileno())
    if os.name == "nt":  # which renames no open file; elsewhere the lock must outlast the renaming
        part.close()
    try:
        os.replace(part.name, target)
    except PermissionError:  # Windows: somebody reads the file that another process was faster to put there
        if not _is_right(target, sha256, size):
            raise
