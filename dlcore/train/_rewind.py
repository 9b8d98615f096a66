"""Back to the last step at which everything was finite.

Checking every step before it is taken costs a half on CPU (MLPs of 128 to 2048 units: 1.5 to 1.6 times at batch 64, 1.3
at batch 256), because nothing can be fused across the check. So a run is checked chunk by chunk: the host keeps a copy
of what went in, and where a chunk did not stay finite, it finds the step by bisection, with the very program that ran.
Where that copy would be too large, every step is checked. (A number that is infinite for a few steps and finite again
at the end of the chunk is noticed only by the check of each step.)
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.train._chunk import Log
from dlcore.train._state import TrainState

SMALL = 2**30  # bytes of params, state and optimizer up to which a copy is kept


def is_small(carry: TrainState) -> bool:
    """Whether a run is checked chunk by chunk, and not step by step."""
    leaves = jax.tree.leaves((carry.params, carry.state, carry.opt_state))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in leaves) <= SMALL


def keep(carry: TrainState) -> TrainState:
    """Returns a copy: the chunk donates what it is given."""
    return mend(np.ones(carry.step.shape, bool), carry, carry)  # the program of a repair: which then compiles nothing


@jax.jit
def mend(lanes: Any, new: Any, old: Any) -> Any:
    """Returns a copy of `old` with the lanes that are marked taken from `new`."""
    return jax.tree.map(lambda new, old: where_lanes(lanes, new, old), new, old)


def rewind(run: Callable[..., Any], kept: TrainState, k: np.ndarray, log: Log) -> tuple[TrainState, Log]:
    """Returns the carry and the log of a chunk up to, lane by lane, the last step after which all was finite.

    Args:
      run: `(carry, k) -> (carry, Log)`, the program that ran, which donates the carry; k (lanes,).
      kept: what went into it.
      k: how many steps each lane was to run.
      log: what it measured; lanes that were finite come out as they were.
    """
    finite, done = log.finite, log.done
    # Everything is finite after `good` steps, and not after `bad`.
    good, bad = np.where(finite, k, 0), np.where(finite, k + 1, done)
    while np.any(bad - good > 1):
        middle = np.where(bad - good > 1, (good + bad) // 2, good).astype(np.int32)
        fine = run(keep(kept), middle)[1].finite
        good, bad = np.where(fine, np.maximum(good, middle), good), np.where(fine, bad, np.minimum(bad, middle))
    carry, found = run(keep(kept), good.astype(np.int32))
    return carry, found._replace(finite=finite)


def where_lanes(lanes: Any, new: Any, old: Any) -> Any:
    """Returns `new` in the lanes that are marked and `old` in the others; a lone run is marked by one bool."""
    return jnp.where(jnp.reshape(lanes, jnp.shape(lanes) + (1,) * (new.ndim - jnp.ndim(lanes))), new, old)
