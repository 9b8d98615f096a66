"""Kills training at random moments, also while it saves, resumes it, and compares every bit with a run left alone.

`python experiments/stress_resume.py [--kills 100] [--seed 0] [--sweep]` exits with 1 if anything differs.
"""

import argparse
import dataclasses
import hashlib
import os
import random
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np

import dlcore as dl

EPOCHS = 120


def train(seed: int, out: Path | None, sweep: bool) -> str:
    """Trains, or goes on, to the end; returns a digest of everything that came out."""
    options: dict[str, Any] = {"epochs": EPOCHS, "batch_size": 64, "key": seed, "progress": False, "patience": 200}
    if out is not None:
        options |= {"out": out, "resume": True, "save_every": 1}
    if sweep:
        model = lambda hparams: dl.models.mlp((hparams["width"],), classes=10, dropout=0.1)
        space = {"width": [8, 16], "learning_rate": [1e-3, 1e-2]}
        result = dl.sweep(model, dl.data.digits(), space=space, seeds=2, rungs=[EPOCHS // 3], **options)
        runs = [result.lane(row["lane"]) for row in result.rows]
    else:
        parts = {"dense": dl.dense(32), "norm": dl.layers.batch_norm(), "relu": dl.relu(), "dropout": dl.dropout(0.2)}
        model = dl.serial(flatten=dl.layers.flatten(), **parts, out=dl.dense(10))
        runs = [dl.fit(model, dl.data.digits(), **options)]
    digest = hashlib.sha256()
    for run in runs:
        final = dataclasses.replace(run.final, key=jax.random.key_data(run.final.key))
        for leaf in jax.tree.leaves((run.params, run.state, final, dict(run.metrics))):
            digest.update(np.asarray(leaf).tobytes())
        digest.update(str(run.stopped).encode())
    return digest.hexdigest()


def in_child(seed: int, out: Path | None, sweep: bool, result: Path) -> int:
    """Trains in a process of its own, which has imported everything already; returns its number."""
    if number := os.fork():  # JAX has not started here
        return number
    status = 1
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            digest = train(seed, out, sweep)
        part = result.with_suffix(".part")
        part.write_text(digest)
        os.replace(part, result)
        damaged = [str(one.message) for one in said if "damaged" in str(one.message)]
        (result.parent / "damaged").open("a").write("".join(f"{line}\n" for line in damaged))
        status = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(status)


def is_saving(out: Path) -> bool:
    """Whether what the killed process left is the middle of a save or of a deletion."""
    names = [path.name for path in out.glob("checkpoints/**/*") if path.is_dir()]
    return any("orbax-checkpoint-tmp" in name or name.startswith(("deleted-", "replaced-")) for name in names)


def stress(kills: int, seed: int, sweep: bool, folder: Path) -> dict[str, int]:
    """Returns what was counted.

    Args:
      kills: how many processes to kill.
      seed: of the moments.
      sweep: whether to train sweeps.
      folder: where everything is written.
    """
    counts: dict[str, int] = dict.fromkeys(("kills", "in a save", "compared", "different", "failed"), 0)
    moments, number, longest = random.Random(seed), 0, 3.0
    while counts["kills"] < kills or not counts["compared"]:
        out, alone, done = (folder / f"{name}-{number}" for name in ("run", "alone", "done"))
        began = time.monotonic()
        os.waitpid(in_child(number, None, sweep, alone), 0)
        longest = max(1.0, time.monotonic() - began + 1.0)  # a little more than a run takes that is left alone
        while not done.exists():
            process = in_child(number, out, sweep, done)
            deadline = time.monotonic() + moments.uniform(0, longest if counts["kills"] < kills else 600)
            ended = (0, 0)
            while time.monotonic() < deadline and not ended[0]:
                time.sleep(0.001)
                ended = os.waitpid(process, os.WNOHANG)
            if ended[0]:
                counts["failed"] += os.waitstatus_to_exitcode(ended[1]) != 0
                if counts["failed"]:
                    return counts
                continue
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            counts["kills"] += 1
            counts["in a save"] += is_saving(out)
        counts["compared"] += 1
        counts["different"] += done.read_text() != alone.read_text()
        number += 1
    return counts


def main() -> None:
    """Reads the options, and prints what was counted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sweep", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("DLCORE_CACHE", f"{folder}/cache")
        began = time.monotonic()
        counts = stress(given.kills, given.seed, given.sweep, Path(folder))
        damaged = (Path(folder) / "damaged").read_text().count("\n") if (Path(folder) / "damaged").exists() else 0
    said = ", ".join(f"{name}: {count}" for name, count in counts.items())
    print(f"{'sweeps' if given.sweep else 'runs'}: {said}, checkpoints found damaged: {damaged}")
    print(f"{time.monotonic() - began:.0f} s")
    sys.exit(bool(counts["different"] or counts["failed"]))


if __name__ == "__main__":
    main()
