"""Recipes on disk: a JSON form of values and their arguments, from which only dlcore's own factories are resolved."""

import importlib
import inspect
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.errors import DlcoreError, suggest
from dlcore.recipe import changed_arguments, recipe_of, show


def reference(thing: Callable[..., Any]) -> str:
    """Returns the public dotted name of a factory or function: `dlcore.layers.dense`."""
    rooms = [part for part in thing.__module__.split(".") if not part.startswith("_")]
    return ".".join([*rooms, thing.__qualname__])


def to_json(value: Any) -> Any:
    """Returns the JSON form of a value or argument; what has none is kept as its repr, for people to read.

    Example:
      >>> from dlcore.layers import dense
      >>> to_json(dense(128, use_bias=False))
      {'recipe': 'dlcore.layers.dense', 'arguments': {'features': 128, 'use_bias': False}}
    """
    made = recipe_of(value)
    if made is not None:
        arguments = {parameter.name: to_json(item) for parameter, item in changed_arguments(made)}
        return {"recipe": reference(made.factory), "arguments": arguments}
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) is list:
        return [to_json(item) for item in value]
    if type(value) is tuple:
        return {"tuple": [to_json(item) for item in value]}
    if type(value) is dict and all(isinstance(name, str) for name in value):
        return {"dict": {name: to_json(item) for name, item in value.items()}}
    if isinstance(value, np.dtype):
        return {"dtype": value.name}
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return {"key": jax.random.key_data(value).tolist(), "impl": str(jax.random.key_impl(value))}
    if isinstance(value, np.ndarray | np.generic) and value.size <= 4096 and value.dtype.kind in "biuf":
        return {"array": value.tolist(), "dtype": value.dtype.name}
    if inspect.isfunction(value) and _find(reference(value)) is value:
        return {"function": reference(value)}
    return {"opaque": re.sub(r" at 0x[0-9a-f]+", "", show(value))}  # an address is no part of what it is


def from_json(data: Any) -> Any:
    """Builds a value again from `to_json`'s form. Only `dlcore.*` names are looked up; nothing is executed.

    Raises:
      DlcoreError: where the form names something outside dlcore, or something that had no JSON form.
    """
    if isinstance(data, list):
        return [from_json(item) for item in data]
    if not isinstance(data, dict):
        return data
    match data:
        case {"recipe": str(name), "arguments": dict(arguments)}:
            factory = _find(name)
            if not getattr(factory, "is_recipe", False):
                raise DlcoreError(f"recipe {name!r} is not one of dlcore's: build the value yourself and pass it in")
            signature = inspect.signature(factory)
            if unknown := [key for key in arguments if key not in signature.parameters]:
                raise DlcoreError(f"recipe {name!r} takes no {unknown[0]!r}{suggest(unknown[0], signature.parameters)}")
            given = inspect.BoundArguments(signature, {key: from_json(item) for key, item in arguments.items()})  # pyright: ignore[reportArgumentType]
            given.apply_defaults()  # without them, the arguments after a missing one would be given by name
            return factory(*given.args, **given.kwargs)
        case {"tuple": list(items)}:
            return tuple(from_json(item) for item in items)
        case {"dict": dict(items)}:
            return {name: from_json(item) for name, item in items.items()}
        # Numbers alone: a text of "S2000000000" would take two gigabytes.
        case {"array": items, "dtype": str(name)} if np.dtype(name).kind in "biuf":
            return np.asarray(items, dtype=name)[()]
        case {"dtype": str(name)} if len(data) == 1:
            return np.dtype(name)
        case {"key": list(numbers), "impl": str(name)}:
            return jax.random.wrap_key_data(jnp.asarray(numbers, jnp.uint32), impl=name)
        case {"function": str(name)} if inspect.isfunction(found := _find(name)):
            return found
    raise DlcoreError(f"no value can be built from {data!r}: build it yourself and pass it in")


def _find(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    if module.split(".")[0] != "dlcore" or any(part.startswith("_") for part in name.split(".")):
        return None
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except ImportError:
        return None
    # What a module of ours has only imported from elsewhere is not ours.
    return found if callable(found) and reference(found) == name else None
