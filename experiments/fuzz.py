"""Gives damaged files to every reader of files from outside; each must be read, or refused in one line, in bounds.

`python experiments/fuzz.py [--inputs 1000000] [--seed 0] [--jobs 2] [--readers NAME ...]` prints a table and exits
with 1 if it found anything. `--replay FILE` gives one input that it found to the reader again. An input depends on
the seed, the reader and its number alone, so that all of it can be repeated in any shares.
"""

import argparse
import contextlib
import gc
import json
import multiprocessing
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from experiments.fuzz_readers import Reader, readers

MOST_SECONDS = 2.0  # of the processor, for one input: the machine may have other things to do
MOST_MEMORY = 192 << 20  # bytes above what the process had before; a million names of classes take 105 MiB
HANGS = 60  # seconds of the clock
SHARE = 20_000  # inputs a process takes at a time
FOUND = Path("runs/fuzz")


class Finding(NamedTuple):
    """An input that a reader does not deal with as it should."""

    reader: str
    seed: int
    number: int
    content: bytes
    problem: str


class Result(NamedTuple):
    """What came of some inputs; the slowest in ms of the processor, memory in bytes above what there was before."""

    reader: str
    inputs: int = 0
    refused: int = 0
    accepted: int = 0
    slowest: float = 0.0
    slowest_number: int = 0
    memory: int = 0
    seconds: float = 0.0
    findings: tuple[Finding, ...] = ()

    def __add__(self, other: Any) -> "Result":
        slower = max(self, other, key=lambda one: one.slowest)
        return Result(
            self.reader,
            self.inputs + other.inputs,
            self.refused + other.refused,
            self.accepted + other.accepted,
            slower.slowest,
            slower.slowest_number,
            max(self.memory, other.memory),
            self.seconds + other.seconds,
            self.findings + other.findings,
        )


class Hang(BaseException):
    """Not an Exception, which a reader may turn into one of its own."""


def make_input(reader: Reader, seed: int, number: int) -> bytes:
    """Returns an input; the first are the valid files as they are."""
    if number < len(reader.valid):
        return reader.whole(reader.valid[number])
    rng = random.Random(f"{seed}/{reader.name}/{number}")
    return reader.damage(rng, rng.choice(reader.valid), reader.valid)


def fuzz(reader: Reader, inputs: int, seed: int = 0, start: int = 0) -> Result:
    """Gives the inputs from number `start` on to a reader; at most ten findings, and the first of each problem."""
    found, refused, accepted, slowest, memory, began = {}, 0, 0, (0.0, start), 0, time.process_time()
    with _workplace(reader) as folder:
        for number in range(start, start + inputs):
            content = make_input(reader, seed, number)
            outcome, problem, seconds, peak = try_input(reader, folder, content)
            if not problem and outcome != "accepted" and number < len(reader.valid):
                problem = f"refuses a valid file: {outcome}"
            refused, accepted = refused + (outcome != "accepted"), accepted + (outcome == "accepted")
            slowest, memory = max(slowest, (seconds, -number)), max(memory, peak)
            if problem and len(found) < 10:
                found.setdefault(problem[:60], Finding(reader.name, seed, number, content, problem))
    seconds, findings = time.process_time() - began, tuple(found.values())
    milliseconds, number = 1000 * slowest[0], abs(slowest[1])
    return Result(reader.name, inputs, refused, accepted, milliseconds, number, memory, seconds, findings)


def try_input(reader: Reader, folder: Path, content: bytes) -> tuple[str, str, float, int]:
    """Returns "accepted" or the sentence of the refusal; what is wrong with that; seconds; bytes of memory."""
    path = folder / reader.file
    path.write_bytes(content)
    _forget_peak()
    before, outcome, problem, start = _peak(), "accepted", "", time.process_time()
    signal.setitimer(signal.ITIMER_REAL, HANGS)
    try:
        reader.call(path)
    except Hang:
        outcome, problem = "hangs", f"takes longer than {HANGS} s"
    except reader.declared as error:
        outcome = str(error)
        problem = _wrong_with(error, folder)
    except Exception as error:
        outcome = f"{type(error).__name__}: {error}"
        place = traceback.extract_tb(error.__traceback__)[-1]
        kind = "gives what is wrong" if isinstance(error, AssertionError) else "lets an error escape"
        problem = f"{kind}: {type(error).__name__} at {Path(place.filename).name}:{place.lineno}: {str(error)[:200]!r}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    seconds, peak = time.process_time() - start, _peak() - before
    if not problem and seconds > MOST_SECONDS:
        problem = f"takes {seconds:.1f} s"
    if not problem and peak > MOST_MEMORY:
        problem = f"takes {peak >> 20} MiB for {len(content)} bytes"
    return outcome, problem, seconds, peak


def _wrong_with(error: Exception, folder: Path) -> str:
    said, cause = str(error).replace(str(folder), "PATH"), error.__context__
    while cause is not None:
        if isinstance(cause, MemoryError):
            return f"asks for more memory than there is: {said[:200]!r}"
        cause = cause.__context__
    if len(said.splitlines()) != 1 or not said.isprintable():
        return f"refuses in more than one line that can be printed: {said[:200]!r}"
    if "PATH" not in said:
        return f"refuses without the path: {said[:200]!r}"
    return f"refuses in {len(said)} characters: {said[:200]!r}" if len(said) > 1000 else ""


@contextlib.contextmanager
def _workplace(reader: Reader) -> Iterator[Path]:
    """A folder in memory where there is one, with warnings as errors, a limit on memory, and an alarm."""

    def ring(*_: object) -> None:
        raise Hang

    shared = "/dev/shm" if Path("/dev/shm").is_dir() else None
    limits, alarm = resource.getrlimit(resource.RLIMIT_AS), signal.signal(signal.SIGALRM, ring)
    folder = Path(tempfile.mkdtemp(prefix="dlcore-fuzz-", dir=shared))
    try:
        (folder / reader.file).parent.mkdir(parents=True, exist_ok=True)
        reader.prepare(folder)
        reader.call(_first(reader, folder))  # what is imported, compiled and kept on the first call is not the input's
        with contextlib.suppress(OSError):
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (1 << 30), limits[1]))
        gc.freeze()  # what earlier work left would be freed within an input, and hide as much as that input takes
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield folder
    finally:
        gc.unfreeze()
        resource.setrlimit(resource.RLIMIT_AS, limits)
        signal.signal(signal.SIGALRM, alarm)
        shutil.rmtree(folder, ignore_errors=True)


def _first(reader: Reader, folder: Path) -> Path:
    (folder / reader.file).write_bytes(reader.whole(reader.valid[0]))
    return folder / reader.file


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _forget_peak() -> None:
    with contextlib.suppress(OSError):  # Linux alone can; elsewhere the table says how far the highest peak rose
        Path("/proc/self/clear_refs").write_text("5")


def _share(job: tuple[str, int, int, int]) -> Result:
    name, inputs, seed, start = job
    return fuzz(readers()[name], inputs, seed, start)


def table(results: dict[str, Result]) -> str:
    """Returns the results, a line a reader."""
    columns = (("inputs", 9), ("refused", 9), ("accepted", 9), ("slowest ms", 12), ("memory MiB", 12), ("inputs/s", 10))
    lines = [f"{'reader':28}" + "".join(f"{name:>{width}}" for name, width in (*columns, ("found", 7)))]
    for one in results.values():
        lines.append(
            f"{one.reader:28}{one.inputs:9}{one.refused:9}{one.accepted:9}{one.slowest:12.1f}{one.memory / 2**20:12.1f}"
            f"{one.inputs / max(one.seconds, 1e-9):10.0f}{len(one.findings):7}"
        )
    total = (sum(getattr(one, name) for one in results.values()) for name in ("inputs", "refused", "accepted"))
    return "\n".join([*lines, f"{'total':28}" + "".join(f"{number:9}" for number in total)])


def write(finding: Finding, folder: Path) -> Path:
    """Writes a finding to a file that `--replay` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{finding.reader.replace(' ', '-').replace(',', '')}-{finding.seed}-{finding.number}.json"
    path.write_text(json.dumps(finding._asdict() | {"content": finding.content.hex()}, indent=1) + "\n")
    return path


def replay(path: Path, known: dict[str, Reader]) -> str:
    """Gives the input of a finding to its reader again; returns the problem, or "" where there is none any more."""
    kept = json.loads(path.read_text())
    reader = known[kept["reader"]]
    with _workplace(reader) as folder:
        outcome, problem, seconds, memory = try_input(reader, folder, bytes.fromhex(kept["content"]))
    print(f"{outcome}\n{1000 * seconds:.1f} ms, {memory / 2**20:.1f} MiB")
    return problem


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="of all readers together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--readers", nargs="+", default=[], help="some of them; all by default")
    parser.add_argument("--out", type=Path, default=FOUND, help="where findings are written to")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="gives the input of a finding to its reader again")
    options = parser.parse_args()
    known = readers()
    if options.replay:
        problem = replay(options.replay, known)
        print(problem or "no problem")
        return int(bool(problem))
    names = options.readers or list(known)
    each = -(-options.inputs // len(names))
    jobs = [(name, min(SHARE, each - at), options.seed, at) for at in range(0, each, SHARE) for name in names]
    results = {name: Result(name) for name in names}
    with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
        for number, result in enumerate(pool.imap_unordered(_share, jobs), 1):
            results[result.reader] += result
            for finding in result.findings:
                print(f"{finding.reader}: {finding.problem}\n  {write(finding, options.out)}", flush=True)
            print(f"{number} of {len(jobs)} shares", file=sys.stderr, flush=True)
    print(table(results))
    return int(any(one.findings for one in results.values()))


if __name__ == "__main__":
    sys.exit(main())
