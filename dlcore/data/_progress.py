"""A bar for a download, on a terminal only."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress_bar(name: str, size: int, wanted: bool) -> Iterator[Callable[[int], None]]:
    """Gives a function of the bytes that have come; it draws where standard error is a terminal, else does nothing."""
    if not (wanted and sys.stderr.isatty()):
        yield lambda done: None
        return
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task(name, total=size)
        yield lambda done: bars.update(bar, completed=done)
