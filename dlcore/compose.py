"""`compose`: the one general way of making a layer of layers, and where its children's keys come from.

It threads params, state, keys and `train` through a `forward` function, so that nothing else has to; `serial`,
`residual` and their kin are small layers on top.
"""

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import get_opaque_trace_state
from jax.interpreters import partial_eval
from jax.sharding import AxisType, PartitionSpec, get_abstract_mesh

from dlcore.checks import check_names, say_shapes, scope, shapes_of
from dlcore.core import Layer, Plan, as_layer, layer
from dlcore.debugging import watch
from dlcore.errors import suggest


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
                y = _keep_rows(y)
                watch(xs, arguments[0], y)
            if after:
                state[name] = after
            return y if tap is None else tap.at(name, index).record(y)

        return forward(Call(visit, lambda name: params.get(name, {}), layers, train), *xs), state

    return Layer(None, apply, plan)


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


def _keep_rows(y: Any) -> Any:
    """Leaves the examples where they are, if the program is compiled for a mesh of devices with an axis `data`.

    Left alone, the compiler may move the examples to the params where these are cut along `data` too: three times as
    many bytes were sent in a Transformer of width 256.
    """
    mesh = get_abstract_mesh()
    if mesh.empty or dict(zip(mesh.axis_names, mesh.axis_types, strict=True)).get("data") != AxisType.Auto:
        return y

    def one(leaf: Any) -> Any:
        if jnp.ndim(leaf) < 2 or leaf.shape[0] % mesh.shape["data"]:
            return leaf
        free = (PartitionSpec.UNCONSTRAINED,) * (leaf.ndim - 1)
        return jax.lax.with_sharding_constraint(leaf, PartitionSpec("data", *free))

    return jax.tree.map(one, y)


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
