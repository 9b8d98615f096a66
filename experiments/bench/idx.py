"""Time of reading images of MNIST's size beside NumPy, which checks nothing.

`python experiments/bench/idx.py` writes 60,000 images of 28 x 28 bytes, plain and compressed, and reads them in turn; a
ratio is the median over the rounds. Give the machine nothing else to do.
"""

import gzip
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dlcore.data import read_idx, write_idx

ROUNDS, REQUIRED = 9, 1.2


def by_numpy(path: Path) -> np.ndarray:
    """The bytes behind a header of known length."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return np.frombuffer(content, np.uint8, offset=16).reshape(60_000, 28, 28)


def seconds(read: Callable[[Path], np.ndarray], path: Path) -> float:
    """How long it takes, to the last byte."""
    began = time.perf_counter()
    int(read(path)[:, 0, 0].sum())
    return time.perf_counter() - began


def main() -> None:
    """Times both, and prints the table."""
    images = np.random.default_rng(0).integers(0, 256, (60_000, 28, 28), np.uint8)
    images[:, :8] = 0  # as compressible as pictures of digits are, about
    print("| 60,000 images | dlcore, ms | NumPy, ms | ratio | required |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        plain, packed = Path(folder, "images-idx3-ubyte"), Path(folder, "images-idx3-ubyte.gz")
        write_idx(plain, images)
        packed.write_bytes(gzip.compress(plain.read_bytes(), 1))
        for path in (plain, packed):
            assert (read_idx(path) == by_numpy(path)).all()
            pairs = [(seconds(read_idx, path), seconds(by_numpy, path)) for _ in range(ROUNDS)]
            ours, theirs = (statistics.median(took) * 1e3 for took in zip(*pairs, strict=True))
            ratio = statistics.median(a / b for a, b in pairs)
            print(f"| {path.suffix or 'plain'} | {ours:.1f} | {theirs:.1f} | {ratio:.2f} | {REQUIRED} |")


if __name__ == "__main__":
    main()
