"""One writer a folder, by a lock that the kernel holds and gives back when the writer dies."""

import errno
import os
import weakref
from pathlib import Path

from dlcore.errors import CheckpointError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt

NAME = ".lock"
_BEYOND = 1 << 30  # Windows keeps others from reading what is locked: lock a byte that no process number reaches


class Lock:
    """One writer a folder; held by the kernel, so a dead writer's lock is free.

    The file `.lock` in the folder holds the number of the process. It stays when the lock is released: were it
    removed, a process that had just opened it would lock a file that nobody else sees.

    Args:
        folder: an existing folder.

    Raises:
        CheckpointError: another process, or another `Lock` of this one, holds it; or nothing can be written there.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, Lock(Path(folder)):
        ...     print((Path(folder) / ".lock").read_text() == str(os.getpid()))
        True
    """

    def __init__(self, folder: Path):
        self._file: int | None = None
        try:
            file = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o644)  # Python's files are closed on exec
        except OSError as error:
            raise CheckpointError(f"{folder} cannot be locked: {error.strerror}") from None
        try:
            _lock(file)
            os.ftruncate(file, 0)
            os.write(file, str(os.getpid()).encode())
        except OSError as error:
            holder = os.read(file, 20).decode("ascii", "replace").strip() or "unknown"
            os.close(file)
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK):
                raise CheckpointError(f"{folder} cannot be locked: {error.strerror}") from None
            repair = "wait for it, stop it, or give another folder"
            raise CheckpointError(f"{folder} is being written by process {holder}; {repair}") from None
        self._file = file
        _held.add(self)

    def release(self) -> None:
        """Gives the folder free; more than once does no harm."""
        file, self._file = self._file, None
        if file is not None:
            _unlock(file)
            os.close(file)

    def _leave(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)  # without unlocking, which would take the lock from the parent too

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _lock(file: int) -> None:
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    os.lseek(file, _BEYOND, os.SEEK_SET)
    try:
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # pyright: ignore
    finally:
        os.lseek(file, 0, os.SEEK_SET)


def _unlock(file: int) -> None:
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_UN)
        return
    os.lseek(file, _BEYOND, os.SEEK_SET)
    msvcrt.locking(file, msvcrt.LK_UNLCK, 1)  # pyright: ignore


def _leave_all() -> None:
    for lock in list(_held):
        lock._leave()


# A forked child shares the parent's lock, and would hold it on after the parent's death.
_held: "weakref.WeakSet[Lock]" = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_all)
