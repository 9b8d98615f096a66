"""Positions as numbers that a model can read."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.checks import expect_floating, expect_positive


def sinusoidal(length: int, features: int, *, base: float = 10_000.0) -> jax.Array:
    """Sines and cosines of each position, `sin(p / base^(2i / features))` and the cosine beside it.

    Args:
      length: number of positions.
      features: even.
      base: the longest wave is 2 pi times it.

    Returns:
      (length, features): sine and cosine in turn, as published.

    Raises:
      ValueError: for an odd number of features.

    Source: Vaswani et al., Attention Is All You Need, 2017.

    Example:
      >>> sinusoidal(2, 4).round(2).tolist()
      [[0.0, 1.0, 0.0, 1.0], [0.84, 0.54, 0.01, 1.0]]
    """
    expect_positive(length=length, features=features)
    angles = _angles(jnp.arange(length), features, base, "sinusoidal")
    return jnp.stack([jnp.sin(angles), jnp.cos(angles)], axis=-1).reshape(length, features)


def rotary(x: Any, positions: Any = None, *, base: float = 10_000.0, interleaved: bool = False) -> jax.Array:
    """Rotary positions: turns each pair of features by `position / base^(2i / features)`.

    The product of a turned query and a turned key depends on how far apart they are, and not on where.

    Args:
      x: (B, T, heads, features), features even.
      positions: (T,) or (B, T); 0 to T - 1 unless given.
      base: of the angles.
      interleaved: whether pairs are neighbours (0, 1), (2, 3), as published, or one of each half (0, d/2),
        (1, d/2 + 1), as in GPT-NeoX and Llama: the default. Weights of the one do not fit the other.

    Returns:
      As x, in its type; computed in float32 or wider.

    Raises:
      ValueError: for an odd number of features, and positions of another shape.

    Source: Su, Lu, Pan, Murtadha, Wen and Liu, RoFormer, 2021.

    Example:
      >>> x = jnp.array([1.0, 0.0]).reshape(1, 1, 1, 2)
      >>> rotary(x, jnp.array([1])).round(2).ravel().tolist()  # turned by one radian
      [0.54, 0.84]
    """
    x = expect_floating(x, "rotary", 4)
    positions = jnp.arange(x.shape[1]) if positions is None else jnp.asarray(positions)
    if positions.shape not in ((x.shape[1],), x.shape[:2]):
        wanted = f"{(x.shape[1],)} or {x.shape[:2]}"
        raise ValueError(f"positions: expected {wanted} for x {x.shape}, found {positions.shape}")
    angles = _angles(positions, x.shape[-1], base, "rotary")[..., None, :]  # (T, 1, pairs), or with B
    wide = x.astype(np.promote_types(x.dtype, np.float32))
    pairs = wide.reshape(*x.shape[:-1], -1, 2) if interleaved else wide.reshape(*x.shape[:-1], 2, -1).swapaxes(-1, -2)
    sine, cosine = jnp.sin(angles).astype(wide.dtype), jnp.cos(angles).astype(wide.dtype)
    first, second = pairs[..., 0], pairs[..., 1]
    turned = jnp.stack([first * cosine - second * sine, first * sine + second * cosine], axis=-1)
    turned = turned if interleaved else turned.swapaxes(-1, -2)
    return turned.reshape(x.shape).astype(x.dtype)


def _angles(positions: jax.Array, features: int, base: float, name: str) -> jax.Array:
    if features % 2:
        raise ValueError(f"{name}: expected an even number of features, found {features}")
    dtype = jnp.result_type(float)  # a position of thousands times a small angle needs all the digits there are
    return positions[..., None].astype(dtype) * jnp.asarray(base, dtype) ** (-jnp.arange(0, features, 2) / features)
