"""Schedules: the learning rate as a function of the step, `step -> rate`, each with a recipe.

Rates may be traced; steps count from 0. After its end a schedule stays at its last rate.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp

from dlcore.checks import expect_positive
from dlcore.optim._checks import check_least, check_rate
from dlcore.recipe import recipe

Schedule = Callable[[Any], Any]  # step -> rate


@recipe
def constant(rate: Any) -> Schedule:
    """The same rate at every step.

    Example:
      >>> float(constant(0.5)(7))
      0.5
    """
    check_rate(rate)
    return lambda step: jnp.asarray(rate)


@recipe
def piecewise(rate: Any, factors: Mapping[int, Any]) -> Schedule:
    """Rates that jump: from each of some steps on, multiplied by its factor.

    Args:
      rate: at the start.
      factors: by step.

    Example:
      >>> [round(float(piecewise(1.0, {2: 0.1, 4: 0.5})(step)), 3) for step in (0, 1, 2, 3, 4)]
      [1.0, 1.0, 0.1, 0.1, 0.05]
    """
    check_rate(rate)
    return lambda step: rate * jnp.prod(jnp.stack([jnp.where(step >= at, by, 1.0) for at, by in factors.items()]))


@recipe
def step_decay(rate: Any, every: int, factor: Any = 0.1) -> Schedule:
    """Step decay, `rate * factor^floor(step / every)`.

    Example:
      >>> [round(float(step_decay(1.0, 10)(step)), 3) for step in (0, 9, 10, 20)]
      [1.0, 1.0, 0.1, 0.01]
    """
    check_rate(rate)
    expect_positive(every=every)
    return lambda step: rate * jnp.asarray(factor, jnp.float32) ** (step // every)


@recipe
def exponential_decay(rate: Any, steps: int, factor: Any) -> Schedule:
    """Exponential decay, `rate * factor^(step / steps)`.

    Example:
      >>> [round(float(exponential_decay(1.0, 10, 0.5)(step)), 3) for step in (0, 5, 10)]
      [1.0, 0.707, 0.5]
    """
    check_rate(rate)
    expect_positive(steps=steps)
    return lambda step: rate * jnp.asarray(factor, jnp.float32) ** (step / steps)


@recipe
def linear(start: Any, end: Any, steps: int) -> Schedule:
    """A straight line from one rate to another.

    Example:
      >>> [round(float(linear(1.0, 0.0, 10)(step)), 3) for step in (0, 5, 10, 11)]
      [1.0, 0.5, 0.0, 0.0]
    """
    return polynomial(start, end, steps, 1.0)


@recipe
def polynomial(start: Any, end: Any, steps: int, power: Any = 2.0) -> Schedule:
    """Polynomial decay, `end + (start - end) * (1 - step / steps)^power`.

    Example:
      >>> [round(float(polynomial(1.0, 0.0, 10)(step)), 3) for step in (0, 5, 10, 11)]
      [1.0, 0.25, 0.0, 0.0]
    """
    check_least("start", start)
    check_least("end", end)
    expect_positive(steps=steps)
    return lambda step: end + (start - end) * (1 - jnp.minimum(step / steps, 1)) ** power


@recipe
def cosine_decay(rate: Any, steps: int, final: Any = 0.0) -> Schedule:
    """Half a cosine, `final + (rate - final) * (1 + cos(pi * step / steps)) / 2`.

    Source: Loshchilov and Hutter, SGDR, 2017 (without the restarts).

    Example:
      >>> [round(float(cosine_decay(1.0, 10)(step)), 3) for step in (0, 5, 10, 11)]
      [1.0, 0.5, 0.0, 0.0]
    """
    check_rate(rate)
    check_least("final", final)
    expect_positive(steps=steps)
    return lambda step: final + (rate - final) * (1 + jnp.cos(jnp.pi * jnp.minimum(step / steps, 1))) / 2


@recipe
def warmup_cosine(rate: Any, warmup: int, steps: int, final: Any = 0.0) -> Schedule:
    """A straight line from 0 up to the rate, and half a cosine down.

    Args:
      rate: the highest.
      warmup: steps until then.
      steps: in all.
      final: the last.

    Raises:
      ValueError: where the warm-up is as long as the whole.

    Source: Goyal et al., 2017 (warm-up); Loshchilov and Hutter, 2017.

    Example:
      >>> [round(float(warmup_cosine(1.0, 2, 12)(step)), 3) for step in (0, 1, 2, 7, 12)]
      [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    expect_positive(warmup=warmup)
    if warmup >= steps:
        raise ValueError(f"warmup: expected fewer than the {steps} steps in all, found {warmup}")
    down = cosine_decay(rate, steps - warmup, final)
    return lambda step: jnp.where(step < warmup, rate * step / warmup, down(step - warmup))


@recipe
def one_cycle(rate: Any, steps: int, *, up: float = 0.3, start: Any = 25.0, end: Any = 1e4) -> Schedule:
    """One cycle of cosines: from `rate / start` up to the rate, and down to `rate / start / end`.

    Args:
      rate: the highest.
      steps: in all.
      up: the share of them that goes up.
      start: by how much the first rate is smaller.
      end: by how much the last is smaller still.

    Source: Smith and Topin, Super-Convergence, 2019.

    Example:
      >>> [round(float(one_cycle(1.0, 100)(step)), 3) for step in (0, 30, 100)]
      [0.04, 1.0, 0.0]
    """
    check_rate(rate)
    expect_positive(steps=steps)
    if not 0 < up < 1:
        raise ValueError(f"up: expected a share between 0 and 1, found {up}")
    rise = cosine_decay(rate, max(1, round(up * steps)), rate / start)  # upside down
    fall = cosine_decay(rate, steps - round(up * steps), rate / start / end)
    top = round(up * steps)
    return lambda step: jnp.where(step < top, rise(top - step), fall(step - top))


@recipe
def inverse_sqrt(rate: Any, warmup: int) -> Schedule:
    """The Transformer's: a straight line up to the rate, and then `rate * sqrt(warmup / step)`.

    Source: Vaswani et al., Attention Is All You Need, 2017.

    Example:
      >>> [round(float(inverse_sqrt(1.0, 100)(step)), 3) for step in (0, 50, 100, 400)]
      [0.0, 0.5, 1.0, 0.5]
    """
    check_rate(rate)
    expect_positive(warmup=warmup)
    return lambda step: rate * jnp.minimum(step / warmup, jnp.sqrt(warmup / jnp.maximum(step, 1)))
