"""`dlcore report`."""

import tempfile
from pathlib import Path

from dlcore.cli._files import check_place, check_run, write_whole


def report(run: Path, /, out: Path | None = None) -> None:
    """Write the report page of a run again.

    Args:
        run: the folder of the run.
        out: another file than report.html in that folder.
    """
    run = check_run(run)
    place = run / "report.html" if out is None else out
    from dlcore.train import load

    loaded = load(run)
    place = check_place(place)
    with tempfile.TemporaryDirectory() as folder:
        loaded.report(Path(folder, "report.html"))
        write_whole(place, Path(folder, "report.html").read_bytes())
    print(f"report: {place}")
