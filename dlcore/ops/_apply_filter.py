"""One filter over every channel of images."""

import jax
import jax.numpy as jnp

from dlcore.ops._conv import conv
from dlcore.ops._window import spatial_shape

__all__ = ["apply_filter"]

# SciPy's words for what lies beyond the border, and NumPy's.
_MODES = {"nearest": "edge", "constant": "constant", "reflect": "symmetric", "mirror": "reflect", "wrap": "wrap"}


def apply_filter(images: jax.Array, filter: jax.Array, *, padding: str = "nearest") -> jax.Array:
    """Correlate every channel with one filter, such as those of `dlcore.ops.filters`.

    `y[b, p, c] = sum_i images[b, p + i - size // 2, c] * filter[i]`

    Args:
        images: `(batch, *spatial, channels)`, one to three spatial axes, floating dtype.
        filter: `(*window)`, one axis for each spatial axis; cast to the dtype of the images. The pixel `size // 2` of
            the window lies on the pixel that is computed, as in `scipy.ndimage.correlate`.
        padding: what lies beyond the border, in SciPy's words: `"nearest"` (the default) repeats the outermost pixel,
            `"constant"` is 0, at which bright images have an edge all around, `"reflect"` mirrors with, and `"mirror"`
            without, repeating the outermost pixel, `"wrap"` goes on at the other side. `"VALID"` keeps only the places
            where the whole window lies inside.

    Returns:
        Images of the same shape, or smaller by `window - 1` for `"VALID"`.

    Raises:
        ValueError: a wrong number of axes, an unknown padding, or for `"VALID"` a filter larger than the images.
        TypeError: images that are not floating.

    Source: Gonzalez and Woods, "Digital Image Processing", section 3.4.

    Example:
        >>> import jax.numpy as jnp
        >>> from dlcore.ops import apply_filter, filters
        >>> ramp = jnp.broadcast_to(jnp.arange(4.0), (4, 4)).reshape(1, 4, 4, 1)
        >>> apply_filter(ramp, filters.sobel("x"), padding="VALID").ravel().tolist()
        [8.0, 8.0, 8.0, 8.0]
    """
    images, filter = jnp.asarray(images), jnp.asarray(filter)
    spatial, channels = spatial_shape(images), images.shape[-1]
    if filter.ndim != len(spatial):
        raise ValueError(
            f"filter must have {len(spatial)} axes, one for each spatial axis of images of shape {images.shape}; "
            f"got shape {filter.shape}"
        )
    if padding not in (*_MODES, "VALID"):
        raise ValueError(f"padding must be {', '.join(map(repr, _MODES))} or 'VALID', got {padding!r}")
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise TypeError(f"images must have a floating dtype, got {images.dtype}; pass images.astype(jnp.float32)")
    if 0 in spatial:
        raise ValueError(f"images of shape {images.shape} have no pixels")
    if padding in _MODES:
        pads = [(size // 2, size - 1 - size // 2) for size in filter.shape]
        images = jnp.pad(images, [(0, 0), *pads, (0, 0)], mode=_MODES[padding])
    kernel = jnp.broadcast_to(filter[..., None, None], (*filter.shape, 1, channels))
    return conv(images, kernel, padding="VALID", groups=channels)
