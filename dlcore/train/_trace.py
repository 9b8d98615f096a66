"""One abstract pass over a run: finds in milliseconds what does not fit, before any compiler runs."""

import functools
from typing import Any, NamedTuple

import jax

from dlcore.checks import shapes_of
from dlcore.train._accumulate import cut_rows
from dlcore.train._hparams import Recorder, as_arrays
from dlcore.train._inputs import Shapes
from dlcore.train._objective import build_function, build_layer, build_optimizer


class Traced(NamedTuple):
    """What a run was seen to do.

    Attributes:
      measured: names of the objective's metrics.
      read: names of the hyperparameters that something reads.
    """

    measured: tuple[str, ...]
    read: frozenset[str]


@functools.lru_cache(maxsize=32)
def trace(
    model: Any,
    objective: Any,
    optimizer: Any,
    augment: Any,
    inputs: Shapes,
    batch: Shapes,
    names: tuple[str, ...],
    classes: int,
    updates: bool,
    accumulate: int,
) -> Traced:
    """Finds in milliseconds what does not fit, by one abstract pass over everything, before any compiler runs."""
    measured, read = [], set()

    def run(key: Any, values: Any, batch: Any) -> Any:
        hparams = Recorder(values)
        layer = build_layer(model, hparams)
        check_classes(classes, layer.plan(*inputs.tree).output)
        params, state = layer.init(key, *inputs.tree)
        transform = build_optimizer(optimizer, hparams)
        opt_state = transform.init(params)
        if augment is not None:
            batch = build_function(augment, hparams)(key, batch)
        if accumulate > 1:
            batch = jax.tree.map(lambda leaf: leaf[0], cut_rows(batch, accumulate))
        if objective is not None:
            function = build_function(objective, hparams)
            loss, (_, metrics) = function(params, state, batch, key=key, train=True, hparams=hparams)
            measured.extend(metrics)
        if updates and not hparams.names.issuperset(names):  # a schedule may read one as late as this
            transform.update(params, opt_state, params)
        read.update(hparams.names)

    hparams = shapes_of(as_arrays(dict.fromkeys(names, 0.5)))
    jax.eval_shape(run, jax.eval_shape(lambda: jax.random.key(0)), hparams, batch.tree)
    return Traced(tuple(measured), frozenset(read))


def check_classes(classes: int, output: Any) -> None:
    """Refuses labels that the model has no output for; compiled code would give NaN."""
    if hasattr(output, "shape") and classes > output.shape[-1]:
        raise ValueError(
            f"labels: the data have {classes} classes (labels up to {classes - 1}) and the model {output.shape[-1]} "
            f"outputs; give it {classes}"
        )
