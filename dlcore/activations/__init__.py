"""Activation functions: pure functions of arrays, by the field's names.

Each is an ordinary function, so it composes with `jax.grad` and `jax.vmap`; `dlcore.layers` has the same names as
layers. Where JAX's own is right it is JAX's computation, under one fixed default where libraries differ. They take
floating arrays, of which they keep the type.
"""

from dlcore.activations._gated import geglu, glu, maxout, reglu, swiglu
from dlcore.activations._hard import hard_sigmoid, hard_swish, hard_tanh, relu6
from dlcore.activations._other import identity, oscillating, step
from dlcore.activations._rectified import celu, elu, leaky_relu, prelu, relu, selu
from dlcore.activations._sigmoid import log_sigmoid, sigmoid, softsign, tanh
from dlcore.activations._smooth import gelu, mish, silu, softplus, swish
from dlcore.activations._softmax import log_softmax, softmax

__all__ = [
    "celu",
    "elu",
    "geglu",
    "gelu",
    "glu",
    "hard_sigmoid",
    "hard_swish",
    "hard_tanh",
    "identity",
    "leaky_relu",
    "log_sigmoid",
    "log_softmax",
    "maxout",
    "mish",
    "oscillating",
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
