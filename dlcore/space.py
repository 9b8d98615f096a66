"""Spaces of hyperparameters: grids, random draws, and the points that they stand for.

A space is a mapping from names to lists of values (a grid) or to distributions, or a list of points.

    >>> points({"learning_rate": [1e-3, 1e-2], "activation": ["relu", "tanh"]})[0]
    {'learning_rate': 0.001, 'activation': 'relu'}
"""

import contextlib
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from dlcore.recipe import Value, comparable, recipe

__all__ = ["Distribution", "choice", "log_uniform", "points", "uniform"]


class Distribution(Value):
    """What values are drawn from; `draw` takes a NumPy generator."""

    def __init__(self, draw: Callable[[np.random.Generator], Any]):
        self.draw = draw


def _distribution(factory: Callable[..., Any]) -> Callable[..., Distribution]:
    return recipe(factory, wrap=Distribution)


@_distribution
def uniform(low: float, high: float) -> Any:
    """Draws evenly between two numbers.

    Args:
      low: the least.
      high: the most.

    Raises:
      ValueError: unless low < high.

    Example:
      >>> 0.0 <= uniform(0.0, 0.5).draw(np.random.default_rng(0)) < 0.5
      True
    """
    _check_range("uniform", low, high)
    return lambda random: float(random.uniform(low, high))


@_distribution
def log_uniform(low: float, high: float) -> Any:
    """Draws so that every factor is as likely as any other: exp(uniform(log low, log high)).

    Args:
      low: the least, above 0.
      high: the most.

    Raises:
      ValueError: unless 0 < low < high.

    Source: Bergstra and Bengio, Random Search for Hyper-Parameter Optimization, 2012.

    Example:
      >>> 1e-4 <= log_uniform(1e-4, 1e-1).draw(np.random.default_rng(0)) < 1e-1
      True
    """
    _check_range("log_uniform", low, high)
    if low <= 0:
        raise ValueError(f"log_uniform: expected low above 0, found {low}; use uniform")
    return lambda random: float(math.exp(random.uniform(math.log(low), math.log(high))))


@_distribution
def choice(*options: Any) -> Any:
    """Draws one of several values, each as likely as any other.

    Args:
      *options: the values.

    Raises:
      ValueError: for none.

    Example:
      >>> choice("relu", "tanh").draw(np.random.default_rng(0))
      'tanh'
    """
    if not options:
        raise ValueError("choice: expected values to choose from, found none")
    return lambda random: options[int(random.integers(len(options)))]


def points(
    space: Mapping[str, Any] | Sequence[Mapping[str, Any]], samples: int | None = None, key: Any = 0
) -> list[dict[str, Any]]:
    """Returns the points of a space: every combination of the grids, each with every random draw.

    Args:
      space: lists of values and distributions by name, or a list of points.
      samples: how many draws to make, where there are distributions.
      key: the seed of the draws, or a JAX key.

    Returns:
      A dict a point. Where an axis has floating numbers, its whole numbers become floating too.

    Raises:
      TypeError: for a space, an axis or a point that is none.
      ValueError: for an empty one, a value that is there twice, and for `samples` where it does not belong.

    Example:
      >>> len(points({"learning_rate": log_uniform(1e-4, 1e-1), "width": [32, 64]}, samples=5))
      10
    """
    if not isinstance(space, Mapping):
        if not isinstance(space, Sequence) or isinstance(space, str) or not all(isinstance(p, Mapping) for p in space):
            raise TypeError(f"space: expected values by name, or a list of points, found {space!r}")
        if not space or any(p.keys() != space[0].keys() for p in space):
            raise ValueError("space: expected one or more points with the same names")
        return [dict(point) for point in space]
    if not space:
        raise ValueError("space: expected one or more names, found none")
    grid = {name: _axis(name, values) for name, values in space.items() if not isinstance(values, Distribution)}
    random = {name: values for name, values in space.items() if isinstance(values, Distribution)}
    if bool(random) != (samples is not None):
        wanted = "say how many draws: samples=20" if random else "only distributions are drawn from; leave it out"
        raise ValueError(f"samples: {wanted}")
    if samples is not None and (not isinstance(samples, int) or isinstance(samples, bool) or samples < 1):
        raise ValueError(f"samples: expected a positive whole number, found {samples!r}")
    is_seed = isinstance(key, int | np.integer)
    generator = np.random.default_rng(key if is_seed else np.ravel(jax.random.key_data(key)))
    draws = [{name: values.draw(generator) for name, values in random.items()} for _ in range(samples or 1)]
    combinations = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    found = [draw | combination for draw in draws for combination in combinations]
    return [{name: point[name] for name in space} for point in found]


def grid_of(text: str) -> tuple[str, list[Any]]:
    """Reads an axis as it is written on a command line.

    Args:
      text: `NAME=VALUE,VALUE,...`; what is no number is a word.

    Raises:
      ValueError: for anything else.

    Example:
      >>> grid_of("learning-rate=1e-3,1e-2"), grid_of("activation=relu")
      (('learning_rate', [0.001, 0.01]), ('activation', ['relu']))
    """
    name, equals, values = text.partition("=")
    if not (name and equals and values):
        raise ValueError(f"--grid: expected NAME=VALUE,VALUE,..., found {text!r}")
    return name.replace("-", "_"), [_number(value) for value in values.split(",")]


def range_of(text: str) -> tuple[str, Distribution]:
    """Reads a range as it is written on a command line: log-uniform from above 0, uniform from 0 on.

    Args:
      text: `NAME=LOW:HIGH`.

    Raises:
      ValueError: for anything else.

    Example:
      >>> range_of("learning_rate=1e-4:0.1"), range_of("dropout=0:0.5")
      (('learning_rate', log_uniform(0.0001, 0.1)), ('dropout', uniform(0.0, 0.5)))
    """
    name, equals, bounds = text.partition("=")
    numbers = [_number(bound) for bound in bounds.split(":")]
    if not (name and equals) or len(numbers) != 2 or any(isinstance(number, str) for number in numbers):
        raise ValueError(f"--random: expected NAME=LOW:HIGH, found {text!r}")
    low, high = map(float, numbers)
    return name.replace("-", "_"), log_uniform(low, high) if low > 0 else uniform(low, high)


def _number(text: str) -> Any:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def _axis(name: str, values: Any) -> list[Any]:
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        raise TypeError(f"space[{name!r}]: expected a list of values or a distribution, found {values!r}")
    found = [value.item() if isinstance(value, np.generic) else value for value in values]
    if not found:
        raise ValueError(f"space[{name!r}]: expected one or more values, found none")
    if any(type(value) is float for value in found):
        found = [float(value) if type(value) is int else value for value in found]
    if len({comparable(value) for value in found}) < len(found):
        raise ValueError(f"space[{name!r}]: a value is there twice: {found}")
    return found


def _check_range(name: str, low: float, high: float) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"{name}: expected low < high, found {low} and {high}")
