"""The training chunk of `fit` as a function of plain arrays, and the shapes of its arguments: nothing is computed."""

import importlib.util
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import export

from dlcore.checks import shapes_of
from dlcore.data import Stacked
from dlcore.inspect import flops
from dlcore.train._keys import key_impl, plain_leaf, typed_leaf
from dlcore.train._rewind import is_small
from dlcore.train._session import make_fleet, make_ready
from dlcore.train._stream import STACK


class Ahead(NamedTuple):
    """A training chunk, ready to be lowered: `jax.jit(function, donate_argnums=range(donated)).lower(*structs)`."""

    function: Callable[..., Any]  # (*leaves of carry, k, *leaves of the source) -> leaves of (carry, log)
    structs: list[jax.ShapeDtypeStruct]
    names: list[str]  # of the leaves
    donated: int
    flops: int  # of a step, over all devices
    batch_size: int
    carry_bytes: int  # of params, state and optimizer, on all devices
    held_bytes: int  # the part of them that a device holds


def ahead(arguments: Mapping[str, Any]) -> Ahead:
    """Returns the chunk that `fit` would run.

    Args:
      arguments: of `fit`, all of them; as `mesh` also a layout for devices that are not here.

    Raises:
      TypeError, ValueError: as `fit`.
    """
    ready = make_ready(arguments)
    setup = ready.setup
    programs = make_fleet(setup, None).programs
    given = shapes_of((arguments["params"], arguments["state"] or {}))
    carry = jax.eval_shape(
        lambda own, given: programs.init(own, *given, inputs=setup.shapes), (ready.keys, ready.values), given
    )
    if setup.inputs.stream is not None:
        stacked = lambda leaf: jax.ShapeDtypeStruct((STACK, *leaf.shape), leaf.dtype)
        source = Stacked(jax.tree.map(stacked, setup.inputs.batch), jax.ShapeDtypeStruct((), np.int32))
    else:
        source = shapes_of(setup.inputs.source)
    chunk = programs.chunk if is_small(carry) else programs.guarded_chunk
    tree = (carry, jax.ShapeDtypeStruct((), np.int32), source)
    impls: Any = None

    def plain(tree: Any) -> Any:
        nonlocal impls
        impls = jax.tree.map(key_impl, tree)  # which only an array or a tracer tells
        return jax.tree.map(plain_leaf, tree)

    leaves, structure = jax.tree.flatten(jax.eval_shape(plain, tree))
    donated = len(jax.tree.leaves(carry))
    placed: list[Any] = [None] * len(leaves)
    if setup.layout is not None:  # as `MeshFleet` lays them
        placed = [*jax.tree.leaves(setup.layout.shardings(carry)), *placed[donated:]]
        rows = None if setup.inputs.stream is None else setup.layout.sharding((None, "data"))
        whole = [rows if rows and leaf.ndim > 1 else setup.layout.replicated for leaf in leaves]
        placed = [one or other for one, other in zip(placed, whole, strict=True)]
    structs = [
        jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=one) for leaf, one in zip(leaves, placed, strict=True)
    ]

    def function(*leaves: Any) -> list[Any]:
        arguments = jax.tree.map(typed_leaf, jax.tree.unflatten(structure, leaves), impls)
        return jax.tree.leaves(jax.tree.map(plain_leaf, chunk(*arguments)))

    paths = jax.tree_util.tree_leaves_with_path(tree)
    batch = jax.tree.leaves(setup.inputs.batch)
    return Ahead(
        function,
        structs,
        [_name(path) for path, _ in paths],
        donated,
        flops(lambda carry, batch: setup.step(carry, batch), carry, setup.inputs.batch),
        batch[0].shape[0] if batch and batch[0].shape else setup.batch_size,
        sum(leaf.size * leaf.dtype.itemsize for leaf in leaves[:donated]),
        sum(math.prod(_held(struct)) * struct.dtype.itemsize for struct in structs[:donated]),
    )


def exported(chunk: Ahead, platforms: tuple[str, ...]) -> Any:
    """Returns the chunk as `jax.export` gives it: StableHLO, for machines that need not be here.

    Raises:
      ImportError: where flatbuffers, which the format is written with, is not installed.
    """
    if importlib.util.find_spec("flatbuffers") is None:
        raise ImportError("exporting needs flatbuffers: pip install 'dlcore[export]'", name="flatbuffers")
    jitted = jax.jit(chunk.function, donate_argnums=tuple(range(chunk.donated)))
    return export.export(jitted, platforms=list(platforms))(*chunk.structs)


def _name(path: Any) -> str:
    parts = [str(getattr(key, "name", getattr(key, "key", getattr(key, "idx", key)))) for key in path]
    return "/".join(parts[1:]) if parts[0] == "0" else "k" if parts[0] == "1" else "/".join(["data", *parts[1:]])


def _held(struct: jax.ShapeDtypeStruct) -> tuple[int, ...]:
    return struct.shape if struct.sharding is None else struct.sharding.shard_shape(struct.shape)
