"""Weight normalisation: kernels as lengths and directions."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.checks import shapes_of
from dlcore.core import Layer, Plan, as_layer, layer
from dlcore.layers._kernels import expect_kernels, found, kernels, matrix, replaced, same_bits
from dlcore.layers._wrap import _inner
from dlcore.ops import l2_normalise


@layer
def weight_norm(block: Layer) -> Layer:
    """A layer whose kernels are learnt by length and direction, `kernel = length * v / |v|`, feature by feature.

    Params are those of the layer, where each `kernel` (..., inputs, features) now holds the directions `v`, and beside
    it stands `kernel_length` (features,), one length for each output feature (the last axis). At init these are the
    lengths of the kernel, so that the layer computes what it would alone, as in PyTorch; the paper starts from the
    statistics of a first batch, and Flax from ones.

    Other leaves (`bias`, `recurrent_kernel`, `embedding`) stay as they are. A feature whose direction is zero gives
    zero, with gradients of zero, and never learns: `kernel_init` must not be `zeros`.

    Args:
      block: a layer with one or more kernels, however deep inside.

    Returns:
      A layer with the state and the values of `block`.

    Raises:
      ValueError: at init, for a layer without kernels and around a `repeat`, whose kernels are stacked (write
        `repeat(n, weight_norm(block))`); in apply, for params of the plain layer.

    Source: Salimans and Kingma, 2016.

    Example:
      >>> from dlcore.layers import dense
      >>> params, state = weight_norm(dense(3)).init(jax.random.key(0), jnp.zeros((2, 4)))
      >>> jax.tree.map(jnp.shape, params)
      {'bias': (3,), 'kernel': (4, 3), 'kernel_length': (3,)}
    """
    block = as_layer(block, "block")

    def plan(*inputs: Any) -> Plan:
        inner = block.plan(*inputs)
        expect_kernels(inner, block, "weight_norm")
        if twice := [path for path, _ in kernels(inner.params) if found(inner.params, _length_of(path)) is not None]:
            raise ValueError(f"weight_norm: {'/'.join(twice[0])} already has a length of its own: wrap it once")

        def init(key: Any) -> Any:
            params, state = inner.init(key)
            return _with_lengths(params), state

        return inner._replace(params=shapes_of(jax.eval_shape(_with_lengths, inner.params)), init=init)

    def apply(params: Any, state: Any, *xs: Any, key: Any = None, train: bool = False, tap: Any = None) -> Any:
        values: dict[Any, Any] = {}
        for path, direction in kernels(params):
            length = found(params, _length_of(path))
            if length is None or jnp.shape(length) != direction.shape[-1:]:
                at, given = "/".join(_length_of(path)), None if length is None else jnp.shape(length)
                raise ValueError(
                    f"weight_norm: expected {at} {direction.shape[-1:]}, found {given}; params of the plain layer lack "
                    "it: it is the length of each feature's kernel"
                )
            values |= {path: _kernel(direction, length), _length_of(path): None}
        return _inner(block, tap)(replaced(params, values), state, *xs, key=key, train=train)

    return Layer(None, apply, plan)


def _length_of(path: tuple[str, ...]) -> tuple[str, ...]:
    return (*path[:-1], "kernel_length")


def _with_lengths(params: Any) -> Any:
    return replaced(params, {_length_of(path): _lengths(matrix(kernel)) for path, kernel in kernels(params)})


def _kernel(direction: jax.Array, length: jax.Array) -> jax.Array:
    wide = direction.astype(np.promote_types(direction.dtype, np.float32))
    unit = l2_normalise(wide, tuple(range(direction.ndim - 1)))
    return (unit * length.astype(unit.dtype)).astype(direction.dtype)


_plain_lengths = same_bits(lambda columns: jnp.sqrt(jnp.square(columns).sum(0)))


@jax.custom_jvp
def _lengths(columns: jax.Array) -> jax.Array:
    return _plain_lengths(columns)


@_lengths.defjvp
def _lengths_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    return _lengths(primals[0]), (l2_normalise(primals[0], 0) * tangents[0]).sum(0)
