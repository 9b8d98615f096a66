"""Flax modules, Linen and NNX, as layers."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.interpreters import partial_eval

from dlcore.checks import expect_params
from dlcore.compose import derive
from dlcore.core import layer


@layer
def from_flax(module: Any) -> Any:
    """A Flax module as a layer: `apply(params, state, *xs, key, train) = module(*xs)`.

    Params are the module's own, as nested dicts of arrays; state is what else it keeps. The usual keywords of its
    `__call__` are found by name and filled in: `train`, `training` and `is_training` are `train`,
    `use_running_average` is `not train`, and `deterministic` is `not train and key is None`, so that a key with
    `train=False` is Monte-Carlo dropout wherever the module tells the two apart.

    - A Linen module: state is every collection but `params` (`batch_stats`, ...), and is updated only in training.
      The key is Flax's `dropout` stream; streams of other names draw from a key derived of it.
    - An NNX constructor, called as `module(rngs=...)`: params are its `nnx.Param`s and state its other variables but
      for random streams, which are seeded from the key at each call. The modes are set on all its submodules.
    - An NNX module itself means pretrained weights: `init` returns copies of those that it holds at that time.

    Args:
      module: a Linen module, a function of `rngs` that makes an NNX module, or an NNX module.

    Returns:
      A layer on what the module is called with. `init` reads only shapes, so a Linen module whose variables depend on
      the values of its input cannot be initialised.

    Raises:
      TypeError: for anything else.
      ValueError: by apply, for a module that draws, in training or always, and gets no key.

    Source: Heek et al., 2020, Flax: a neural network library and ecosystem for JAX.

    Example:
      >>> from flax import linen, nnx
      >>> net = from_flax(linen.Dense(3))
      >>> params, state = net.init(jax.random.key(0), jnp.zeros((2, 4)))
      >>> jax.tree.map(jnp.shape, params)
      {'bias': (3,), 'kernel': (4, 3)}
      >>> net = from_flax(lambda rngs: nnx.BatchNorm(4, rngs=rngs))
      >>> params, state = net.init(jax.random.key(0), jnp.zeros((2, 4)))
      >>> y, state = net.apply(params, state, jnp.ones((2, 4)), train=True)
      >>> state["mean"]
      Array([0.01, 0.01, 0.01, 0.01], dtype=float32)
    """
    from flax import linen, nnx

    if isinstance(module, linen.Module):
        return _from_linen(module)
    if isinstance(module, nnx.Module):
        return _from_nnx(lambda rngs: module, module)
    if isinstance(module, type) and issubclass(module, linen.Module):
        raise TypeError(f"module: expected a Linen module, found the class: call it, {module.__name__}(...)")
    if callable(module):
        made = nnx.eval_shape(lambda: module(rngs=nnx.Rngs(0)))
        if isinstance(made, nnx.Module):
            return _from_nnx(module, made)
        raise TypeError(
            f"module: expected a function of `rngs` that returns an NNX module, found {module!r}, which does not"
        )
    raise TypeError(f"module: expected a Flax module, or a function of `rngs` that makes one, found {module!r}")


def _modes(module: Any, key: Any, train: bool) -> dict[str, bool]:
    """Returns the keywords that tell the module's `__call__` the mode."""
    taken = inspect.signature(type(module).__call__).parameters
    modes = dict.fromkeys(("train", "training", "is_training"), train)
    modes |= {"deterministic": not train and key is None, "use_running_average": not train}
    # Flax refuses a mode that was set as a field of the module as well.
    is_field = lambda name: isinstance(getattr(module, name, None), bool)
    return {name: mode for name, mode in modes.items() if name in taken and not is_field(name)}


# --- Linen ---------------------------------------------------------------------------------------------------------


def _from_linen(module: Any) -> Any:
    from flax import errors
    from flax.core import meta, unfreeze

    def init(key: Any, *xs: Any) -> tuple[dict, dict]:
        modes = _modes(module, None, False)
        shapes = jax.eval_shape(lambda key, *xs: module.init({"params": key}, *xs, **modes), key, *xs)
        # What a module sows (losses, activations) grows at each call, in tuples: it is no state.
        kept = [name for name, tree in unfreeze(meta.unbox(shapes)).items() if not _has_tuples(tree)]
        variables = unfreeze(meta.unbox(module.lazy_init({"params": key}, *xs, mutable=kept, **modes)))
        params = variables.pop("params", {})
        return params, {name: tree for name, tree in variables.items() if tree}

    def apply(params: Any, state: Any, *xs: Any, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        rngs = {} if key is None else {"dropout": key, "params": derive(key, "params")}
        mutable = list(state) if train and state else False
        try:
            made = module.apply(
                {"params": params, **state}, *xs, rngs=rngs, mutable=mutable, **_modes(module, key, train)
            )
        except errors.InvalidRngError as error:
            if key is not None:
                raise
            raise ValueError(_needs_key(module)) from error
        if not mutable:
            return made, state
        y, updated = made
        return y, {**state, **unfreeze(updated)}

    return init, apply


def _has_tuples(tree: Any) -> bool:
    return any(_has_tuples(item) for item in tree.values()) if isinstance(tree, dict) else isinstance(tree, tuple)


def _needs_key(module: Any) -> str:
    return f"{type(module).__name__} draws random numbers, and needs a key: apply(params, state, *xs, key=key)"


# --- NNX -----------------------------------------------------------------------------------------------------------


def _from_nnx(constructor: Callable[..., Any], example: Any) -> Any:
    """`example` may be abstract: of it, only the structure and the shapes are kept."""
    from flax import nnx

    def variables(module: Any) -> tuple[Any, tuple[dict[Any, Any], dict[Any, Any], dict[Any, Any]]]:
        graph, *groups = nnx.split(module, nnx.Param, nnx.RngState, ...)
        params, streams, rest = (dict(nnx.to_flat_state(group)) for group in groups)
        return graph, (params, rest, streams)

    def values(group: dict[Any, Any]) -> dict[Any, Any]:
        # An array may also stand in an NNX module as it is, without a variable around it.
        return {path: item.get_value() if isinstance(item, nnx.Variable) else item for path, item in group.items()}

    def filled(group: dict[Any, Any], given: dict[str, Any]) -> list[Any]:
        pairs = [(path, variable, given[_name(path)]) for path, variable in group.items()]
        return [(path, old.replace(new) if isinstance(old, nnx.Variable) else new) for path, old, new in pairs]

    graph, groups = variables(example)
    shapes = [{_name(path): jnp.shape(value) for path, value in values(group).items()} for group in groups]

    def seeds(key: Any) -> dict[str, Any]:
        def seed(path: Any, variable: Any) -> Any:
            if isinstance(variable, nnx.RngCount):
                return jnp.zeros(variable.shape, variable.dtype)
            stream = derive(key, _name(path))
            return jax.random.split(stream, variable.shape) if variable.shape else stream

        return {_name(path): seed(path, variable) for path, variable in groups[2].items()}

    def run(params: Any, state: Any, xs: Any, key: Any, train: bool, drawn: Any) -> tuple[Any, Any]:
        given = (_flat(params), _flat(state), seeds(drawn))
        states = [pair for group, new in zip(groups, given, strict=True) for pair in filled(group, new)]
        module = nnx.merge(graph, nnx.from_flat_state(states))
        quiet = not train and key is None
        module.set_attributes(deterministic=quiet, use_running_average=not train, raise_if_not_found=False)
        modes: dict[str, Any] = _modes(module, key, train)
        if key is not None and "rngs" in inspect.signature(type(module).__call__).parameters:
            modes["rngs"] = nnx.Rngs(derive(key, "rngs"))
        y = module(*xs, **modes)
        after = values(variables(module)[1][1])
        return y, _nested({path: after[path] for path in groups[1]})

    def init(key: Any, *xs: Any) -> tuple[dict, dict]:
        params, rest, _ = variables(constructor(rngs=nnx.Rngs(key)))[1]
        copy = lambda group: {path: jnp.array(value) for path, value in values(group).items()}
        return _nested(copy(params)), _nested(copy(rest))

    def apply(params: Any, state: Any, *xs: Any, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        expect_params(_flat(params), **shapes[0])
        expect_params(_flat(state), "state", **shapes[1])
        if key is None and groups[2]:
            # The module has streams, and would draw the same numbers in every call: does its output depend on them?
            traced = jax.make_jaxpr(lambda drawn: run(params, state, xs, None, train, drawn))(jax.random.key(0))
            if any(partial_eval.dce_jaxpr(traced.jaxpr, [True] * len(traced.out_avals))[1]):
                raise ValueError(_needs_key(example))
        return run(params, state, xs, key, train, jax.random.key(0) if key is None else key)

    return init, apply


def _name(path: tuple[Any, ...]) -> str:
    return "/".join(map(str, path))


def _nested(flat: dict[tuple[Any, ...], Any]) -> dict[str, Any]:
    """Returns nested dicts by the parts of the paths, as strings: NNX numbers the items of its lists."""
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        branch = tree
        for part in path[:-1]:
            branch = branch.setdefault(str(part), {})
        branch[str(path[-1])] = value
    return tree


def _flat(tree: dict[str, Any], above: tuple[str, ...] = ()) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, item in tree.items():
        path = (*above, name)
        flat |= _flat(item, path) if isinstance(item, dict) else {_name(path): item}
    return flat
