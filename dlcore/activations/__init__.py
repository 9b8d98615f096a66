"""Activation functions: pure functions of arrays, by the field's names.

Each is an ordinary function of a floating array, which keeps its type and composes with `jax.grad` and `jax.vmap`;
`dlcore.layers` has the same names as layers. Where JAX's own is right it is JAX's computation, under one fixed default
where libraries differ. Gradients are finite for inputs of any finite size, in every floating type.
"""

from dlcore.activations._exponential import celu, elu, selu
from dlcore.activations._gated import geglu, glu, reglu, swiglu
from dlcore.activations._hard import hard_sigmoid, hard_swish, hard_tanh, relu6
from dlcore.activations._oscillating import growing_cosine
from dlcore.activations._rectified import leaky_relu, maxout, prelu, relu
from dlcore.activations._sigmoid import log_sigmoid, sigmoid, softsign, tanh
from dlcore.activations._smooth import gelu, mish, silu, softplus, swish
from dlcore.activations._softmax import log_softmax, softmax
from dlcore.activations._step import identity, step

__all__ = [
    "celu",
    "elu",
    "geglu",
    "gelu",
    "glu",
    "growing_cosine",
    "hard_sigmoid",
    "hard_swish",
    "hard_tanh",
    "identity",
    "leaky_relu",
    "log_sigmoid",
    "log_softmax",
    "maxout",
    "mish",
    "prelu",
    "reglu",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "step",
    "swiglu",
    "swish",
    "tanh",
]
