"""Layers: pairs of pure functions.

    init (key, *xs)                                  -> (params, state)
    apply(params, state, *xs, key=None, train=False) -> (y, state)

`init` reads only the shapes and dtypes of `xs`. `train` decides which statistics are used; a layer draws if and only
if it gets a `key`. Params and state are nested dicts of arrays, keyed by child name; what is empty is left out.

A leaf is written by hand (see `layers/_dense.py`); everything else is `compose` (see `compose.py`).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, ParamSpec

import jax

from dlcore.checks import expect_key, shapes_of
from dlcore.recipe import Value, recipe

P = ParamSpec("P")


class Plan(NamedTuple):
    """What a layer will be for inputs of given shapes: everything but `init` holds shapes in place of arrays."""

    inputs: tuple[Any, ...]
    output: Any
    params: Any
    state: Any
    init: Callable[[Any], tuple[Any, Any]]  # key -> (params, state)
    children: Mapping[str, "Plan"] = MappingProxyType({})
    count: int = 1  # how many times a scan runs the children
    layer: Any = None  # the Layer that was planned


class Layer(Value):
    """A pair of pure functions, `init` and `apply`.

    Args:
      init: `(key, *xs) -> (params, state)`; it is given `jax.ShapeDtypeStruct`s.
      apply: `(params, state, *xs, key=None, train=False) -> (y, state)`.
      plan: `(*shapes) -> Plan`, by combinators in place of `init`; their `apply` takes one more keyword, `tap`, which
        they hand on to their children.
    """

    def __init__(self, init: Any, apply: Callable[..., Any], plan: Callable[..., Plan] | None = None):
        def plan_leaf(*inputs: Any) -> Plan:
            def trace(key: Any, *xs: Any) -> Any:
                params, state = init(key, *inputs)
                return apply(params, state, *xs)[0], params, state

            output, params, state = jax.eval_shape(trace, jax.eval_shape(lambda: jax.random.key(0)), *inputs)
            return Plan(inputs, output, params, state, lambda key: init(key, *inputs))

        def init_planned(key: Any, *xs: Any) -> Any:
            return self.plan(*xs).init(expect_key(key))

        def init_leaf(key: Any, *xs: Any) -> Any:
            return init(expect_key(key), *shapes_of(xs))

        self._plan = plan or plan_leaf
        self.is_combinator = plan is not None
        # Attributes, not methods: `jax.jit(model.apply)` finds its trace again only by the very same function.
        self.init: Callable[..., Any] = init_planned if plan else init_leaf
        self.apply = apply

    def plan(self, *xs: Any) -> Plan:
        """Returns the shapes of everything for inputs of the shapes of `xs`, in one pass downwards."""
        return self._plan(*shapes_of(xs))._replace(layer=self)


def layer(factory: Callable[P, Any]) -> Callable[P, Layer]:
    """Marks a layer factory: `recipe` for functions that return a `Layer`, or an `(init, apply)` pair.

    Example:
      >>> @layer
      ... def scale_by(factor):
      ...     def init(key, x): return {}, {}
      ...     def apply(params, state, x, *, key=None, train=False): return factor * x, state
      ...     return init, apply
      >>> scale_by(3.0)
      scale_by(3.0)
      >>> scale_by(3.0).apply({}, {}, 2.0)
      (6.0, {})
    """

    def fresh(made: Any) -> Layer:
        # A new object even around a finished layer: `mlp((128,))` and the `serial` it is built of differ in recipe.
        if isinstance(made, Layer):
            copy = object.__new__(Layer)
            copy.__dict__.update(made.__dict__)
            copy.recipe = None
            return copy
        if isinstance(made, tuple) and len(made) == 2:
            return Layer(*made)
        raise TypeError(f"{factory.__name__} returned {made!r}; a layer factory returns a Layer or (init, apply)")

    return recipe(factory, fresh)


@layer
def lambda_layer(function: Callable[..., Any]) -> Any:
    """A function of arrays as a layer without parameters. Combinators make one of any function they are given.

    Example:
      >>> import jax.numpy as jnp
      >>> lambda_layer(jnp.tanh).apply({}, {}, 0.0)
      (Array(0., dtype=float32, weak_type=True), {})
    """

    def init(key: Any, *xs: Any) -> tuple[dict, dict]:
        return {}, {}

    def apply(params: Any, state: Any, *xs: Any, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        return function(*xs), state

    return init, apply


def as_layer(child: Any, name: str = "child") -> Layer:
    """Returns a layer as it is, and a function of arrays as a `lambda_layer`."""
    if isinstance(child, Layer):
        return child
    hint = ""
    if getattr(child, "is_recipe", False):
        hint = f"; call it: {child.__name__}(...)"
    elif any(base.__module__.startswith("flax.") for base in type(child).__mro__):
        hint = "; make a layer of it: from_flax(module)"
    if hint or isinstance(child, type) or not callable(child):
        raise TypeError(f"{name}: expected a layer or a function of arrays, found {child!r}{hint}")
    return lambda_layer(child)
