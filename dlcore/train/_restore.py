"""The weights of all lanes out of a snapshot, in the places that a fleet has for them."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.train._fleet import Fleet, Shards
from dlcore.train._lanes import map_lanes
from dlcore.train._loss_scale import LossScale
from dlcore.train._objective import build_optimizer
from dlcore.train._setup import Setup
from dlcore.train._snapshot import unflatten


def restored(
    arrays: Mapping[str, np.ndarray], keys: Any, hparams: Mapping[str, Any], fleet: Fleet, setup: Setup, where: str
) -> tuple[Shards, Shards | None]:
    """Returns the carries and the best weights that a snapshot holds; an optimizer's state that is missing starts anew.

    Args:
      arrays: of the snapshot, by name.
      keys: those of the lanes.
      hparams: those of the lanes.
      fleet: what is to train on.
      setup: what is trained.
      where: the snapshot, in messages.

    Raises:
      CheckpointError: lists the leaves that are missing, extra, or of another shape or type.
    """
    init = fleet.programs.init
    like = jax.eval_shape(lambda: init((keys, hparams), None, None, inputs=setup.shapes))
    has_optimizer = any(name.startswith("carry/opt_state/") for name in arrays)
    told = {name: array for name, array in arrays.items() if not name.startswith(("carry/hparams/", "carry/key"))}
    # Another precision than before: the scale of the loss starts anew, or is needed no more.
    extra, has_extra = like.extra, any(name.startswith("carry/extra/") for name in arrays)
    if extra is None:
        told = {name: array for name, array in told.items() if not name.startswith("carry/extra/")}
    like = like.replace(hparams=None, key=None, opt_state=like.opt_state if has_optimizer else None)
    part = unflatten(like.replace(extra=extra if has_extra else None), told, "carry", where)
    if extra is not None and not has_extra:
        first = jax.tree.map(lambda leaf, own: jnp.broadcast_to(leaf, own.shape), LossScale.first(), extra)
        part = part.replace(extra=first)
    if not has_optimizer:
        start = lambda own: build_optimizer(setup.optimizer, own[0]).init(own[1])
        part = part.replace(opt_state=map_lanes(start, fleet.lanes and "loop")((hparams, part.params)))
    carries = fleet.keep(fleet.split(part.replace(key=keys, hparams=hparams)))
    if not any(name.startswith("best/") for name in arrays):
        return carries, None
    return carries, fleet.split(unflatten((like.params, like.state), told, "best", where))
