"""Initializers: factories of `(key, shape, dtype) -> array`, JAX's own protocol.

The bits are those of `jax.nn.initializers`, where it has the initializer. Two things are added. The draw and its
scaling are kept apart, so that an eager call and a compiled one give the same bits. And an eager draw is made flat, at
the next power of two, and cut: the bits are the same, but the many shapes of a model share a few compilations.
"""

from dlcore.initializers._draw import Initializer
from dlcore.initializers._orthogonal import delta_orthogonal, identity, orthogonal
from dlcore.initializers._plain import constant, normal, ones, truncated_normal, uniform, zeros
from dlcore.initializers._scaling import (
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    kaiming_normal,
    kaiming_uniform,
    lecun_normal,
    lecun_uniform,
    variance_scaling,
    xavier_normal,
    xavier_uniform,
)
from dlcore.initializers._sparse import sparse

__all__ = [
    "Initializer",
    "constant",
    "delta_orthogonal",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "ones",
    "orthogonal",
    "sparse",
    "truncated_normal",
    "uniform",
    "variance_scaling",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]
