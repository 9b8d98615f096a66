"""Ctrl-C between chunks: the first one stops the run in order, the second at once."""

import signal
import threading
from types import FrameType
from typing import Any


class Interrupt:
    """While entered, SIGINT sets `requested`, and a second one raises KeyboardInterrupt. Main thread only."""

    def __init__(self) -> None:
        self.requested = False
        self._before: Any = None

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
