"""Whether given weights are those of a model."""

from typing import Any

import jax

from dlcore.checks import shapes_of
from dlcore.train._objective import build_layer
from dlcore.train._setup import Setup


def check_weights(setup: Setup, params: Any, state: Any) -> None:
    """Compares given weights with the model's, leaf by leaf.

    Raises:
      ValueError: lists what is missing, what is extra, and what has another shape or type.
    """
    layer = build_layer(setup.model, setup.hparams)
    plan = layer.plan(*setup.shapes.tree)
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
