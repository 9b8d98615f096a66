"""dlcore: deep learning as pure functions.

A layer is a pair of pure functions, a training run is one pure compiled function. `import dlcore` only names things.

    >>> import dlcore as dl
    >>> run = dl.fit(dl.models.softmax_regression(3), dl.data.iris(), epochs=2, batch_size=32)
    >>> run.metrics["loss"].shape
    (6,)
"""

from dlcore import (
    activations,
    augment,
    classic,
    data,
    errors,
    initializers,
    inspect,
    layers,
    losses,
    metrics,
    models,
    ops,
    optim,
    space,
    train,
)
from dlcore._version import __version__
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
    "recipe",
    "relu",
    "repeat",
    "residual",
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
