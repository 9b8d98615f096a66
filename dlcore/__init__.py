"""dlcore: deep learning as pure functions.

A layer is a pair of pure functions, a training run is one pure compiled function. `import dlcore` only names things.

    >>> import dlcore as dl
    >>> run = dl.fit(dl.models.softmax_regression(3), dl.data.iris(), epochs=2, batch_size=32)
    >>> run.metrics["loss"].shape
    (6,)
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from dlcore._version import __version__

if TYPE_CHECKING:
    from dlcore import (
        activations,
        augment,
        classic,
        data,
        errors,
        export,
        initializers,
        inspect,
        layers,
        losses,
        metrics,
        models,
        ops,
        optim,
        scale,
        space,
        train,
    )
    from dlcore.compose import compose
    from dlcore.core import Layer, layer
    from dlcore.debugging import debug
    from dlcore.errors import CheckpointError, DataError, DlcoreError
    from dlcore.inspect import summary, tap
    from dlcore.layers import conv, dense, dropout, from_flax, parallel, relu, repeat, residual, serial
    from dlcore.recipe import recipe
    from dlcore.train import (
        Run,
        Sweep,
        TrainState,
        fit,
        gradient_step,
        load,
        make_run,
        plan,
        supervised,
        sweep,
        use_all_cores,
        verify,
    )

__all__ = [
    "CheckpointError",
    "DataError",
    "DlcoreError",
    "Layer",
    "Run",
    "Sweep",
    "TrainState",
    "__version__",
    "activations",
    "augment",
    "classic",
    "compose",
    "conv",
    "data",
    "debug",
    "dense",
    "dropout",
    "errors",
    "export",
    "fit",
    "from_flax",
    "gradient_step",
    "initializers",
    "inspect",
    "layer",
    "layers",
    "load",
    "losses",
    "make_run",
    "metrics",
    "models",
    "ops",
    "optim",
    "parallel",
    "plan",
    "recipe",
    "relu",
    "repeat",
    "residual",
    "scale",
    "serial",
    "space",
    "summary",
    "supervised",
    "sweep",
    "tap",
    "train",
    "use_all_cores",
    "verify",
]

# The names that are no rooms, by the module that each comes from.
_HOMES = {
    "compose": ("compose",),
    "core": ("Layer", "layer"),
    "debugging": ("debug",),
    "errors": ("CheckpointError", "DataError", "DlcoreError"),
    "inspect": ("summary", "tap"),
    "layers": ("conv", "dense", "dropout", "from_flax", "parallel", "relu", "repeat", "residual", "serial"),
    "recipe": ("recipe",),
    "train": (
        "Run",
        "Sweep",
        "TrainState",
        "fit",
        "gradient_step",
        "load",
        "make_run",
        "plan",
        "supervised",
        "sweep",
        "use_all_cores",
        "verify",
    ),
}


class _Package(ModuleType):
    """This package: a room is imported when its name is first asked for, so that `dlcore --help` waits for nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"module 'dlcore' has no attribute {name!r}")
        home = next((home for home, names in _HOMES.items() if name in names), None)
        try:
            room = importlib.import_module(f"dlcore.{home or name}")
        except ModuleNotFoundError as error:
            if error.name != f"dlcore.{name}":
                raise
            raise AttributeError(f"module 'dlcore' has no attribute {name!r}") from None
        value = room if home is None else getattr(room, name)
        setattr(self, name, value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        # Importing the file `recipe.py` would put it in the place of the function of that name.
        is_file = isinstance(value, ModuleType) and name in _HOMES.get(name, ())
        super().__setattr__(name, getattr(value, name) if is_file else value)

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *__all__})


sys.modules[__name__].__class__ = _Package
