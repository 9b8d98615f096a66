"""Ctrl-C and SIGTERM before and after training: the process ends at once."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

from dlcore.files import PARTS


@contextlib.contextmanager
def leave_at_once() -> Iterator[None]:
    """While entered, Ctrl-C and SIGTERM end the process with status 130 and 143, wherever it is.

    Raising `KeyboardInterrupt` would not do: while libraries are imported, some of them catch it, and the command would
    go on. Training puts handlers of its own in place of these, which stop it in order and save it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _leave) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # one that was not set by Python cannot be set again
                signal.signal(number, handler)


def _leave(number: int, frame: FrameType | None) -> None:
    for part in PARTS:
        with contextlib.suppress(OSError):
            os.unlink(part)
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    os._exit(128 + number)
