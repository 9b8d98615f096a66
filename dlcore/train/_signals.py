"""Ctrl-C and SIGTERM between chunks: the first one stops the run in order, the second at once."""

import signal
import threading
from types import FrameType
from typing import Any

_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
WORDS = ("", *_WORDS.values())  # what `requested` may be


class Interrupt:
    """While entered, a signal sets `requested` to "interrupted" or "terminated"; a second one is not held back.

    Main thread only; afterwards the handlers are as they were.
    """

    def __init__(self) -> None:
        self.requested = ""
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in _WORDS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            if handler is not None:  # one that was not set by Python cannot be set again
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if not self.requested:
            self.requested = _WORDS[signal.Signals(number)]
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            raise SystemExit(exit_status("terminated"))


def exit_status(reason: str) -> int:
    """Returns what a shell expects of a command that ended so: 130 after SIGINT, 143 after SIGTERM, else 0."""
    return next((128 + number for number, word in _WORDS.items() if word == reason), 0)
