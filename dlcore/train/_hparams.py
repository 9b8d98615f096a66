"""Hyperparameters as traced values: a new learning rate is a new argument, not a new program."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from dlcore.core import Layer
from dlcore.errors import suggest
from dlcore.optim import Optimizer
from dlcore.recipe import recipe, recipe_of


@recipe
def from_hparams(factory: Callable[..., Any], fixed: dict[str, Any], names: tuple[str, ...]) -> Any:
    """An optimizer as a function of the hyperparameters: `factory(**fixed, **{name: hparams[name]})`."""
    return lambda hparams: factory(**fixed, **{name: hparams[name] for name in names})


def split_optimizer(optimizer: Any) -> tuple[Any, dict[str, float]]:
    """Takes the numbers out of a `dl.optim` optimizer; any other comes back as it is.

    All of them become traced values, in every kind of run: a constant and a traced decay differ in the last bit.
    """
    made = recipe_of(optimizer) if isinstance(optimizer, Optimizer) else None
    if made is None:
        return optimizer, {}
    # A whole number is structure (how many steps are gathered), unless it was meant as a rate: `sgd(1)`.
    is_number = lambda name, value: type(value) is float or (type(value) is int and name == "learning_rate")
    numbers = {name: float(value) for name, value in made.bound.arguments.items() if is_number(name, value)}
    if not numbers:
        return optimizer, {}
    fixed = {k: v for k, v in made.bound.arguments.items() if k not in numbers}
    return from_hparams(made.factory, fixed, tuple(numbers)), numbers


def schedule_of(optimizer: Any) -> Callable[[Any], Any] | None:
    """Returns the learning rate of a `dl.optim` optimizer where it is a function of the step."""
    made = recipe_of(optimizer) if isinstance(optimizer, Optimizer) else None
    rate = made.bound.arguments.get("learning_rate") if made else None
    return rate if callable(rate) else None


def is_builder(thing: Any) -> bool:
    """Whether a thing is a function of one argument, the hyperparameters."""
    if thing is None or isinstance(thing, Layer) or hasattr(thing, "update") or not callable(thing):
        return False
    if getattr(thing, "is_recipe", False):  # a factory that nobody has called
        return False
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(thing).parameters.values()
    return sum(p.kind in kinds and p.default is p.empty for p in parameters) == 1


@recipe
def with_structure(build: Callable[[Any], Any], structure: dict[str, Any]) -> Any:
    """A function of the hyperparameters, some of which are known beforehand: `build(hparams | structure)`."""

    def built(hparams: Mapping[str, Any]) -> Any:
        merged = Recorder({**hparams, **structure})
        merged.names = getattr(hparams, "names", merged.names)
        return build(merged)

    return built


def split_hparams(given: Mapping[str, Any], known: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the numbers, which are traced values, and the structure, which is what a program is compiled for.

    A floating number is a value, and so is whatever the optimizer takes as a number; anything else is structure: whole
    numbers (a width, a depth), names, functions, layers.

    Args:
      given: the user's, which win over `known`.
      known: those of the optimizer.
    """
    numbers, structure = dict(known), {}
    for name, value in given.items():
        is_number = _is_number(value) and jnp.ndim(value) == 0
        if is_number and (name in known or jnp.issubdtype(jnp.result_type(value), jnp.floating)):
            numbers[name] = value if isinstance(value, Tracer) else float(value)
        elif name in known:
            raise TypeError(f"hparams[{name!r}]: expected a number, found {value!r}")
        elif isinstance(value, np.ndarray | jax.Array) and value.ndim:
            raise TypeError(f"hparams[{name!r}]: expected a number or structure, found an array of shape {value.shape}")
        else:
            structure[name] = value
    return numbers, structure


def check_builders(values: Mapping[str, Any], builders: list[Any]) -> None:
    """Builds everything once from the concrete values.

    The factories check what they are given, so a rate out of range is refused before anything is compiled.

    Raises:
      ValueError: for a name that is wanted and was not given, and by the factories.
    """
    for build in builders:
        build(Recorder(dict(values)))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.generic | np.ndarray | jax.Array) and not isinstance(
        value, bool | np.bool_
    )


def as_arrays(hparams: Mapping[str, Any]) -> dict[str, jax.Array]:
    """Returns hyperparameters as float32 scalars, which promote no float32 parameter where JAX runs in 64 bits."""
    return {name: jnp.asarray(value, jnp.float32) for name, value in hparams.items()}


class Recorder(dict):
    """Hyperparameters that remember, in `names`, which of them were read."""

    def __init__(self, values: dict[str, Any]):
        super().__init__(values)
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.names.add(name)
        if name not in self:
            raise ValueError(f"hparams: {name!r} is wanted and was not given{suggest(name, self)}")
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return super().get(name, default)
