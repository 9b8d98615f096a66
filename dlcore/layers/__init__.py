"""Layers: pairs of pure functions, one concept a file."""

from dlcore.compose import compose
from dlcore.core import lambda_layer, layer
from dlcore.layers._activation import (
    elu,
    gelu,
    leaky_relu,
    log_softmax,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from dlcore.layers._combine import parallel, residual, serial
from dlcore.layers._conv import conv
from dlcore.layers._dense import dense
from dlcore.layers._dropout import dropout
from dlcore.layers._embed import embed
from dlcore.layers._flax import from_flax
from dlcore.layers._norm import batch_norm, layer_norm
from dlcore.layers._pool import avg_pool, flatten, global_avg_pool, max_pool, resize
from dlcore.layers._recurrent import bidirectional, recurrent, rnn_cell
from dlcore.layers._wrap import cast, frozen, remat, repeat

__all__ = [
    "avg_pool",
    "batch_norm",
    "bidirectional",
    "cast",
    "compose",
    "conv",
    "dense",
    "dropout",
    "elu",
    "embed",
    "flatten",
    "from_flax",
    "frozen",
    "gelu",
    "global_avg_pool",
    "lambda_layer",
    "layer",
    "layer_norm",
    "leaky_relu",
    "log_softmax",
    "max_pool",
    "parallel",
    "recurrent",
    "relu",
    "remat",
    "repeat",
    "residual",
    "resize",
    "rnn_cell",
    "serial",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
]
