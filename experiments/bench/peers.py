"""dlcore beside hand-written JAX, Equinox, Flax NNX, Keras on JAX, PyTorch and torch.compile, in one run.

`python experiments/bench/peers.py [--part mlp lenet transformer sweep start compile memory] [--rounds 5]
[--systems dlcore "PyTorch eager" ...]` with the extra `bench`. All systems have the same data, batches of the same
size, the same number of steps, the same initial distributions and the same Adam, and run in turn in one process a part;
figures are medians, and ratios are medians of the rounds' ratios. Initialisation is timed for dlcore and for JAX by
hand, whose run holds it, and for nobody else. A system that is not installed is left out. Give the machine nothing
else to do: the load before and after each part is printed with it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from experiments.bench.peers.parts import PARTS
from experiments.bench.peers.problem import write_problems
from experiments.bench.peers.registry import SYSTEMS

PACKAGES = ("jax", "flax", "equinox", "keras", "torch")


def main() -> None:
    """Runs each part in a process of its own, so that none sees the threads, caches and memory of another."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--part", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)  # given to the processes of the parts
    options = parser.parse_args()
    if options.data:
        for part in options.part:
            PARTS[part](options.data, options.systems, options.rounds)
        return
    print(f"{os.cpu_count()} cores; " + ", ".join(f"{name} {_version(name)}" for name in PACKAGES))
    with tempfile.TemporaryDirectory() as folder:
        write_problems(Path(folder))
        for part in options.part:
            print(f"\n{part}: load {os.getloadavg()[0]:.2f} before", flush=True)
            command = [sys.executable, __file__, "--part", part, "--data", folder, "--rounds", str(options.rounds)]
            subprocess.run([*command, "--systems", *options.systems], check=True)
            print(f"{part}: load {os.getloadavg()[0]:.2f} after", flush=True)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    main()
