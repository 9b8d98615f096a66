"""Presets: a model, its data and how to train it, under one name. `dlcore train` runs them."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dlcore import activations, layers, models, optim
from dlcore.core import Layer
from dlcore.errors import suggest
from dlcore.recipe import recipe_of

OPTIMIZERS = {name: getattr(optim, name) for name in ("adam", "adamw", "momentum", "rmsprop", "sgd")}

# Functions of an array, element by element: not those that change its size, or need a parameter beside it.
ACTIVATIONS = sorted(set(activations.__all__) - {"geglu", "glu", "maxout", "prelu", "reglu", "swiglu"})


@dataclass(frozen=True)
class Preset:
    """What `dlcore train NAME` does, before its options change anything.

    Attributes:
      about: one line for people.
      model: builds the layer; its keywords are what a sweep may vary.
      data: name of the data set.
      optimizer: name of the optimizer.
      learning_rate: its learning rate.
      epochs: passes over the training data.
      batch_size: examples a step.
    """

    about: str
    model: Callable[..., Layer]
    data: str
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    epochs: int = 20
    batch_size: int = 64


def _lenet5() -> Layer:
    # The bundled digits are 8 x 8, LeNet-5's are 28 x 28.
    return layers.serial(resize=layers.resize((28, 28)), lenet5=models.lenet5(10))


def _mlp(classes: int, width: int, depth: int) -> Callable[..., Layer]:
    def build(*, width: int = width, depth: int = depth, activation: str = "relu", dropout: Any = 0.0) -> Layer:
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation: there is no {activation!r}{suggest(activation, ACTIVATIONS)}")
        return models.mlp((width,) * depth, classes, activation=getattr(activations, activation), dropout=dropout)

    return build


PRESETS: Mapping[str, Preset] = {
    "lenet5": Preset("LeNet-5 on handwritten digits", _lenet5, "digits"),
    "mlp": Preset("multi-layer perceptron on handwritten digits", _mlp(10, 128, 2), "digits"),
    "iris": Preset("softmax regression on iris", lambda: models.softmax_regression(3), "iris", learning_rate=0.05),
    "wine": Preset("softmax regression on wine", lambda: models.softmax_regression(3), "wine", learning_rate=0.01),
    "breast_cancer": Preset("MLP on breast cancer", _mlp(2, 32, 1), "breast_cancer"),
    "diabetes": Preset("linear regression on diabetes", models.linear, "diabetes", learning_rate=5.0, epochs=100),
}


def preset(name: str) -> Preset:
    """Returns a preset by name.

    Raises:
      ValueError: for a name that is not there, with a suggestion.

    Example:
      >>> preset("lenet5").data
      'digits'
    """
    if name not in PRESETS:
        raise ValueError(f"preset: there is no {name!r}{suggest(name, PRESETS)}")
    return PRESETS[name]


def make_optimizer(name: str, learning_rate: float) -> Any:
    """Returns an optimizer by name.

    Raises:
      ValueError: for a name that is not there, with a suggestion, and for a rate that is not positive.

    Example:
      >>> make_optimizer("sgd", 0.1)
      sgd(learning_rate=0.1)
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"optimizer: there is no {name!r}{suggest(name, OPTIMIZERS)}")
    return OPTIMIZERS[name](learning_rate)


def space_of(chosen: Preset, axes: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Returns a preset's model as a function of the hyperparameters, and a space in which names have become values.

    Args:
      chosen: the preset.
      axes: values or distributions by name: keywords of the model, numbers of the optimizer, `optimizer`, `batch_size`
        and `epochs`.

    Raises:
      ValueError: for a name that is none of these, with a suggestion.

    Example:
      >>> model, space = space_of(preset("mlp"), {"width": [16, 32], "optimizer": ["sgd"]})
      >>> model({"width": 16}), space["optimizer"]
      (mlp(hidden=(16, 16)), [sgd(learning_rate=0.001)])
    """
    own = [name for name in inspect.signature(chosen.model).parameters if name in axes]
    families = axes.get("optimizer", [chosen.optimizer])
    made = [make_optimizer(name, chosen.learning_rate) for name in families]
    numbers = {name for one in made for name, value in recipe_of(one).bound.arguments.items() if type(value) is float}  # pyright: ignore
    known = {*inspect.signature(chosen.model).parameters, *numbers, "optimizer", "batch_size", "epochs"}
    if unknown := [name for name in axes if name not in known]:
        raise ValueError(f"space: there is no {unknown[0]!r}{suggest(unknown[0], known)}")
    space = dict(axes) | ({"optimizer": made} if "optimizer" in axes else {})
    return (lambda hparams: chosen.model(**{name: hparams[name] for name in own})) if own else chosen.model(), space
