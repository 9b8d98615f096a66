"""Initializers that keep lengths: orthogonal and identity matrices, as dense kernels and at the centre of a window."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.initializers._draw import Initializer, scaled
from dlcore.recipe import recipe


@recipe
def orthogonal(scale: Any = 1.0) -> Initializer:
    """Uniformly distributed matrix with orthonormal columns or rows, whichever are fewer, times `scale`.

    A kernel is read as a matrix (window * inputs, features). A square one keeps the length of every vector, so that
    deep linear nets, and recurrent ones over many steps, neither blow up nor fade. It is the `Q` of a QR decomposition
    of Gaussian noise, with signs such that the diagonal of `R` is positive: without them `Q` is not uniform.

    Args:
      scale: the gain, such as sqrt(2) for ReLU.

    Returns:
      An initializer of (*window, inputs, features); for fewer than two axes it raises a ValueError. Half precision is
      the rounded float32 one.

    Source: Saxe, McClelland and Ganguli, 2013; signs: Mezzadri, 2006.

    Example:
      >>> q = orthogonal()(jax.random.key(0), (5, 3))
      >>> bool(jnp.allclose(q.T @ q, jnp.eye(3), atol=1e-6))
      True
    """

    def init(key: Any, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
        if len(shape) < 2:
            raise ValueError(
                f"orthogonal needs a kernel of two or more axes, found shape {shape}: use `normal` or `zeros`"
            )
        return _orthogonal_matrix(key, math.prod(shape[:-1]), shape[-1], dtype, scale).reshape(shape)

    return init


@recipe
def delta_orthogonal(scale: Any = 1.0) -> Initializer:
    """Orthogonal matrix at the centre of a convolution's window, zeros around it, times `scale`.

    The convolution keeps the length of every input, wherever it is: `orthogonal` on a kernel does not. With it plain
    convolutional nets of thousands of layers train.

    Args:
      scale: the gain.

    Returns:
      An initializer of (*window, inputs, features), which raises a ValueError for a matrix, for an even window, which
      has no centre, and for more inputs than features.

    Source: Xiao, Bahri, Sohl-Dickstein, Schoenholz and Pennington, 2018.

    Example:
      >>> kernel = delta_orthogonal()(jax.random.key(0), (3, 3, 4, 4))
      >>> bool(jnp.allclose(kernel[1, 1] @ kernel[1, 1].T, jnp.eye(4), atol=1e-6)), float(abs(kernel[0]).max())
      (True, 0.0)
    """

    def init(key: Any, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
        if len(shape) < 3:
            raise ValueError(
                f"delta_orthogonal needs a kernel (*window, inputs, features), found {shape}: use `orthogonal`"
            )
        if shape[-2] > shape[-1]:
            raise ValueError(
                f"delta_orthogonal keeps lengths only with at least as many features as inputs, found shape {shape}"
            )
        return _at_centre("delta_orthogonal", shape, _orthogonal_matrix(key, shape[-2], shape[-1], dtype, scale))

    return init


@recipe
def identity(scale: Any = 1.0) -> Initializer:
    """Identity matrix times `scale`; for a convolution at the centre of the window, zeros around it.

    The layer starts as `y = scale * x` (a convolution with padding "SAME" and stride 1). Where the numbers of inputs
    and features differ, the first ones are passed on, and the others are zero.

    Args:
      scale: what stands on the diagonal.

    Returns:
      An initializer of (*window, inputs, features), which raises a ValueError for fewer than two axes, and for an even
      window, which has no centre.

    Source: Le, Jaitly and Hinton, 2015, for recurrent kernels; Zagoruyko and Komodakis, 2017, for convolutions.

    Example:
      >>> identity()(None, (2, 3)).tolist()
      [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
      >>> identity()(None, (3, 1, 1)).ravel().tolist()
      [0.0, 1.0, 0.0]
    """

    def init(key: Any, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
        if len(shape) < 2:
            raise ValueError(f"identity needs a kernel of two or more axes, found shape {shape}: use `ones` or `zeros`")
        return _at_centre("identity", shape, jnp.eye(*shape[-2:], dtype=dtype) * jnp.asarray(scale, dtype))

    return init


def _orthogonal_matrix(key: Any, rows: int, columns: int, dtype: Any, scale: Any) -> jax.Array:
    if not rows * columns:
        return jnp.zeros((rows, columns), dtype)
    wide = np.promote_types(dtype, np.float32)  # there is no QR decomposition in half precision
    noise = scaled(jax.random.normal, key, (max(rows, columns), min(rows, columns)), wide, 1)
    q, r = jnp.linalg.qr(noise)
    q = q * jnp.sign(jnp.diagonal(r))
    return (q if rows >= columns else q.T).astype(dtype) * jnp.asarray(scale, dtype)


def _at_centre(name: str, shape: tuple[int, ...], matrix: jax.Array) -> jax.Array:
    window = shape[:-2]
    if any(size % 2 == 0 for size in window):
        raise ValueError(f"{name} needs a window with a centre, of odd sizes, found {window} in shape {shape}")
    return jnp.zeros(shape, matrix.dtype).at[tuple(size // 2 for size in window)].set(matrix)
