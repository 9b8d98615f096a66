"""dlcore: `fit`, and `sweep` for lanes. Initialisation is inside what is timed."""

from typing import Any

import jax
import numpy as np

import dlcore as dl
from experiments.bench.peers.problem import EPSILON, HEADS, LENGTH, VOCABULARY, WIDTH, Problem


class System:
    def __init__(self, problem: Problem):
        self.problem, self.model, self.seed = problem, network(problem), 0
        self.run: Any = None
        self.options: dict[str, Any] = {
            "loss": dl.losses.cross_entropy,
            "metrics": (),
            "optimizer": dl.optim.adam(problem.rate),
            "steps": problem.steps,
            "batch_size": problem.batch_size,
            "progress": False,
        }

    def reset(self, seed: int) -> None:
        self.seed = seed

    def train(self) -> None:
        data = (self.problem.x, self.problem.y)
        self.run = dl.fit(self.model, data, key=self.seed, **self.options)
        jax.block_until_ready(self.run.params)

    def accuracy(self) -> float:
        return float((np.asarray(self.run.predict(self.problem.test_x)).argmax(-1) == self.problem.test_y).mean())

    def sweep(self, lanes: int) -> None:
        """So many runs as one program."""
        problem = self.problem
        data, space = (problem.x, problem.y), {"learning_rate": [problem.rate]}
        dl.sweep(self.model, data, space=space, seeds=lanes, **self.options)


def network(problem: Problem) -> Any:
    """The network of a problem, from layers."""
    if problem.name == "mlp":
        return dl.models.mlp((128, 128), classes=10)
    if problem.name == "lenet":
        return dl.models.lenet5(10)
    feed = dl.serial(dl.dense(4 * WIDTH), jax.nn.gelu, dl.dense(WIDTH))
    attention = dl.layers.multi_head_attention(HEADS, causal=True)
    norm = dl.layers.layer_norm(epsilon=EPSILON)
    block = dl.serial(
        attention=dl.residual(dl.serial(norm=norm, attention=attention)),
        feed=dl.residual(dl.serial(norm=norm, feed=feed)),
    )
    return dl.serial(
        embed=dl.layers.embed(VOCABULARY, WIDTH),
        positions=dl.layers.learned_positions(LENGTH),
        blocks=dl.layers.repeat(problem.depth, block),
        norm=norm,
        out=dl.dense(VOCABULARY),
    )
