"""Values that remember how they were made.

A factory marked `@recipe` returns a value that knows the factory and its bound arguments. That gives the value its
repr, its equality, and a JSON form (`dlcore.json_form`). Equal recipes are *one object* while that object lives, so
whatever is cached under the object (a traced function, a compiled program) is found again when a notebook cell is run
again.

    >>> from dlcore.layers import dense
    >>> dense(128, use_bias=False)
    dense(128, use_bias=False)
    >>> dense(128) is dense(features=128, use_bias=True)
    True
"""

import functools
import hashlib
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, TypeVar
from weakref import WeakValueDictionary

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from dlcore.errors import bind

P = ParamSpec("P")
T = TypeVar("T")


class Recipe(NamedTuple):
    """How a value was made: the factory, and its arguments with the defaults filled in."""

    factory: Callable[..., Any]
    bound: inspect.BoundArguments

    def __repr__(self) -> str:
        words = []
        for parameter, value in changed_arguments(self):
            if parameter.kind is parameter.VAR_POSITIONAL:
                words += [show(item) for item in value]
            elif parameter.kind is parameter.VAR_KEYWORD:
                words += [f"{name}={show(item)}" for name, item in value.items()]
            elif parameter.default is parameter.empty and parameter.kind is not parameter.KEYWORD_ONLY:
                words.append(show(value))
            else:
                words.append(f"{parameter.name}={show(value)}")
        return f"{self.factory.__name__}({', '.join(words)})"


class Value:
    """Base of the values that recipes make; equality is identity, because equal recipes are one object."""

    recipe: Recipe | None = None

    def __repr__(self) -> str:
        return repr(self.recipe) if self.recipe else object.__repr__(self)


class Function(Value):
    """A pure function with a recipe: an initializer, a loss, an objective, a step."""

    def __init__(self, function: Callable[..., Any]):
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__wrapped__(*args, **kwargs)  # pyright: ignore[reportAttributeAccessIssue]


_living: WeakValueDictionary[Any, Any] = WeakValueDictionary()


def recipe(factory: Callable[P, T], wrap: Callable[[Any], Any] = Function, interned: bool = True) -> Callable[P, T]:
    """Marks a factory: its values know how they were made, and equal calls return one object.

    Arguments are compared by value where that is safe: numbers with their type (`1`, `1.0` and `True` differ), strings,
    dtypes, containers (which are copied), arrays by digest, and values that have a recipe. Everything else, functions
    and tracers among it, is compared by identity.

    Args:
      factory: a function of configuration, which returns a pure function or a value that `wrap` understands.
      wrap: makes of what `factory` returned a fresh object that can carry the recipe.
      interned: whether equal calls return one object; not for what its owner may change, such as arrays.

    Returns:
      The factory, with its signature.

    Raises:
      TypeError: by the factory, for arguments that it does not take; a typo in a name gets a suggestion.

    Example:
      >>> @recipe
      ... def scaled(factor): return lambda x: factor * x
      >>> scaled(2), scaled(2)(3), scaled(2) is scaled(2), scaled(2) is scaled(2.0)
      (scaled(2), 6, True, False)
    """
    signature = inspect.signature(factory)

    @functools.wraps(factory)
    def make(*args: P.args, **kwargs: P.kwargs) -> T:
        bound = bind(factory.__name__, signature, args, kwargs)
        bound.apply_defaults()
        for name, value in bound.arguments.items():
            bound.arguments[name] = _own(value)
        key = (make, *(comparable(value) for value in bound.arguments.values()))
        anchor = _living.get(key) if interned else None
        if anchor is None:
            value = wrap(factory(*bound.args, **bound.kwargs))
            anchor = _anchor(value)
            object.__setattr__(anchor, "recipe", Recipe(make, bound))  # a frozen dataclass carries one too
            if anchor is not value:
                anchor.whole = value
            anchor = _living.setdefault(key, anchor) if interned else anchor
        return getattr(anchor, "whole", anchor)

    make.is_recipe = True  # pyright: ignore[reportAttributeAccessIssue]
    return make


def recipe_of(value: Any) -> Recipe | None:
    """Returns the recipe of a value, or None where it has none (a plain function, an optax optimizer, an array)."""
    anchor = _anchor(value)
    # The function that anchors a pair is not the pair, and neither is a pair with one half replaced.
    return anchor.recipe if isinstance(anchor, Value) and getattr(anchor, "whole", anchor) is value else None


def _anchor(value: Any) -> Any:
    # Tuples can carry neither attributes nor weak references: an optax pair is found by its update function.
    return getattr(value, "update", value) if isinstance(value, tuple) else value


def _is_array(value: Any) -> bool:
    return isinstance(value, jax.Array | np.ndarray | np.generic) and not isinstance(value, Tracer)


def _own(value: Any) -> Any:
    """Copies what the caller could still change, and writes every dtype in one way."""
    if type(value) in (list, tuple):
        return type(value)(_own(item) for item in value)
    if type(value) is dict:
        return {name: _own(item) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        return value.copy()[()]  # an array without axes becomes a numpy scalar: one form for both
    if isinstance(value, type) and issubclass(value, np.generic):
        return np.dtype(value)
    if isinstance(value, type) and isinstance(getattr(value, "dtype", None), np.dtype):
        return value.dtype  # jnp.float32 and its kin  # pyright: ignore[reportAttributeAccessIssue]
    return value


class _Same:
    """A dictionary key that equals only itself: compares, and keeps alive, the very object."""

    def __init__(self, value: Any):
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def comparable(value: Any) -> Any:
    """Returns a hashable stand-in for an argument: equal stand-ins mean that one may be put in place of the other.

    Example:
      >>> comparable([1, 2.0]) == comparable([1, 2.0]), comparable(1) == comparable(1.0)
      (True, False)
    """
    if recipe_of(value) is not None:
        return _Same(_anchor(value))
    if value is None or isinstance(value, bool | int | str | bytes | np.dtype):
        return type(value), value
    if type(value) is float:  # not numpy's float64, which promotes otherwise
        return float, value.hex()  # tells -0.0 from 0.0, and lets nan equal nan
    if type(value) in (list, tuple):
        return type(value), *(comparable(item) for item in value)
    if type(value) is dict:
        return dict, *((comparable(name), comparable(item)) for name, item in value.items())
    if _is_array(value):
        is_key = jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
        plain = np.asarray(jax.random.key_data(value) if is_key else value)
        is_weak = getattr(value, "weak_type", False)
        return type(value), str(value.dtype), is_weak, plain.shape, hashlib.sha256(plain.tobytes()).digest()
    return _Same(value)


def changed_arguments(made: Recipe) -> list[tuple[inspect.Parameter, Any]]:
    """Returns the arguments that differ from their defaults, with their parameters."""
    parameters = inspect.signature(made.factory).parameters.values()
    pairs = [(parameter, made.bound.arguments[parameter.name]) for parameter in parameters]
    return [
        (parameter, value) for parameter, value in pairs if comparable(value) != comparable(_own(parameter.default))
    ]


def show(value: Any) -> str:
    """Returns an argument as it is printed in a recipe."""
    # JAX's own functions are objects: their repr would be an address.
    if recipe_of(value) is None and callable(value) and isinstance(getattr(value, "__qualname__", None), str):
        return value.__qualname__
    if isinstance(value, np.dtype):
        return value.name
    if _is_array(value) and value.ndim:
        return f"<{value.dtype}{list(value.shape)}>"
    return repr(value)
