"""What a person sees while a run goes on: a live bar in a terminal or a notebook, plain lines elsewhere."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dlcore.train._shortage import Shortage, stall

REPEAT = 10.0  # seconds between two plain lines that say that nothing comes


class Silent:
    """What `fit` tells its display; this one shows nothing."""

    def __enter__(self) -> "Silent":
        return self

    def __exit__(self, *_: object) -> None:
        """Leaves the screen in order, also after an error."""

    def start(self, total: int | None, steps_per_epoch: int | None, done: int = 0) -> None:
        """A run of so many steps begins, or goes on after those that are done, with compilation."""

    def compiled(self, seconds: float) -> None:
        """Compilation is over."""

    def update(self, step: int, values: Mapping[str, np.ndarray]) -> None:
        """So many steps are done; a value by name, one number a lane."""

    def waited(self, seconds: float) -> None:
        """So long there was nothing to train on, until now."""

    def stalled(self, seconds: float) -> None:
        """There has been nothing to train on for so long; called many times a second while that lasts."""


class Lines(Silent):
    """One plain line at each report, at most one a second but for the first and the last."""

    def __init__(self) -> None:
        self._clock, self._shortage = Clock(), Shortage()
        self._shown = self._stalled = 0.0

    def start(self, total: int | None, steps_per_epoch: int | None, done: int = 0) -> None:
        self._clock.start(total, steps_per_epoch, done)
        print("compiling ...", flush=True)

    def compiled(self, seconds: float) -> None:
        self._clock.restart()
        self._shortage.restart()
        print(f"compiled in {seconds:.1f} s", flush=True)

    def update(self, step: int, values: Mapping[str, np.ndarray]) -> None:
        now = time.perf_counter()
        if now - self._shown >= 1 or step == self._clock.total:
            self._shown = now
            parts = (self._clock.place(step), said(values), self._clock.speed(step), self._shortage.said())
            print("  ".join(part for part in parts if part), flush=True)

    def waited(self, seconds: float) -> None:
        self._shortage.add(seconds)
        self._stalled = 0.0

    def stalled(self, seconds: float) -> None:
        if (text := stall(seconds)) and (not self._stalled or seconds - self._stalled >= REPEAT):
            self._stalled = seconds
            print(text, flush=True)


class Bar(Silent):
    """A live bar by rich: epoch, values, steps per second, time left; compilation is told apart."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._clock, self._shortage = Clock(), Shortage()
        self._bar = RichProgress(TextColumn("{task.description}"), refresh_per_second=8)
        self._is_narrow = self._bar.console.width < 120
        bar = () if self._is_narrow else (BarColumn(bar_width=20),)
        self._bar.columns = (*self._bar.columns, *bar, TextColumn("{task.fields[text]}"))
        self._task: Any = None

    def start(self, total: int | None, steps_per_epoch: int | None, done: int = 0) -> None:
        self._clock.start(total, steps_per_epoch, done)
        self._bar.start()
        self._task = self._bar.add_task("compiling", total=None, text="")

    def compiled(self, seconds: float) -> None:
        self._clock.restart()
        self._shortage.restart()
        self._bar.print(f"compiled in {seconds:.1f} s")
        self._bar.update(self._task, total=self._clock.total, description=self._clock.place(0))

    def update(self, step: int, values: Mapping[str, np.ndarray]) -> None:
        if self._is_narrow:  # what does not fit would push out the time that is left
            values = {name: value for name, value in values.items() if not name.startswith("validation_")}
        text = "  ".join(part for part in (said(values), self._clock.speed(step), self._shortage.said()) if part)
        if self._is_narrow:
            text = text.replace("learning rate", "rate").replace("  ", " ")
        self._bar.update(self._task, completed=step, description=self._clock.place(step), text=text)

    def waited(self, seconds: float) -> None:
        self._shortage.add(seconds)

    def stalled(self, seconds: float) -> None:
        if text := stall(seconds):
            self._bar.update(self._task, text=text)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


class Cell(Silent):
    """One line in a notebook that is written over, and taken away at the end."""

    def __init__(self) -> None:
        from IPython.display import display

        self._clock, self._shortage, self._text = Clock(), Shortage(), ""
        self._line: Any = display({"text/plain": ""}, raw=True, display_id=True)

    def __exit__(self, *_: object) -> None:
        self._show("")

    def start(self, total: int | None, steps_per_epoch: int | None, done: int = 0) -> None:
        self._clock.start(total, steps_per_epoch, done)
        self._show("compiling ...")

    def compiled(self, seconds: float) -> None:
        self._clock.restart()
        self._shortage.restart()
        self._show(f"compiled in {seconds:.1f} s")

    def update(self, step: int, values: Mapping[str, np.ndarray]) -> None:
        parts = (self._clock.place(step), said(values), self._clock.speed(step), self._shortage.said())
        self._show("  ".join(part for part in parts if part))

    def waited(self, seconds: float) -> None:
        self._shortage.add(seconds)

    def stalled(self, seconds: float) -> None:
        if text := stall(seconds):
            self._show(text)

    def _show(self, text: str) -> None:
        if text != self._text:  # a notebook keeps every message that it is sent
            self._text = text
            self._line.update({"text/plain": text}, raw=True)


class Shared:
    """One display for the groups of a sweep, which counts the steps of all of them."""

    def __init__(self, show: Silent, totals: Sequence[int]):
        self._show, self._done = show, [0] * len(totals)

    def of(self, number: int) -> Silent:
        """Returns what one group tells the display."""
        shared = self

        class Part(Silent):
            def compiled(self, seconds: float) -> None:
                shared._show.compiled(seconds)

            def update(self, step: int, values: Mapping[str, np.ndarray]) -> None:
                shared._done[number] = step
                shared._show.update(sum(shared._done), values)

        return Part()


class Clock:
    """Turns a number of steps into epochs, a speed and the time that is left."""

    def start(self, total: int | None, steps_per_epoch: int | None, done: int = 0) -> None:
        self.total, self._per_epoch, self._first = total, steps_per_epoch, done
        self.restart()

    def restart(self) -> None:
        self._began = time.perf_counter()

    def place(self, step: int) -> str:
        if not self._per_epoch:
            return f"step {step}" + (f"/{self.total}" if self.total else "")
        epochs = f"/{-(-self.total // self._per_epoch)}" if self.total else ""
        return f"epoch {-(-step // self._per_epoch)}{epochs}"

    def speed(self, step: int) -> str:
        seconds = time.perf_counter() - self._began
        done = step - self._first
        if done <= 0 or seconds < 0.2:  # too early to tell
            return ""
        left = f"  {span((self.total - step) * seconds / done)} left" if self.total and step < self.total else ""
        return f"{done / seconds:,.0f} steps/s{left}"


def said(values: Mapping[str, np.ndarray]) -> str:
    """Returns `loss 0.0123  accuracy 0.981`; over several lanes, mean and standard deviation."""
    return "  ".join(f"{name.replace('_', ' ')} {spread(value)}" for name, value in values.items())


def spread(value: Any) -> str:
    """Returns a number, or the mean and the standard deviation over lanes (of those that are numbers)."""
    value = np.asarray(value, float)
    if value.ndim == 0 or value.size == 1:
        return f"{float(value.reshape(())):.4g}"
    known = value[np.isfinite(value)]
    if not known.size:
        return "nan"
    return f"{known.mean():.4g} ± {known.std(ddof=1) if known.size > 1 else 0:.2g}"


def span(seconds: float) -> str:
    """Returns `0.8 s`, `12 s`, `3 min` or `2.5 h`."""
    if seconds < 10:
        return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.1f} s"
    if seconds < 6000:
        return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def make_progress(progress: bool | str | None) -> Silent:
    """Returns a display: a bar where a person looks (a terminal, a notebook), else none, unless told.

    Args:
      progress: True for a bar, or lines where there is no terminal; "lines"; False for nothing; None decides by itself.
    """
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    in_notebook, in_terminal = hasattr(shell, "kernel"), sys.stdout.isatty()
    if progress is None:
        progress = in_notebook or in_terminal
    if not progress:
        return Silent()
    if progress == "lines" or not (in_notebook or in_terminal):
        return Lines()
    return Cell() if in_notebook else Bar()
