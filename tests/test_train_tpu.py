"""The script that users copy: everything at once on eight devices, and killed and gone on with."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "experiments" / "train_tpu.py"
SMALL = "--width 32 --depth 2 --heads 2 --length 16 --batch-size 16 --warmup 4".split()


def run(tmp_path: Path, *words: str, devices: int = 8) -> str:
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": str(devices), "DLCORE_DATA": str(tmp_path / "data")}
    command = [sys.executable, str(SCRIPT), *SMALL, *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_it_is_short_enough_to_be_read():
    assert len(SCRIPT.read_text().splitlines()) < 150


@pytest.mark.slow
def test_everything_at_once_on_eight_devices(tmp_path):
    parallel = "--mesh data 4 model 2 --shard-params --accumulate 2 --remat dots --policy bf16".split()
    said = run(tmp_path, *parallel, "--steps", "64", "--profile", str(tmp_path / "trace"))
    assert "8 x cpu, 1 processes, layout({'data': 4, 'model': 2}, shard_params=True)" in said
    losses = [float(loss) for loss in re.findall(r"^step .* loss ([\d.]+)", said, re.MULTILINE)]
    assert losses[-1] < losses[0] and "tokens/s" in said and "TFLOP/s" in said
    assert list((tmp_path / "trace").rglob("*.xplane.pb"))


@pytest.mark.slow
def test_a_run_that_is_there_is_gone_on_with(tmp_path):
    whole = run(tmp_path, "--steps", "40", "--out", str(tmp_path / "run"), devices=1)
    again = run(tmp_path, "--steps", "40", "--out", str(tmp_path / "run"), devices=1)  # nothing is left to do
    told = re.compile(r"held-out loss .*")
    assert "finished after 40 steps" in whole and told.findall(whole) == told.findall(again)
