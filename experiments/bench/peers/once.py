"""One system in a process of its own: `python -m experiments.bench.peers.once FOLDER PROBLEM SYSTEM STEPS`.

Trains for so many steps (0 for the whole problem), then prints `peak` and the most memory that the
process has held, in MiB.
"""

import resource
import sys
from pathlib import Path

from experiments.bench.peers.problem import read_problem
from experiments.bench.peers.registry import load


def _peak_kib() -> float:
    """The most that this process has held; what `getrusage` tells on Linux begins with the peak of its parent."""
    status = Path("/proc/self/status")
    if status.exists():
        return float(status.read_text().split("VmHWM:")[1].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "darwin" else 1)


if __name__ == "__main__":
    folder, problem, system, steps = sys.argv[1:]
    task = read_problem(Path(folder), problem)
    trainer = load(system)(task.short(int(steps)) if int(steps) else task)
    trainer.reset(0)
    trainer.train()
    print(f"peak {_peak_kib() / 1024}", flush=True)
