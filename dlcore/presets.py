"""Presets: a model, its data and how to train it, under one name. `dlcore train` runs them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dlcore import layers, models, optim
from dlcore.core import Layer
from dlcore.errors import suggest

OPTIMIZERS = {name: getattr(optim, name) for name in ("adam", "adamw", "momentum", "rmsprop", "sgd")}


@dataclass(frozen=True)
class Preset:
    """What `dlcore train NAME` does, before its options change anything.

    Attributes:
      about: one line for people.
      model: builds the layer.
      data: name of the data set.
      optimizer: name of the optimizer.
      learning_rate: its learning rate.
      epochs: passes over the training data.
      batch_size: examples a step.
    """

    about: str
    model: Callable[[], Layer]
    data: str
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    epochs: int = 20
    batch_size: int = 64


def _lenet5() -> Layer:
    # The bundled digits are 8 x 8, LeNet-5's are 28 x 28.
    return layers.serial(resize=layers.resize((28, 28)), lenet5=models.lenet5(10))


PRESETS: Mapping[str, Preset] = {
    "lenet5": Preset("LeNet-5 on handwritten digits", _lenet5, "digits"),
    "mlp": Preset("multi-layer perceptron on handwritten digits", lambda: models.mlp((128, 128), 10), "digits"),
    "iris": Preset("softmax regression on iris", lambda: models.softmax_regression(3), "iris", learning_rate=0.05),
    "wine": Preset("softmax regression on wine", lambda: models.softmax_regression(3), "wine", learning_rate=0.01),
    "breast_cancer": Preset("MLP on breast cancer", lambda: models.mlp((32,), 2), "breast_cancer"),
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
