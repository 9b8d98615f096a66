"""A run over a mesh of devices: the program of one device, with arrays that lie on many."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from dlcore.recipe import recipe
from dlcore.scale import Layout
from dlcore.scale._processes import each, highest, put, to_host
from dlcore.train._fleet import Fleet, Shards
from dlcore.train._keys import key_impl, plain_leaf, typed_leaf
from dlcore.train._program import Program
from dlcore.train._state import TrainState

__all__ = ["MeshFleet", "on_mesh"]


@recipe
def on_mesh(step: Callable[..., Any], layout: Layout) -> Any:
    """A step whose batch is cut over the devices of a mesh, and whose results lie as the layout says.

    `fit(mesh=...)` calls this. Nothing else of the step changes: sums over devices are the compiler's.

    Args:
      step: `(carry, batch) -> (carry, metrics)`.
      layout: see `dlcore.scale.layout`.

    Returns:
      A step.

    Example:
      >>> from dlcore import layers, losses, optim, scale
      >>> from dlcore.train import gradient_step, supervised
      >>> on_mesh(gradient_step(supervised(layers.dense(1), losses.mse), optim.sgd(0.1)), scale.layout({"data": 1}))
      on_mesh(gradient_step(supervised(dense(1), mse), sgd(learning_rate=0.1)), layout({'data': 1}))
    """

    def cut(carry: TrainState, batch: Any) -> tuple[TrainState, dict[str, Any]]:
        with layout.tracing():
            after, metrics = step(carry, layout.constrain_batch(batch))
        # Said again at the end, or the loop around the step might carry them in another way.
        return jax.lax.with_sharding_constraint(after, layout.shardings(after)), metrics

    return cut


class MeshFleet(Fleet):
    """The one lane of a run over a mesh, of the devices of one process or of several."""

    def __init__(self, programs: Program, layout: Layout):
        super().__init__(programs, None, 1)
        self.layout = layout

    def share(self, tree: Any) -> Shards:
        """Gives every device all of the data, of which it takes the rows of its part of a batch."""
        if not self.layout.is_shared:
            return [jax.device_put(tree, self.layout.replicated)]
        return [jax.tree.map(lambda leaf: put(leaf, self.layout.replicated), jax.device_get(tree))]

    def place(self, tree: Any) -> Shards:
        """Puts batches that the host has just read, (stack, rows, ...), where their rows belong.

        Several processes have each read rows of their own, which follow each other in the batch.
        """
        rows = self.layout.sharding((None, "data"))

        def one(leaf: np.ndarray) -> jax.Array:
            if leaf.ndim < 2:
                return put(leaf, self.layout.replicated)
            return jax.make_array_from_process_local_data(rows, leaf)

        return [jax.tree.map(one, tree)]

    def split(self, tree: Any) -> Shards:
        """Lays a tree out."""
        if not self.layout.is_shared:
            return [jax.device_put(tree, self.layout.shardings(tree))]
        host = jax.device_get(jax.tree.map(plain_leaf, tree))
        placed = jax.tree.map(put, host, self.layout.shardings(host))
        return [jax.tree.map(typed_leaf, placed, jax.tree.map(key_impl, tree))]

    def join(self, shards: Shards) -> Any:
        """Returns the tree; where other processes hold a part of it, all of it on the first device of this one."""
        if not self.layout.is_shared:
            return shards[0]
        return jax.tree.map(typed_leaf, jax.device_put(self.fetch(shards)), jax.tree.map(key_impl, shards[0]))

    def fetch(self, shards: Shards) -> Any:
        """Returns the tree as whole NumPy arrays, in every process."""
        return to_host(jax.tree.map(plain_leaf, shards[0]))

    def agree(self, numbers: Sequence[int]) -> list[int]:
        """Returns the highest of all processes' numbers: they are to save, and to stop, after the same step."""
        return highest(numbers)

    def cursors(self, name: str, state: np.ndarray | None) -> dict[str, np.ndarray]:
        """Returns where the data of each process stand."""
        if not self.layout.is_shared:
            return super().cursors(name, state)
        found = {self.cursor(name, number): own for number, own in enumerate(each(state))}
        return {name: own for name, own in found.items() if own is not None}

    def init(self, keys: Any, hparams: Any, params: Any, state: Any, inputs: Any) -> Shards:
        """Returns the carry at step 0, of which no device ever holds more than its part."""
        start = lambda own, params, state: self.programs.init(own, params, state, inputs=inputs)
        placed = self.layout.shardings(jax.eval_shape(start, (keys, hparams), params, state))
        return [jax.jit(start, out_shardings=placed)((keys, hparams), params, state)]
