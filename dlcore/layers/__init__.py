"""Layers: pairs of pure functions, one concept a file."""

from dlcore.compose import compose
from dlcore.core import lambda_layer, layer
from dlcore.layers._activation import (
    celu,
    elu,
    gelu,
    growing_cosine,
    hard_sigmoid,
    hard_swish,
    hard_tanh,
    identity,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    mish,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    softsign,
    step,
    swish,
    tanh,
)
from dlcore.layers._adaptive_norm import adain, adalin
from dlcore.layers._attention import multi_head_attention
from dlcore.layers._batch_norm import batch_norm
from dlcore.layers._combine import parallel, residual, serial
from dlcore.layers._conv import conv
from dlcore.layers._conv_transpose import conv_transpose
from dlcore.layers._dense import dense
from dlcore.layers._dropout import drop_path, dropout, spatial_dropout
from dlcore.layers._embed import embed
from dlcore.layers._feature_norms import layer_norm, rms_norm
from dlcore.layers._flax import from_flax
from dlcore.layers._gated import gated_dense, geglu, glu, reglu, swiglu
from dlcore.layers._group_norm import group_norm, instance_norm
from dlcore.layers._gru import gru_cell
from dlcore.layers._lstm import lstm_cell
from dlcore.layers._maxout import maxout
from dlcore.layers._noise import gaussian_noise
from dlcore.layers._pool import (
    adaptive_avg_pool,
    adaptive_max_pool,
    avg_pool,
    flatten,
    global_avg_pool,
    global_max_pool,
    max_pool,
    resize,
)
from dlcore.layers._positions import learned_positions, sinusoidal_positions
from dlcore.layers._prelu import prelu
from dlcore.layers._recurrent import bidirectional, recurrent
from dlcore.layers._rnn import rnn_cell
from dlcore.layers._separable import depthwise_conv, separable_conv
from dlcore.layers._spectral_norm import spectral_norm
from dlcore.layers._stacked import stacked
from dlcore.layers._subsample import subsample
from dlcore.layers._unroll import unroll
from dlcore.layers._upsample import pixel_shuffle, pixel_unshuffle, upsample
from dlcore.layers._weight_norm import weight_norm
from dlcore.layers._wrap import cast, frozen, remat, repeat

__all__ = [
    "adain",
    "adalin",
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "avg_pool",
    "batch_norm",
    "bidirectional",
    "cast",
    "celu",
    "compose",
    "conv",
    "conv_transpose",
    "dense",
    "depthwise_conv",
    "drop_path",
    "dropout",
    "elu",
    "embed",
    "flatten",
    "from_flax",
    "frozen",
    "gated_dense",
    "gaussian_noise",
    "geglu",
    "gelu",
    "global_avg_pool",
    "global_max_pool",
    "glu",
    "group_norm",
    "growing_cosine",
    "gru_cell",
    "hard_sigmoid",
    "hard_swish",
    "hard_tanh",
    "identity",
    "instance_norm",
    "lambda_layer",
    "layer",
    "layer_norm",
    "leaky_relu",
    "learned_positions",
    "log_sigmoid",
    "log_softmax",
    "lstm_cell",
    "max_pool",
    "maxout",
    "mish",
    "multi_head_attention",
    "parallel",
    "pixel_shuffle",
    "pixel_unshuffle",
    "prelu",
    "recurrent",
    "reglu",
    "relu",
    "relu6",
    "remat",
    "repeat",
    "residual",
    "resize",
    "rms_norm",
    "rnn_cell",
    "selu",
    "separable_conv",
    "serial",
    "sigmoid",
    "silu",
    "sinusoidal_positions",
    "softmax",
    "softplus",
    "softsign",
    "spatial_dropout",
    "spectral_norm",
    "stacked",
    "step",
    "subsample",
    "swiglu",
    "swish",
    "tanh",
    "unroll",
    "upsample",
    "weight_norm",
]
