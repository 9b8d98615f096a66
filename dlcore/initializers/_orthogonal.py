"""Initializers that keep lengths: orthogonal matrices, and the identity."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.initializers._draw import Initializer, scaled
from dlcore.recipe import recipe


@recipe
def orthogonal(scale: float = 1.0) -> Initializer:
    """A random matrix with orthonormal rows or columns, whichever are fewer: it keeps lengths, and so deep nets alive.

    All axes but the last are taken as one, (inputs, outputs). It is drawn evenly among all such matrices, by the QR
    decomposition of Gaussian numbers with the signs of R taken out.

    Args:
      scale: factor of the matrix.

    Raises:
      ValueError: at the draw, for a shape of fewer than two axes.

    Source: Saxe, McClelland and Ganguli, 2014; Mezzadri, 2007 (the signs).

    Example:
      >>> w = orthogonal()(jax.random.key(0), (2, 3))
      >>> (w @ w.T).round(3).tolist()
      [[1.0, 0.0], [0.0, 1.0]]
    """

    def init(key: Any, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
        if len(shape) < 2:
            raise ValueError(f"orthogonal: expected a shape of two or more axes, found {shape}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        tall = (max(rows, columns), min(rows, columns))
        q, r = jnp.linalg.qr(scaled(jax.random.normal, key, tall, np.promote_types(dtype, jnp.float32), 1.0))
        q = q * jnp.where(jnp.diagonal(r) < 0, -1, 1)
        return (jnp.asarray(scale, q.dtype) * (q.T if rows < columns else q).reshape(shape)).astype(dtype)

    return init


@recipe
def delta_orthogonal(scale: float = 1.0) -> Initializer:
    """A convolution kernel that is zero but for its middle, where it is orthogonal: the layer keeps lengths.

    Args:
      scale: factor of the kernel.

    Raises:
      ValueError: at the draw, for a shape that is no kernel (*window, inputs, outputs), an even window, which has no
        middle, and more inputs than outputs, which cannot be kept apart.

    Source: Xiao, Bahri, Sohl-Dickstein, Schoenholz and Pennington, 2018.

    Example:
      >>> kernel = delta_orthogonal()(jax.random.key(0), (3, 3, 2, 4))
      >>> (kernel[1, 1] @ kernel[1, 1].T).round(3).tolist(), float(abs(kernel[0]).max())
      ([[1.0, 0.0], [0.0, 1.0]], 0.0)
    """

    def init(key: Any, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
        middle = _middle("delta_orthogonal", shape)
        if shape[-2] > shape[-1]:
            raise ValueError(f"delta_orthogonal: expected no more inputs than outputs, found {shape[-2]} > {shape[-1]}")
        return jnp.zeros(shape, dtype).at[middle].set(orthogonal(scale)(key, shape[-2:], dtype))

    return init


@recipe
def identity(scale: float = 1.0) -> Initializer:
    """The identity: what comes in goes out, as far as there are outputs. Of a convolution, in the middle of its window.

    Args:
      scale: factor.

    Raises:
      ValueError: at the draw, for a shape of fewer than two axes, and an even window, which has no middle.

    Source: Le, Jaitly and Hinton, 2015 (recurrent ReLU nets); Zagoruyko and Komodakis, 2017 (Dirac kernels).

    Example:
      >>> identity()(None, (2, 3)).tolist(), identity()(None, (3, 1, 1)).ravel().tolist()
      ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [0.0, 1.0, 0.0])
    """

    def init(key: Any, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
        middle = _middle("identity", shape)
        return jnp.zeros(shape, dtype).at[middle].set(jnp.asarray(scale, dtype) * jnp.eye(*shape[-2:], dtype=dtype))

    return init


def _middle(what: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) < 2:
        raise ValueError(f"{what}: expected a shape (*window, inputs, outputs), found {shape}")
    if even := [size for size in shape[:-2] if size % 2 == 0]:
        raise ValueError(f"{what}: expected odd windows, which have a middle, found {even[0]} in {shape}")
    return tuple(size // 2 for size in shape[:-2])
