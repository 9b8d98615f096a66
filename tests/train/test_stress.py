"""The short form of `experiments/stress_resume.py`: killed processes, resumed, are the run that was left alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("options", [["--kills", "8"], ["--kills", "3", "--sweep"]], ids=["runs", "sweeps"])
def test_killed_and_resumed_is_never_killed(options):
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, ROOT / "experiments" / "stress_resume.py", *options],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counts = dict(re.findall(r"(\w+): (\d+)", done.stdout))
    assert int(counts["kills"]) >= int(options[1]) and int(counts["compared"]) >= 1 and counts["different"] == "0"
