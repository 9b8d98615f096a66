"""What is measured. Every function prints rows: part, system, figure, accuracy, ratio of dlcore to it, bound."""

import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.bench.peers.problem import read_problem
from experiments.bench.peers.registry import BOUNDS, COMPILED, DEPTH_BOUND, installed

LANES, DEPTHS = 32, (4, 48)


def train(name: str, folder: Path, names: list[str], rounds: int) -> None:
    """Whole runs, each system once a round, in turn; the first round compiles and is not counted."""
    problem = read_problem(folder, name)
    systems = {key: made(problem) for key, made in installed(names).items()}
    seconds: dict[str, list[float]] = {key: [] for key in systems}
    accuracies: dict[str, list[float]] = {key: [] for key in systems}
    for number in range(rounds + 1):
        for key, system in systems.items():
            system.reset(number)
            took = _timed(system.train)
            if number:
                seconds[key].append(took)
                accuracies[key].append(system.accuracy())
    each = {key: [1e3 * one / problem.steps for one in values] for key, values in seconds.items()}
    notes = {key: system.note for key, system in systems.items() if hasattr(system, "note")}
    _rows(f"{name}, a step of {problem.steps}", name, each, "ms", accuracies, notes)


def sweep(folder: Path, names: list[str], rounds: int) -> None:
    """A sweep of the MLP as one program on all cores, against as many runs of each other system, one after another."""
    import dlcore as dl

    dl.use_all_cores()
    problem = read_problem(folder, "mlp")
    systems = {key: made(problem) for key, made in installed(names).items()}
    seconds: dict[str, list[float]] = {key: [] for key in systems}
    for number in range(rounds + 1):
        for key, system in systems.items():
            if key == "dlcore":
                took = _timed(lambda: systems["dlcore"].sweep(LANES))
            else:
                took = 0.0
                for lane in range(LANES if number else 1):
                    system.reset(lane)
                    took += _timed(system.train)
            if number:
                seconds[key].append(took)
    _rows(f"sweep, {LANES} runs of the MLP", "sweep", seconds, "s")


def start(folder: Path, names: list[str], rounds: int) -> None:
    """From the start of the process to the end of the MLP's first step: empty compile caches, and filled ones."""
    there = list(installed(names))
    cold: dict[str, list[float]] = {name: [] for name in there}
    warm: dict[str, list[float]] = {name: [] for name in there}
    for _ in range(rounds):
        for name in there:
            with tempfile.TemporaryDirectory() as cache:
                for seconds in (cold, warm):
                    seconds[name].append(_once(folder, "mlp", name, 1, cache)[0])
    _rows("process start to the first step, cold", "start", cold, "s")
    _rows("process start to the first step, warm compile cache", "start", warm, "s")


def compile_time(folder: Path, names: list[str], rounds: int) -> None:
    """First call less second call of one step of the Transformer, tracing included, 4 blocks deep and 48."""
    os.environ |= {"DLCORE_CACHE": "off", "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}
    import jax

    problem = read_problem(folder, "transformer").short(1)
    print("| part | system | 4 blocks | 48 blocks | 48 over 4 | bound |")
    print("|---|---|---|---|---|---|")
    for name, made in installed([name for name in names if name in COMPILED]).items():
        taken: list[list[float]] = []
        for _ in range(rounds if name == "dlcore" else 1):  # the others unroll, and take a minute
            both = []
            for depth in DEPTHS:
                jax.clear_caches()
                system = made(replace(problem, depth=depth))
                calls = []
                for seed in (0, 1):
                    system.reset(seed)
                    calls.append(_timed(system.train))
                both.append(calls[0] - calls[1])
            taken.append(both)
        low, high = (statistics.median(column) for column in zip(*taken, strict=True))
        ratio = statistics.median(b / a for a, b in taken)
        bound = f"{DEPTH_BOUND}{'' if ratio <= DEPTH_BOUND else ' MISSED'}" if name == "dlcore" else ""
        print(f"| compile | {name} | {low:.2f} s | {high:.2f} s | {ratio:.2f} | {bound} |", flush=True)


def memory(folder: Path, names: list[str], rounds: int) -> None:
    """The most memory that a process holds which trains the MLP, and one that trains the Transformer (8 steps)."""
    there = list(installed(names))
    for problem, steps in (("mlp", 0), ("transformer", 8)):
        peaks = {name: [_once(folder, problem, name, steps)[1] for _ in range(rounds)] for name in there}
        _rows(f"peak memory, {problem}", "memory", peaks, "MiB")


def _once(folder: Path, problem: str, name: str, steps: int, cache: str | None = None) -> tuple[float, float]:
    """Trains in a process; returns the seconds from its start to the end of its last step, and its peak in MiB."""
    with tempfile.TemporaryDirectory() as fresh:
        cache = cache or fresh
        environment = os.environ | {
            "DLCORE_CACHE": cache,
            "JAX_COMPILATION_CACHE_DIR": cache,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            "TORCHINDUCTOR_CACHE_DIR": cache,
        }
        module = "experiments.bench.peers.once"
        command = [sys.executable, "-m", module, str(folder), problem, name, str(steps)]
        began = time.perf_counter()
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            peak = [
                (time.perf_counter() - began, float(line.split()[1]))
                for line in process.stdout or ()
                if line.startswith("peak ")
            ]
    if process.returncode or not peak:
        raise RuntimeError(f"{name}: the process that trains {problem} ended with {process.returncode}")
    return peak[0]


def _timed(call: Callable[[], Any]) -> float:
    gc.collect()
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _rows(
    title: str,
    part: str,
    figures: dict[str, list[float]],
    unit: str,
    accuracies: dict[str, list[float]] | None = None,
    notes: dict[str, str] | None = None,
) -> None:
    """Prints a row for each system: medians, and the median of the rounds' ratios."""
    print("| part | system | median | accuracy | dlcore over it | bound |\n|---|---|---|---|---|---|")
    for name, values in figures.items():
        digits = {"ms": 3, "s": 2, "MiB": 0}[unit]
        cells = [
            title,
            name + (f" ({notes[name]})" if notes and name in notes else ""),
            f"{statistics.median(values):.{digits}f} {unit}",
        ]
        cells.append(f"{statistics.median(accuracies[name]):.4f}" if accuracies else "")
        ratio = bound = ""
        if name != "dlcore" and "dlcore" in figures:
            ratio = statistics.median(a / b for a, b in zip(figures["dlcore"], values, strict=True))
            limit = BOUNDS.get((part, name))
            bound = "" if limit is None else f"{limit}{'' if ratio <= limit else ' MISSED'}"
            ratio = f"{ratio:.3f}"
        print("| " + " | ".join([*cells, ratio, bound]) + " |", flush=True)


PARTS: dict[str, Callable[[Path, list[str], int], None]] = {
    **{name: lambda f, n, r, p=name: train(p, f, n, r) for name in ("mlp", "lenet", "transformer")},
    "sweep": sweep,
    "start": start,
    "compile": compile_time,
    "memory": memory,
}
