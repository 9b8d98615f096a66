"""Fixed filters of image processing, as small arrays (rows, columns) for `dlcore.ops.apply_filter`.

Like kernels of a convolution they are correlated with an image, not flipped. Along columns is "x", along rows "y".
"""

import jax
import jax.numpy as jnp
from jax.core import Tracer

from dlcore.ops._window import integer

__all__ = ["box", "gaussian", "laplacian", "prewitt", "sharpen", "sobel"]


def sobel(direction: str) -> jax.Array:
    """Sobel's derivative across an edge, smoothed by 1, 2, 1 along it.

    Not normalised: a ramp of slope 1 gives 8. Divide by 8 for a derivative.

    Args:
        direction: `"x"`, the change from left to right, which finds vertical edges, or `"y"`, from top to bottom.

    Returns:
        `(3, 3)`.

    Raises:
        ValueError: for another direction.

    Source: Sobel and Feldman, "A 3x3 isotropic gradient operator for image processing" (1968).

    Example:
        >>> sobel("x").tolist()
        [[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]
    """
    return _derivative(direction, [1.0, 2.0, 1.0])


def prewitt(direction: str) -> jax.Array:
    """Prewitt's derivative across an edge, smoothed by 1, 1, 1 along it.

    Not normalised: a ramp of slope 1 gives 6.

    Args:
        direction: `"x"`, the change from left to right, or `"y"`, from top to bottom.

    Returns:
        `(3, 3)`.

    Raises:
        ValueError: for another direction.

    Source: Prewitt, "Object enhancement and extraction" (1970).

    Example:
        >>> prewitt("y").tolist()
        [[-1.0, -1.0, -1.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    """
    return _derivative(direction, [1.0, 1.0, 1.0])


def laplacian(neighbours: int = 4) -> jax.Array:
    """The sum of the second derivatives, as differences to the neighbours: edges of all directions.

    Args:
        neighbours: 4, those that share a side, or 8, those at the corners too, whose result is three times as large
            (a parabola `x ** 2` gives 2 and 6).

    Returns:
        `(3, 3)`, whose sum is 0.

    Raises:
        ValueError: for another number of neighbours.

    Source: Gonzalez and Woods, "Digital Image Processing", section 3.6.

    Example:
        >>> laplacian().tolist()
        [[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]
    """
    if neighbours not in (4, 8):
        raise ValueError(f"neighbours must be 4 or 8, got {neighbours!r}")
    corner = 0.0 if neighbours == 4 else 1.0
    return jnp.array([[corner, 1.0, corner], [1.0, -float(neighbours), 1.0], [corner, 1.0, corner]])


def sharpen(neighbours: int = 4) -> jax.Array:
    """The image minus its `laplacian`: edges stand out, plain areas stay as they are.

    Args:
        neighbours: 4 or 8, those of the Laplacian.

    Returns:
        `(3, 3)`, whose sum is 1.

    Raises:
        ValueError: for another number of neighbours.

    Source: Gonzalez and Woods, "Digital Image Processing", section 3.6.

    Example:
        >>> sharpen().tolist()
        [[0.0, -1.0, 0.0], [-1.0, 5.0, -1.0], [0.0, -1.0, 0.0]]
    """
    return jnp.zeros((3, 3)).at[1, 1].set(1.0) - laplacian(neighbours)


def box(size: int) -> jax.Array:
    """The mean of a square: the plainest blur.

    Args:
        size: side of the square, in pixels.

    Returns:
        `(size, size)`, whose sum is 1.

    Raises:
        ValueError: for a size below 1.
        TypeError: for a size that is not an integer.

    Example:
        >>> box(2).tolist()
        [[0.25, 0.25], [0.25, 0.25]]
    """
    size = integer("size", size, 1)
    return jnp.full((size, size), 1 / size**2)


def gaussian(size: int, sigma: float) -> jax.Array:
    """A Gaussian blur, cut off to a square and scaled to sum 1.

    `exp(-(dx^2 + dy^2) / (2 sigma^2))`, where dx and dy are taken at the centres of pixels.

    Args:
        size: side of the square, in pixels; odd, so that there is a pixel in the middle. `2 * round(4 * sigma) + 1` is
            what `scipy.ndimage.gaussian_filter` cuts it to.
        sigma: standard deviation, in pixels; more than 0. It may be traced.

    Returns:
        `(size, size)`, whose sum is 1.

    Raises:
        ValueError: for a size that is not odd, and a sigma that is not positive.
        TypeError: for a size that is not an integer.

    Source: Marr and Hildreth, "Theory of edge detection" (1980).

    Example:
        >>> gaussian(3, 1.0)[1].round(3).tolist()
        [0.124, 0.204, 0.124]
    """
    size = integer("size", size, 1)
    if size % 2 == 0:
        raise ValueError(f"size must be odd, or the blur would shift the image by half a pixel; got {size}")
    if not isinstance(sigma, Tracer) and not float(sigma) > 0:
        raise ValueError(f"sigma must be more than 0, in pixels, got {sigma}; 0 would be no blur at all")
    # As softmax: for a small sigma all but the middle underflow to 0, and nothing is 0 / 0.
    weights = jax.nn.softmax(-((jnp.arange(size) - size // 2) ** 2) / (2 * jnp.square(sigma)))
    return jnp.outer(weights, weights)


def _derivative(direction: str, smoothing: list[float]) -> jax.Array:
    if direction not in ("x", "y"):
        raise ValueError(f"direction must be 'x' (across columns) or 'y' (across rows), got {direction!r}")
    across = jnp.outer(jnp.array(smoothing), jnp.array([-1.0, 0.0, 1.0]))
    return across if direction == "x" else across.T
