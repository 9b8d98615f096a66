"""Layers: pairs of pure functions, and the one general way of composing them.

    init (key, *xs)                                  -> (params, state)
    apply(params, state, *xs, key=None, train=False) -> (y, state)

`init` reads only the shapes and dtypes of `xs`. `train` decides which statistics are used; a layer draws if and only
if it gets a `key`. Params and state are nested dicts of arrays, keyed by child name; what is empty is left out.

A leaf is written by hand (see `layers/_dense.py`); everything else is `compose`, which threads params, state, keys and
`train` through a `forward` function, so that nothing else has to.
"""

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, ParamSpec

import jax
import jax.numpy as jnp
from jax.extend.core import get_opaque_trace_state
from jax.interpreters import partial_eval

from dlcore.checks import check_names, expect_key, say_shapes, scope, shapes_of
from dlcore.errors import suggest
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
      >>> lambda_layer(jnp.tanh).apply({}, {}, 0.0)
      (Array(0., dtype=float32, weak_type=True), {})
    """

    def init(key: Any, *xs: Any) -> tuple[dict, dict]:
        return {}, {}

    def apply(params: Any, state: Any, *xs: Any, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        return function(*xs), state

    return init, apply


class Call:
    """What `forward` gets: the children as callables, by attribute or by name, and whether this is training.

    `call.encoder(x)`, `call["0"](x)`, `call.train`; `call.embed.params` reads a child's parameters (for tied weights).
    """

    def __init__(self, visit: Callable[..., Any], read: Callable[[str], Any], children: Any, train: bool):
        self._visit, self._read, self._children = visit, read, children
        self.train = train

    def __getitem__(self, name: str) -> "Child":
        if name not in self._children:
            raise AttributeError(f"there is no child {name!r}{suggest(name, self._children)}")
        return Child(self._visit, self._read, name)

    __getattr__ = __getitem__


class Child:
    """A child inside `forward`: call it, or read its `params`."""

    def __init__(self, visit: Callable[..., Any], read: Callable[[str], Any], name: str):
        self._visit, self._read, self._name = visit, read, name

    def __call__(self, *xs: Any) -> Any:
        return self._visit(self._name, *xs)

    @property
    def params(self) -> Mapping[str, Any]:
        return MappingProxyType(self._read(self._name))


@layer
def compose(forward: Callable[..., Any], /, **children: Layer | Callable[..., Any]) -> Any:
    """The general combinator: a layer from a function of its children.

    `forward(call, *xs)` gets its children as callables and returns the output. A child called twice shares its
    weights, and its state threads through the calls in order; the same layer under two names does not share.
    Child number `i` under `name` draws from `fold_in(fold_in(key, crc32(name)), i)`, so that a new named child leaves
    the draws of all the others as they were.

    Args:
      forward: the computation. It may be traced several times, and must not depend on the values of arrays.
      **children: layers, or functions of arrays, by name.

    Returns:
      A layer whose params and state are dicts by child name.

    Raises:
      ValueError: for names that collide; at init, for a child that is never called, or called a second time with
        inputs that need other parameters; in apply, for params of another model.

    Example:
      >>> from dlcore.layers import dense
      >>> def forward(call, x):
      ...     return x + call.out(jax.nn.relu(call.hidden(x)))
      >>> block = compose(forward, hidden=dense(32), out=dense(8))
      >>> params, state = block.init(jax.random.key(0), jnp.zeros((4, 8)))
      >>> jax.tree.map(jnp.shape, params["hidden"])
      {'bias': (32,), 'kernel': (8, 32)}
    """
    layers = {name: as_layer(child, name) for name, child in children.items()}
    hashes = {name_hash(name): name for name in layers}
    for name in layers:
        if hashes[name_hash(name)] != name:
            raise ValueError(f"names {name!r} and {hashes[name_hash(name)]!r} have the same CRC-32: rename one of them")
        if name == "train" or name.startswith("_"):
            raise ValueError(f"child {name!r}: `train` and names that start with an underscore are taken; rename it")

    def plan(*specs: Any) -> Plan:
        plans: dict[str, Plan] = {}
        outputs: dict[Any, Any] = {}

        def visit(name: str, *xs: Any) -> Any:
            inputs = shapes_of(xs)
            leaves, tree = jax.tree.flatten(inputs)
            signature = (name, tree, tuple((leaf.shape, leaf.dtype) for leaf in leaves))
            if signature not in outputs:
                with scope(name):
                    made = layers[name].plan(*inputs)
                first = plans.setdefault(name, made)
                if (first.params, first.state) != (made.params, made.state):
                    raise ValueError(
                        f"child {name!r} is called with {say_shapes(first.inputs)} and {say_shapes(inputs)}, which "
                        f"need different parameters: {say_shapes(first.params)} and {say_shapes(made.params)}; use "
                        "two children"
                    )
                outputs[signature] = made.output
            return jax.tree.map(lambda spec: jnp.zeros(spec.shape, spec.dtype), outputs[signature])

        def read(name: str) -> Any:
            if name not in plans:
                raise ValueError(f"the params of child {name!r} are read before its first call")
            return jax.tree.map(lambda spec: jnp.zeros(spec.shape, spec.dtype), plans[name].params)

        def trace(train: bool) -> Any:
            return jax.eval_shape(lambda *xs: forward(Call(visit, read, layers, train), *xs), *specs)

        output = trace(False)
        trace(True)  # a child that is reached only in training is initialised too
        if never := [name for name in layers if name not in plans]:
            who = getattr(forward, "__name__", forward)
            raise ValueError(f"child {never[0]!r} is never called by {who}: call it, or take it out")
        plans = {name: plans[name] for name in layers}

        def init(key: Any) -> tuple[Any, Any]:
            drawn = {name: child for name, child in plans.items() if child.params or child.state}
            keys = derive_all(key, drawn)
            return _unzip({name: child.init(keys[i]) for i, (name, child) in enumerate(drawn.items())})

        params, state = _unzip({name: (child.params, child.state) for name, child in plans.items()})
        return Plan(specs, output, params, state, init, plans)

    def apply(params: Any, state: Any, *xs: Any, key: Any = None, train: bool = False, tap: Any = None) -> Any:
        check_names("params", params, layers)
        check_names("state", state, layers)
        here, calls, state = get_opaque_trace_state(), Counter(), dict(state)

        def visit(name: str, *xs: Any) -> Any:
            child, index = layers[name], calls[name]
            calls[name] += 1
            keywords: dict[str, Any] = {"key": None if key is None else derive(key, name, index), "train": train}
            if tap is not None and child.is_combinator:
                keywords["tap"] = tap.at(name, index)
            arguments = (params.get(name, {}), state.get(name, {}), *xs)
            with scope(name):
                if here != get_opaque_trace_state():
                    _check_inner_call(child, arguments, keywords)
                y, after = child.apply(*arguments, **keywords)
            if after:
                state[name] = after
            return y if tap is None else tap.at(name, index).record(y)

        return forward(Call(visit, lambda name: params.get(name, {}), layers, train), *xs), state

    return Layer(None, apply, plan)


# --- what combinators share ----------------------------------------------------------------------------------------


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


def name_hash(name: str) -> int:
    """Returns the number that stands for a child's name in its keys: CRC-32, the same in every process."""
    return zlib.crc32(name.encode())


def derive(key: Any, name: str, index: Any = 0) -> Any:
    """Returns the key of call number `index` of child `name`."""
    return jax.random.fold_in(jax.random.fold_in(key, name_hash(name)), index)


def derive_all(key: Any, names: Iterable[str]) -> Any:
    """Returns the keys of the first calls of several children, stacked: one program to compile, not one a child."""
    hashes = jnp.array([name_hash(name) for name in names], jnp.uint32)
    return jax.vmap(lambda number: jax.random.fold_in(jax.random.fold_in(key, number), 0))(hashes)


def _unzip(pairs: dict[str, tuple[Any, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    params, state = ({name: pair[i] for name, pair in pairs.items() if pair[i]} for i in (0, 1))
    return params, state


def _check_inner_call(child: Layer, arguments: Any, keywords: dict[str, Any]) -> None:
    # Inside a transformation of the user's own a new state could not leave, and every lane would draw the same.
    problem = "has state" if jax.tree.leaves(arguments[1]) else ""
    if not problem and keywords["key"] is not None:
        draw = jax.make_jaxpr(lambda key: child.apply(*arguments, **(keywords | {"key": key})))(keywords["key"])
        used = partial_eval.dce_jaxpr(draw.jaxpr, [True] * len(draw.out_avals))[1]
        problem = "draws random numbers" if any(used) else ""
    if problem:
        raise ValueError(
            f"{child} {problem}, and is called inside a vmap, grad, scan or jit of your own: "
            "use `repeat`, `recurrent` or `remat`, which thread state and keys, or transform the whole layer"
        )
