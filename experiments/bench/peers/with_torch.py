"""PyTorch: the usual training loop, eager, and with its forward pass and loss under `torch.compile`.

In runs of more than a few steps it gets as many threads as it is fastest with, one or all: small steps, and machines
that are not idle, lose much to threads that wait for each other.
"""

import math
import os
import time
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from experiments.bench.peers.problem import EPSILON, HEADS, LENGTH, VOCABULARY, WIDTH, Problem

SHORT = 10  # steps
device = "cuda" if torch.cuda.is_available() else "cpu"


class System:
    is_compiled = False

    def __init__(self, problem: Problem):
        self.problem, self.name = problem, problem.name
        self.net = {"mlp": mlp, "lenet": lenet, "transformer": Transformer}[problem.name](problem.depth).to(device)
        self.x, self.y, self.test_x, self.test_y = (
            torch.tensor(array, device=device) for array in (problem.x, problem.y, problem.test_x, problem.test_y)
        )
        if problem.name == "lenet":
            self.x, self.test_x = (x.permute(0, 3, 1, 2).contiguous() for x in (self.x, self.test_x))
        self.y, self.test_y = self.y.long(), self.test_y.long()
        self.adam: Any = None

        def loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return functional.cross_entropy(self.net(x).flatten(0, -2), y.flatten())

        self.loss = loss
        # Not where the start or the memory of a process is measured: the trials would count.
        self.threads = self._fastest() if problem.steps > SHORT else torch.get_num_threads()
        torch.set_num_threads(self.threads)  # `torch.compile` writes the number into its programs
        self.note = f"{self.threads} thread{'s' * (self.threads > 1)}"
        self.loss = torch.compile(loss) if self.is_compiled else loss

    @torch.no_grad()
    def reset(self, seed: int) -> None:
        torch.manual_seed(seed)
        for module in self.net.modules():
            redraw(module)
        self.adam = torch.optim.Adam(self.net.parameters(), self.problem.rate)

    def train(self) -> None:
        torch.set_num_threads(self.threads)
        for _ in range(self.problem.epochs):
            for rows in torch.randperm(len(self.x), device=device).split(self.problem.batch_size):
                self._step(rows)
        if device == "cuda":
            torch.cuda.synchronize()

    def _step(self, rows: torch.Tensor) -> None:
        self.adam.zero_grad()
        self.loss(self.x[rows], self.y[rows]).backward()
        self.adam.step()

    def _fastest(self) -> int:
        """The number of threads, one or all, that makes two steps in the least time; the first ones do not count."""
        least: dict[int, float] = {}
        self.reset(0)
        for threads in (1, os.cpu_count() or 1) * 3:
            torch.set_num_threads(threads)
            began = time.perf_counter()
            for _ in range(2):
                self._step(torch.arange(self.problem.batch_size, device=device))
            took = time.perf_counter() - began
            least[threads] = min(took, least[threads]) if threads in least else math.inf
        return min(least, key=lambda threads: least[threads])

    @torch.no_grad()
    def accuracy(self) -> float:
        return (self.net(self.test_x).argmax(-1) == self.test_y).float().mean().item()


class Compiled(System):
    is_compiled = True


class He(nn.Linear):
    """A dense layer before a ReLU."""


class Glorot(nn.Linear):
    """Projections of attention, `parts` side by side."""

    def __init__(self, parts: int):
        super().__init__(WIDTH, parts * WIDTH)


def redraw(module: nn.Module) -> None:
    """Draws a layer's weights as the problems say."""
    if isinstance(module, Glorot):
        limit = math.sqrt(6 / (2 * WIDTH))
        nn.init.uniform_(module.weight, -limit, limit)
    elif isinstance(module, nn.Linear | nn.Conv2d):
        gain = 2 if isinstance(module, He | nn.Conv2d) else 1
        deviation = (
            math.sqrt(gain / module.weight[0].numel()) / 0.87962566103423978
        )  # that of the cut normal is smaller
        nn.init.trunc_normal_(module.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
    if isinstance(module, nn.Linear | nn.Conv2d) and module.bias is not None:
        nn.init.zeros_(module.bias)
    if isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.LayerNorm):
        module.reset_parameters()


def mlp(depth: int) -> nn.Module:
    return nn.Sequential(He(64, 128), nn.ReLU(), He(128, 128), nn.ReLU(), nn.Linear(128, 10))


def lenet(depth: int) -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(He(400, 120), nn.ReLU(), He(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.norm_2 = nn.LayerNorm(WIDTH, EPSILON), nn.LayerNorm(WIDTH, EPSILON)
        self.projections, self.attended = Glorot(3), Glorot(1)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, _ = x.shape
        parts = self.projections(self.norm(x)).view(batch, length, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        h = functional.scaled_dot_product_attention(*parts.unbind(0), is_causal=True)
        x = x + self.attended(h.transpose(1, 2).reshape(batch, length, WIDTH))
        return x + self.down(functional.gelu(self.up(self.norm_2(x)), approximate="tanh"))


class Transformer(nn.Module):
    def __init__(self, depth: int):
        super().__init__()
        self.embed, self.positions = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(depth)))
        self.norm, self.out = nn.LayerNorm(WIDTH, EPSILON), nn.Linear(WIDTH, VOCABULARY)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.out(self.norm(self.blocks(self.embed(tokens) + self.positions.weight)))
