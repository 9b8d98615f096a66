"""Looks at the test split: the first is remembered, every further one is reported."""

import contextlib
import datetime
import os
import tempfile
import warnings
from pathlib import Path

from dlcore.errors import one_line
from dlcore.places import create, is_bucket

NAME = "test_look.txt"


class FirstLook:
    """The first look of a run at its test split; what is chosen after it makes the score of a later look too good.

    A run without a folder remembers it as long as it lives, one with a folder in the file `test_look.txt`, which is
    there whole or not at all, so that another process that loads the run reports it too.

    Args:
      folder: the folder of the run, or None.

    Source: Dwork and others, The Reusable Holdout: Preserving Validity in Adaptive Data Analysis (2015).
    """

    def __init__(self, folder: Path | None = None):
        self._folder, self._first = folder, ""

    def look(self, name: str, step: int) -> None:
        """Remembers the first look, and warns of every further one.

        Args:
          name: what the data set is called.
          step: how long the model has trained.
        """
        now = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M:%S} UTC at step {step}"
        before = self._first or self._claim(now)
        self._first = before or now
        if before:
            warnings.warn(
                f"the test split of {name} was looked at before, first on {before}; what was chosen since then makes "
                "this score too good: compare on 'validation', and read 'test' once at the end",
                stacklevel=3,
            )

    def _claim(self, now: str) -> str:
        """Writes the look to the folder if it is the first there; otherwise returns which one was."""
        if self._folder is None:
            return ""
        file = self._folder / NAME
        if is_bucket(file):
            return _claim_object(file, now)
        if not self._folder.is_dir():
            return ""
        # A folder that cannot be written, an archive for instance, can still be evaluated: the look is then known to
        # this process alone.
        with contextlib.suppress(OSError):
            if file.exists():
                return _when(file)
            handle, part = tempfile.mkstemp(prefix=f".{NAME}.", dir=self._folder)
            try:
                with os.fdopen(handle, "w") as text:
                    text.write(now + "\n")
                # Unlike a replacement, a link fails where another process was first.
                os.link(part, file)
            except FileExistsError:
                return _when(file)
            except OSError:
                os.replace(part, file)  # a file system without links
            finally:
                Path(part).unlink(missing_ok=True)
        return ""


def _claim_object(file: Path, now: str) -> str:
    with contextlib.suppress(Exception):  # a bucket that cannot be written, or reached, as above
        try:
            create(file, f"{now}\n".encode())
        except FileExistsError:
            return _when(file)
    return ""


def _when(file: Path) -> str:
    with file.open("rb") as content:
        return one_line(content.read(200).decode("utf-8", "replace"), 80) or "an unknown day"
