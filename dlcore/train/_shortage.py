"""What a display says of the time in which there were no data to train on."""

import time
from collections.abc import Callable

STALL = 5.0  # seconds without data after which a display says so while it lasts
SHARE = 0.1  # of the time since the last report; less is not worth a word
SPAN = 1.0  # seconds that a share is taken over, at least


class Shortage:
    """Adds up the time that a run has waited for data.

    Args:
      clock: seconds from anywhere.

    Example:
      >>> now = iter([0.0, 2.0])
      >>> shortage = Shortage(lambda: next(now))
      >>> shortage.add(0.5)
      >>> shortage.said()
      'waiting for data 25 %'
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter):
        self._clock = clock
        self.restart()

    def restart(self) -> None:
        """Forgets what was, as compilation is no time to train in."""
        self._since, self._waited, self._text = self._clock(), 0.0, ""

    def add(self, seconds: float) -> None:
        """The run has waited for so long, and goes on."""
        self._waited += seconds

    def said(self) -> str:
        """Returns the share of the time since the last report, `waiting for data 35 %`; nothing where it is small."""
        now = self._clock()
        passed = now - self._since
        if passed >= SPAN:  # a share of a moment would flicker
            share = min(self._waited / passed, 1.0)
            self._text = f"waiting for data {share:.0%}".replace("%", " %") if share > SHARE else ""
            self._since, self._waited = now, 0.0
        return self._text


def stall(seconds: float) -> str:
    """Returns `waiting for data, 12 s` once nothing has come for `STALL` seconds, and nothing before."""
    return f"waiting for data, {seconds:.0f} s" if seconds >= STALL else ""
