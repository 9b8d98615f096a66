"""What `fit` and `make_run` share: their arguments, resolved and checked before anything is compiled."""

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from dlcore import losses
from dlcore import metrics as measures
from dlcore.core import Layer
from dlcore.errors import suggest, suggest_arguments
from dlcore.optim import adam
from dlcore.recipe import recipe_of
from dlcore.scale import Layout, as_layout
from dlcore.train._accumulate import check_accumulate
from dlcore.train._augmented import augmented
from dlcore.train._hparams import (
    check_builders,
    is_builder,
    split_hparams,
    split_optimizer,
    with_structure,
)
from dlcore.train._inputs import Inputs, Shapes, as_inputs, rows_of
from dlcore.train._mesh import on_mesh
from dlcore.train._objective import supervised
from dlcore.train._precision import as_dtype, in_dtype
from dlcore.train._step import gradient_step
from dlcore.train._trace import trace


class Setup(NamedTuple):
    """A training run, ready to be compiled."""

    model: Any
    objective: Any
    optimizer: Any
    step: Any
    batch_size: int
    inputs: Inputs
    shapes: Shapes  # of the model's inputs, a tuple
    hparams: dict[str, Any]  # numbers, which are traced
    structure: dict[str, Any]  # what the programs are compiled for
    total: int | None  # steps; None runs until the data ends
    measured: tuple[str, ...]  # names of the objective's metrics
    layout: Layout | None = None  # on a mesh of devices
    scaled: bool = False  # whether the loss is, for float16


@suggest_arguments
def prepare(
    model: Any,
    data: Any,
    *,
    loss: Any = None,
    metrics: Any = None,
    objective: Any = None,
    optimizer: Any = None,
    step: Any = None,
    augment: Any = None,
    epochs: float | None = None,
    steps: int | None = None,
    batch_size: int = 64,
    hparams: Mapping[str, Any] | None = None,
    mesh: Any = None,
    policy: str | None = None,
    accumulate: int = 1,
) -> Setup:
    """Resolves the arguments of `fit`; see there."""
    if not isinstance(model, Layer) and not is_builder(model):
        raise TypeError(f"model: expected a layer, or a function of the hyperparameters, found {model!r}{_hint(model)}")
    if objective is not None and (loss is not None or metrics is not None):
        raise ValueError("objective: it stands in place of loss and metrics; give either it or them")
    for name, function in (("loss", loss), ("objective", objective), ("step", step), ("augment", augment)):
        if function is not None and (not callable(function) or isinstance(function, Layer)):
            raise TypeError(f"{name}: expected a function, found {function!r}")
    if getattr(augment, "is_recipe", False):
        raise TypeError(f"augment: expected an augmentation, found the factory of one{_hint(augment)}")
    dtype = as_dtype(policy)
    if dtype is not None and (own := "step" if step is not None else "objective" if objective is not None else None):
        repair = "computes in it as well: wrap the model there in `dl.layers.cast`"
        raise ValueError(f"policy: it is for a model with a loss, and whether {own!r} {repair}")
    inputs = as_inputs(data, batch_size)
    check_accumulate(accumulate, inputs.batch)
    if accumulate != 1 and step is not None:
        repair = "give `loss` or `objective`, or `step=gradient_step(objective, optimizer, accumulate=...)`"
        raise ValueError(f"accumulate: a step of your own has to cut its batch by itself; {repair}")
    if optimizer is not None and not hasattr(optimizer, "update") and not is_builder(optimizer):
        wanted = "an optax optimizer or a function of hparams"
        raise TypeError(f"optimizer: expected {wanted}, found {optimizer!r}{_hint(optimizer)}")
    build, numbers = split_optimizer(adam() if optimizer is None else optimizer)
    values, structure = split_hparams(hparams or {}, numbers)
    model, build, loss, objective, augment = (
        with_structure(thing, structure) if structure and is_builder(thing) else thing  # pyright: ignore
        for thing in (model, build, loss, objective, augment)
    )
    model = model if dtype is None else in_dtype(model, dtype)
    check_builders(values, [thing for thing in (model, build, loss, objective, augment) if is_builder(thing)])
    if objective is None and step is not None and loss is None and metrics is None:
        inputs = inputs._replace(splits={})  # a step of one's own says nothing of how to evaluate
    elif objective is None:
        classification = _is_classification(inputs)
        loss = loss or (losses.cross_entropy if classification else losses.mse)
        if metrics is None:
            metrics = (measures.accuracy,) if classification and _is_cross_entropy(loss) else ()
        objective = supervised(model, loss, _fixed(metrics))
    has_x = isinstance(inputs.batch, Mapping) and "x" in inputs.batch
    shapes = Shapes.of((inputs.batch["x"] if has_x else inputs.batch,))  # a batch without "x" goes to the model whole
    classes = len(inputs.dataset.classes) if inputs.dataset is not None else 0
    names = tuple(sorted(values))
    batch = Shapes.of(inputs.batch)
    traced = trace(model, objective, build, augment, shapes, batch, names, classes, step is None, accumulate)
    if step is None and (unread := [name for name in hparams or {} if name not in traced.read]):
        raise ValueError(f"hparams: nothing reads {unread[0]!r}{suggest(unread[0], traced.read)}")
    total = _total(epochs, steps, inputs)
    scaled = dtype == jnp.float16
    step = step or gradient_step(objective, build, accumulate, scaled)  # pyright: ignore[reportArgumentType]
    step = step if augment is None else augmented(step, augment)
    laid = None if mesh is None else as_layout(mesh)
    if laid is not None:
        laid.check_batch_size(rows_of(inputs, batch_size))
        step = on_mesh(step, laid)
    return Setup(
        model,
        objective,
        build,
        step,
        batch_size,
        inputs,
        shapes,
        values,
        structure,
        total,
        traced.measured,
        laid,
        scaled,
    )


# What `prepare` takes, by name, with the defaults.
PREPARED = {name: parameter.default for name, parameter in inspect.signature(prepare).parameters.items()}


def _is_classification(inputs: Inputs) -> bool:
    if inputs.dataset is not None:
        return inputs.dataset.task == "classification"
    targets = inputs.batch.get("y") if isinstance(inputs.batch, Mapping) else None
    if targets is None:
        raise ValueError("data: batches have no 'y', so there is no loss to choose: give `objective` or `step`")
    return jnp.issubdtype(targets.dtype, jnp.integer)


def _is_cross_entropy(loss: Any) -> bool:
    made = recipe_of(loss)
    return loss is losses.cross_entropy or (
        made is not None and made.bound.arguments.get("loss") is losses.cross_entropy
    )


def _fixed(metrics: Any) -> Any:
    # One form for each: lists of the same metrics are the same metrics.
    several = isinstance(metrics, tuple | list | Mapping)
    fixed = dict(metrics) if isinstance(metrics, Mapping) else tuple(metrics if several else (metrics,))
    if odd := [one for one in (fixed.values() if isinstance(fixed, dict) else fixed) if not callable(one)]:
        raise TypeError(f"metrics: expected functions (predictions, targets) -> array, found {odd[0]!r}")
    return fixed


def _hint(thing: Any) -> str:
    return f"; call it: {thing.__name__}(...)" if getattr(thing, "is_recipe", False) else ""


def _total(epochs: float | None, steps: int | None, inputs: Inputs) -> int | None:
    if epochs is not None and steps is not None:
        raise ValueError(f"epochs, steps: give one of them, found {epochs} and {steps}")
    for name, value in (("epochs", epochs), ("steps", steps)):
        if value is not None and not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name}: expected a positive number, found {value}")
    if steps is not None:
        if int(steps) != steps:
            raise ValueError(f"steps: expected a whole number, found {steps}")
        return int(steps)
    if inputs.steps_per_epoch is None:
        if epochs is not None or inputs.stream is None:
            raise ValueError("epochs: only data of a known size have epochs; give `steps`")
        return None
    return max(1, round((20 if epochs is None else epochs) * inputs.steps_per_epoch))
