"""The three problems, and what a system that solves them looks like."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

WIDTH, HEADS, LENGTH, VOCABULARY, EPSILON = 128, 4, 64, 256, 1e-5  # of the Transformer


@dataclass(frozen=True)
class Problem:
    """Data, and how long to train on them with Adam at 1e-3; every array fits its batches without a remainder.

    Networks, float32, biases from zero, cross-entropy of integer labels:
      mlp: 64-128-128-10 with ReLU; He's truncated normal, LeCun's on top.
      lenet: LeNet-5 with ReLU and max pooling on 28 x 28 x 1; the same initializers.
      transformer: embedding and learned positions (normal, .02), `depth` blocks `x + attention(norm(x))`,
        `x + dense(gelu(dense(norm(x))))` with four times the width, a norm and a dense layer on top; causal, 4 heads,
        tanh GELU; Glorot's uniform in attention, LeCun's truncated normal elsewhere.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray
    batch_size: int
    epochs: int
    depth: int = 4
    rate: float = 1e-3

    @property
    def steps(self) -> int:
        """How many updates a run makes."""
        return self.epochs * (len(self.x) // self.batch_size)

    def short(self, steps: int) -> "Problem":
        """The same network, for one epoch of so many steps."""
        rows = steps * self.batch_size
        return replace(self, x=self.x[:rows], y=self.y[:rows], epochs=1)


class System(Protocol):
    """One way to train. `reset` and `accuracy` are not timed; `train` blocks until the last update is there."""

    def __init__(self, problem: Problem): ...

    def reset(self, seed: int) -> None:
        """Makes ready for a run of its own: fresh parameters, a fresh optimizer."""

    def train(self) -> None:
        """The whole run."""

    def accuracy(self) -> float:
        """The share of test labels that the last run gets right."""
        ...


def write_problems(folder: Path) -> None:
    """Writes the problems, so that processes which time their start need no library to read them."""
    import jax

    import dlcore as dl

    digits = dl.data.digits()
    train, test = digits.train, digits.test
    if test is None:
        raise ValueError("digits: expected a test split, found none")
    rows = len(train["x"]) // 64 * 64
    large = lambda x: np.asarray(jax.image.resize(x, (len(x), 28, 28, 1), "linear"))
    flat = lambda x: x.reshape(len(x), -1)
    labels = (train["y"][:rows].astype(np.int32), test["y"].astype(np.int32))
    _write(folder, "mlp", flat(train["x"][:rows]), flat(test["x"]), *labels, 64, 20)
    _write(folder, "lenet", large(train["x"][:rows]), large(test["x"]), *labels, 64, 5)

    corpus = dl.data.pydoc()
    (x, y), (test_x, test_y) = _windows(corpus.train, 20 * 32), _windows(corpus.validation, 4 * 32)
    _write(folder, "transformer", x, test_x, y, test_y, 32, 1)


def read_problem(folder: Path, name: str) -> Problem:
    """Reads what `write_problems` wrote."""
    with np.load(folder / f"{name}.npz") as arrays:
        x, test_x, y, test_y = (arrays[key] for key in ("x", "test_x", "y", "test_y"))
        batch_size, epochs = (int(n) for n in arrays["sizes"])
    return Problem(name, x, y, test_x, test_y, batch_size, epochs)


def _windows(text: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows of bytes that lie spread over a text, and the bytes that follow."""
    tokens = np.frombuffer(text.encode(), np.uint8).astype(np.int32)
    starts = np.linspace(0, len(tokens) - LENGTH - 1, count).astype(int)
    read = tokens[starts[:, None] + np.arange(LENGTH + 1)]
    return np.ascontiguousarray(read[:, :-1]), np.ascontiguousarray(read[:, 1:])


def _write(folder: Path, name: str, x: Any, test_x: Any, y: Any, test_y: Any, batch_size: int, epochs: int) -> None:
    np.savez(folder / f"{name}.npz", x=x, test_x=test_x, y=y, test_y=test_y, sizes=(batch_size, epochs))
