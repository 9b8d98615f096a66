"""Dropout, of values, of channels and of whole examples."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from dlcore.checks import expect_floating
from dlcore.core import layer


@layer
def dropout(rate: float = 0.5) -> Any:
    """Dropout: sets each value to zero with probability `rate`, and scales the rest by `1 / (1 - rate)`.

    The mean is kept, so evaluation needs no scaling. It draws if and only if it gets a key: a key with `train=False` is
    Monte-Carlo dropout (Gal and Ghahramani, 2016).

    Args:
      rate: probability of dropping, in [0, 1); a traced value will do.

    Returns:
      A layer on arrays of any shape.

    Raises:
      ValueError: for a rate outside [0, 1), and in training without a key.

    Source: Srivastava et al., 2014.

    Example:
      >>> y, state = dropout(0.5).apply({}, {}, jnp.ones(100), key=jax.random.key(1), train=True)
      >>> sorted(set(y.tolist()))
      [0.0, 2.0]
      >>> dropout(0.5).apply({}, {}, jnp.ones(4))[0]
      Array([1., 1., 1., 1.], dtype=float32)
    """
    return _dropping("dropout", rate, 0, lambda shape: shape)


@layer
def spatial_dropout(rate: float = 0.5) -> Any:
    """Dropout of whole channels: each channel of each example is zero at all positions with probability `rate`.

    Neighbouring positions of an image look alike, so that dropping single ones takes little away. As in `dropout` the
    rest is scaled by `1 / (1 - rate)`, and it draws if and only if it gets a key.

    Args:
      rate: probability of dropping, in [0, 1); a traced value will do.

    Returns:
      A layer on (B, *spatial, channels), with one spatial axis or more.

    Raises:
      TypeError: for an input that is not floating.
      ValueError: for a rate outside [0, 1), an input without spatial axes, and in training without a key.

    Source: Tompson, Goroshin, Jain, LeCun and Bregler, 2015.

    Example:
      >>> y, state = spatial_dropout(0.5).apply({}, {}, jnp.ones((1, 2, 4)), key=jax.random.key(0), train=True)
      >>> y.tolist()
      [[[2.0, 2.0, 0.0, 0.0], [2.0, 2.0, 0.0, 0.0]]]
    """
    return _dropping("spatial_dropout", rate, 3, lambda shape: (shape[0], *(1 for _ in shape[1:-1]), shape[-1]))


@layer
def drop_path(rate: float = 0.5) -> Any:
    """Stochastic depth: sets whole examples to zero with probability `rate`, and scales the rest by `1 / (1 - rate)`.

    At the end of a residual branch, `residual(serial(block, drop_path(0.1)))`, an example either passes the branch or
    goes around it. Usual rates grow linearly with depth, from 0 to .1 or .5. (The paper scales in evaluation instead,
    by `1 - rate`, which has the same mean.) It draws if and only if it gets a key.

    Args:
      rate: probability of dropping, in [0, 1); a traced value will do.

    Returns:
      A layer on (B, ...), an example being an entry of the first axis.

    Raises:
      TypeError: for an input that is not floating.
      ValueError: for a rate outside [0, 1), an input without axes, and in training without a key.

    Source: Huang, Sun, Liu, Sedra and Weinberger, 2016.

    Example:
      >>> y, state = drop_path(0.5).apply({}, {}, jnp.ones((4, 2)), key=jax.random.key(0), train=True)
      >>> y.tolist()
      [[2.0, 2.0], [2.0, 2.0], [0.0, 0.0], [0.0, 0.0]]
    """
    return _dropping("drop_path", rate, 1, lambda shape: (shape[0], *(1 for _ in shape[1:])))


def _dropping(name: str, rate: Any, axes: int, mask_shape: Any) -> Any:
    """Returns the layer that drops by a mask, of a shape that broadcasts to the input's."""
    if not isinstance(rate, Tracer) and not 0 <= float(rate) < 1:
        raise ValueError(f"rate: expected the probability of dropping, in [0, 1), found {rate}")

    def init(key: Any, x: Any) -> tuple[dict, dict]:
        return {}, {}

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        x = expect_floating(x, name, axes=min(axes, 1))
        if x.ndim < axes:
            raise ValueError(f"{name} works on (B, *spatial, channels), found x {x.shape}: use dropout")
        if key is None:
            if train:
                raise ValueError(f"{name} needs a key in training: apply(params, state, x, key=key, train=True)")
            return x, state
        # Written so that a traced rate and a Python one give the same bits.
        share = jnp.float32(rate)
        kept = jax.random.uniform(key, mask_shape(x.shape)) >= share
        return jnp.where(kept, x * (1 / (1 - share)).astype(x.dtype), jnp.zeros((), x.dtype)), state

    return init, apply
