"""Sounds: pure tones, and chirps whose pitch moves; sample rates and frequencies in Hz."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.core import Tracer

from dlcore.data.synthetic._arguments import as_key, whole, within


def tones(
    key: Any,
    n: int,
    length: int = 1024,
    *,
    sample_rate: float = 16_000.0,
    low: float = 200.0,
    high: float = 4_000.0,
    noise: Any = 0.0,
) -> dict[str, Array]:
    r"""Pure tones $\sin(2\pi (f t / r + \varphi))$ of a random frequency and phase; the target is the frequency.

    Args:
        key: an int or a JAX key.
        n: how many tones; static.
        length: samples of each; static.
        sample_rate: samples a second, $r$, in Hz.
        low: the lowest frequency in Hz, 0 or more.
        high: the highest in Hz, at least `low` and below half the sample rate, above which a tone would fold back.
        noise: standard deviation of the Gaussian noise on every sample; 0 or more. A tone's amplitude is 1.

    Returns:
        `{"x": (n, length, 1) float32, "y": (n, 1) float32 in Hz}`; frequencies are uniform from `low` to `high`.

    Raises:
        TypeError: a size is not an int.
        ValueError: an argument is out of range.

    Source: Shannon, Communication in the Presence of Noise (1949), for half the sample rate.

    Example:
        >>> batch = tones(0, 4)
        >>> batch["x"].shape, bool(((batch["y"] >= 200) & (batch["y"] <= 4000)).all())
        ((4, 1024, 1), True)
    """
    n, length, draws, around = _drawn("tones", key, n, length, 2, sample_rate, low, high, noise)
    frequency = low + (high - low) * draws[:, :1]  # (n, 1)
    cycles = frequency * (jnp.arange(length) / sample_rate) + draws[:, 1:]  # (n, length)
    return {"x": _wave(cycles) + noise * around, "y": frequency}


def chirps(
    key: Any,
    n: int,
    length: int = 1024,
    *,
    sample_rate: float = 16_000.0,
    low: float = 200.0,
    high: float = 4_000.0,
    noise: Any = 0.0,
) -> dict[str, Array]:
    r"""Tones whose frequency moves evenly from $f_0$ to $f_1$: $\sin(2\pi (f_0 t + (f_1 - f_0) t^2 / 2T + \varphi))$.

    Args:
        key: an int or a JAX key.
        n: how many chirps; static.
        length: samples of each; static. They last $T$ = `length / sample_rate` seconds.
        sample_rate: samples a second, in Hz.
        low: the lowest frequency in Hz, 0 or more.
        high: the highest in Hz, at least `low` and below half the sample rate.
        noise: standard deviation of the Gaussian noise on every sample; 0 or more. A chirp's amplitude is 1.

    Returns:
        `{"x": (n, length, 1) float32, "y": (n, 2) float32 in Hz}`: the frequencies at the start and at the end, each
        uniform from `low` to `high`; about half of the chirps rise.

    Raises:
        TypeError: a size is not an int.
        ValueError: an argument is out of range.

    Source: Klauder, Price, Darlington and Albersheim, The Theory and Design of Chirp Radars (1960).

    Example:
        >>> batch = chirps(0, 4, length=512)
        >>> batch["x"].shape, batch["y"].shape
        ((4, 512, 1), (4, 2))
    """
    n, length, draws, around = _drawn("chirps", key, n, length, 3, sample_rate, low, high, noise)
    ends = low + (high - low) * draws[:, :2]
    time = jnp.arange(length) / sample_rate  # (length,), seconds
    # Halfway to a sample the frequency is the mean of the start's and that sample's.
    mean = ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * (jnp.arange(length) / (2 * length))
    return {"x": _wave(mean * time + draws[:, 2:]) + noise * around, "y": ends}


def _wave(cycles: Array) -> Array:
    # Whole cycles are taken off first: float32 knows the sine of a large angle badly.
    return jnp.sin(2 * jnp.pi * (cycles - jnp.floor(cycles)))[..., None]


def _drawn(
    where: str, key: Any, n: int, length: int, numbers: int, rate: float, low: float, high: float, noise: Any
) -> tuple[int, int, Array, Array]:
    n, length = whole(f"{where} n", n), whole(f"{where} length", length)
    within(f"{where} noise", noise, 0)
    within(f"{where} sample_rate", rate, 0, open_low=True)
    if not any(isinstance(one, Tracer) for one in (rate, low, high)):
        if not 0 <= low <= high < rate / 2:
            raise ValueError(
                f"{where}: expected 0 <= low <= high < sample_rate / 2 = {rate / 2:g} Hz, found low={low:g}, "
                f"high={high:g}"
            )
    draw, around = jax.random.split(as_key(where, key))
    return n, length, jax.random.uniform(draw, (n, numbers)), jax.random.normal(around, (n, length, 1))
