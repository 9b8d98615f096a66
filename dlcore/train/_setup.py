"""What `fit` and `make_run` share: their arguments, resolved and checked before anything is compiled."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlcore import losses
from dlcore import metrics as measures
from dlcore.core import Layer, shapes_of
from dlcore.data import Dataset
from dlcore.optim import adam
from dlcore.train._hparams import as_arrays, check_hparams, is_builder, split_optimizer
from dlcore.train._inputs import Inputs, as_inputs
from dlcore.train._objective import build_layer, build_optimizer, gradient_step, supervised


class Setup(NamedTuple):
    """A training run, ready to be compiled."""

    model: Any
    objective: Any
    optimizer: Any
    step: Any
    batch_size: int
    inputs: Inputs
    shapes: tuple[Any, ...]  # of the model's inputs
    hparams: dict[str, Any]
    total: int | None  # steps; None runs until the data ends


def prepare(
    model: Any,
    data: Any,
    *,
    loss: Any = None,
    metrics: Any = None,
    objective: Any = None,
    optimizer: Any = None,
    step: Any = None,
    epochs: float | None = None,
    steps: int | None = None,
    batch_size: int = 64,
    hparams: Mapping[str, Any] | None = None,
) -> Setup:
    """Resolves the arguments of `fit`; see there."""
    if not isinstance(model, Layer) and not is_builder(model):
        hint = f"; call it: {model.__name__}(...)" if getattr(model, "is_recipe", False) else ""
        raise TypeError(f"model: expected a layer, or a function of the hyperparameters, found {model!r}{hint}")
    if objective is not None and (loss is not None or metrics is not None):
        raise ValueError("objective: it stands in place of loss and metrics; give either it or them")
    inputs = as_inputs(data, batch_size)
    if optimizer is not None and not hasattr(optimizer, "update") and not is_builder(optimizer):
        raise TypeError(f"optimizer: expected an optax optimizer or a function of hparams, found {optimizer!r}")
    build, numbers = split_optimizer(adam() if optimizer is None else optimizer)
    builders = [thing for thing in (model, build, loss, objective) if is_builder(thing)]
    values = check_hparams(hparams or {}, numbers, builders, strict=step is None and objective is None)
    if objective is None:
        classification = _is_classification(inputs)
        loss = loss or (losses.cross_entropy if classification else losses.mse)
        if metrics is None:
            metrics = (measures.accuracy,) if classification and loss is losses.cross_entropy else ()
        objective = supervised(model, loss, _fixed(metrics))
    # A batch without "x" goes to the model whole.
    shapes = (inputs.batch["x"],) if isinstance(inputs.batch, Mapping) and "x" in inputs.batch else (inputs.batch,)
    _check_model(build_layer(model, values), shapes, inputs)
    _check_objective(objective, model, build, shapes, inputs, values)
    total = _total(epochs, steps, inputs)
    return Setup(
        model, objective, build, step or gradient_step(objective, build), batch_size, inputs, shapes, values, total
    )


def check_weights(setup: Setup, params: Any, state: Any) -> None:
    """Compares given weights with the model's, leaf by leaf.

    Raises:
      ValueError: lists what is missing, what is extra, and what has another shape or type.
    """
    layer = build_layer(setup.model, setup.hparams)
    plan = layer.plan(*setup.shapes)
    problems = []
    for what, given, wanted in (("params", params, plan.params), ("state", state, plan.state)):
        found, expected = ({jax.tree_util.keystr(k): v for k, v in _leaves(tree)} for tree in (given, wanted))
        problems += [f"{what}{path} is missing" for path in expected if path not in found]
        problems += [f"{what}{path} is not in this model" for path in found if path not in expected]
        problems += [
            f"{what}{path} is {_say(found[path])} and should be {_say(expected[path])}"
            for path in expected
            if path in found and _say(found[path]) != _say(expected[path])
        ]
    if problems:
        raise ValueError(f"params do not fit {layer!r}: " + "; ".join(problems))


def _leaves(tree: Any) -> Any:
    return jax.tree_util.tree_leaves_with_path(shapes_of(tree))


def _say(shape: jax.ShapeDtypeStruct) -> str:
    return f"{shape.shape} {shape.dtype}"


def _is_classification(inputs: Inputs) -> bool:
    if inputs.dataset is not None:
        return inputs.dataset.task == "classification"
    targets = inputs.batch.get("y") if isinstance(inputs.batch, Mapping) else None
    if targets is None:
        raise ValueError("data: batches have no 'y', so there is no loss to choose: give `objective` or `step`")
    return jnp.issubdtype(targets.dtype, jnp.integer)


def _fixed(metrics: Any) -> Any:
    # lists of the same metrics are the same metrics
    return dict(metrics) if isinstance(metrics, Mapping) else tuple(metrics if isinstance(metrics, tuple | list) else (metrics,))


def _check_model(layer: Layer, shapes: tuple[Any, ...], inputs: Inputs) -> None:
    output = layer.plan(*shapes).output
    data: Dataset | None = inputs.dataset
    if data is not None and data.task == "classification" and hasattr(output, "shape"):
        if len(data.classes) > output.shape[-1]:
            raise ValueError(
                f"labels: the data have {len(data.classes)} classes (labels up to {len(data.classes) - 1}) and the "
                f"model {output.shape[-1]} outputs; give it {len(data.classes)}"
            )


def _check_objective(objective: Any, model: Any, optimizer: Any, shapes: Any, inputs: Inputs, values: Any) -> None:
    # Shapes that do not fit are found here, without a compiler: a mismatch costs milliseconds.
    def trace(key: Any, hparams: Any, batch: Any) -> Any:
        params, state = build_layer(model, hparams).init(key, *shapes)
        build_optimizer(optimizer, hparams).init(params)
        return objective(params, state, batch, key=key, train=True, hparams=hparams)[0]

    jax.eval_shape(trace, jax.eval_shape(lambda: jax.random.key(0)), shapes_of(as_arrays(values)), inputs.batch)


def _total(epochs: float | None, steps: int | None, inputs: Inputs) -> int | None:
    if epochs is not None and steps is not None:
        raise ValueError(f"epochs, steps: give one of them, found {epochs} and {steps}")
    for name, value in (("epochs", epochs), ("steps", steps)):
        if value is not None and not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name}: expected a positive number, found {value}")
    if steps is not None:
        return int(steps)
    if inputs.steps_per_epoch is None:
        if epochs is not None or inputs.stream is None:
            raise ValueError("epochs: only data of a known size have epochs; give `steps`")
        return None
    return max(1, round((20 if epochs is None else epochs) * inputs.steps_per_epoch))


Builder = Callable[[Mapping[str, Any]], Any]
