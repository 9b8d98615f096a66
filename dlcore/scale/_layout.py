"""How params, optimizer state and batches lie on a mesh of devices."""

import contextlib
import functools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec

from dlcore.recipe import Value, recipe

__all__ = ["TENSOR_RULES", "Layout", "as_layout", "layout"]

Rules = Sequence[tuple[str, Sequence[str | None]]]

# Where a layer widens, its outputs are split, and where it narrows again its inputs: between the two no device needs
# what another has, and one sum at the end of each block is all that is sent.
TENSOR_RULES: Rules = (
    (r"(query|key|value|up|gate)/kernel$", (None, "model")),
    (r"(query|key|value|up|gate)/bias$", ("model",)),
    (r"(out|down)/kernel$", ("model", None)),
)

_DATA = "data"


class Layout(Value):
    """A mesh and the rules by which arrays lie on it; `layout` makes one."""

    def __init__(
        self, axes: Mapping[str, int], shard_params: bool, rules: Rules, least: int, mesh: AbstractMesh | None = None
    ):
        self.axes, self.shard_params, self.least = dict(axes), shard_params, least
        self.rules = [(re.compile(pattern), tuple(spec)) for pattern, spec in rules]
        self.size = math.prod(self.axes.values())
        self._given = mesh

    @functools.cached_property
    def mesh(self) -> Any:
        """The first of the devices that there are, in a row for each axis; made when it is first asked for."""
        if self._given is not None:
            return self._given
        self.check_devices()
        devices = np.array(jax.devices()[: self.size])
        kinds = (AxisType.Auto,) * len(self.axes)
        return Mesh(devices.reshape(tuple(self.axes.values())), tuple(self.axes), kinds)

    @functools.cached_property
    def elsewhere(self) -> "Layout":
        """The same over devices that are not here: programs can be exported for it, and not run."""
        kinds = (AxisType.Auto,) * len(self.axes)
        mesh = AbstractMesh(tuple(self.axes.values()), tuple(self.axes), axis_types=kinds)
        rules = [(pattern.pattern, spec) for pattern, spec in self.rules]
        return Layout(self.axes, self.shard_params, rules, self.least, mesh)

    def check_devices(self) -> None:
        """Refuses a mesh of more devices than there are.

        Raises:
            ValueError: says how many there are; also where other processes would be left without a part.
        """
        there = len(jax.devices())
        if self.size > there:
            raise ValueError(f"mesh: expected at most {there} devices, the ones there are, found {self.axes}")
        if self.size < there and jax.process_count() > 1:
            raise ValueError(f"mesh: expected all {there} devices of all processes, found {self.axes}")

    @property
    def is_shared(self) -> bool:
        """Whether several processes hold a part of it."""
        return self._given is None and jax.process_count() > 1

    @property
    def replicated(self) -> NamedSharding:
        """All of an array on every device."""
        return self.sharding(())

    def sharding(self, axes: Sequence[str | None]) -> NamedSharding:
        """The axes of an array along those of the mesh; what the mesh does not have is left out."""
        return NamedSharding(self.mesh, PartitionSpec(*(name if name in self.axes else None for name in axes)))

    def spec(self, path: str, shape: tuple[int, ...]) -> PartitionSpec:
        """Returns how an array lies.

        Args:
            path: its path in the tree, such as `params/encoder/query/kernel`.
            shape: its shape. What rules say is of the last axes: those that `repeat` puts before them stay whole.
        """
        axes: list[str | None] = [None] * len(shape)
        for pattern, wanted in self.rules:
            if pattern.search(path) and len(wanted) <= len(shape):
                offset = len(shape) - len(wanted)
                for at, name in enumerate(wanted):
                    if name in self.axes and shape[offset + at] % self.axes[name] == 0:
                        axes[offset + at] = name
                break
        if self.shard_params and _DATA in self.axes and math.prod(shape) >= self.least:
            whole = [at for at, name in enumerate(axes) if name is None and shape[at] % self.axes[_DATA] == 0]
            if whole:
                axes[max(whole, key=lambda at: shape[at])] = _DATA
        return PartitionSpec(*axes)

    def shardings(self, tree: Any) -> Any:
        """Returns how every leaf of a tree lies.

        It is a function of path and shape alone, so that the optimizer's copies lie as the params do.
        """

        def one(path: Any, leaf: Any) -> NamedSharding:
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            return NamedSharding(self.mesh, self.spec(name, leaf.shape))

        return jax.tree_util.tree_map_with_path(one, tree)

    def tracing(self) -> contextlib.AbstractContextManager[Any]:
        """Tells layers, while they are traced, that their examples lie on this mesh and are to stay where they are."""
        return jax.sharding.use_abstract_mesh(self.mesh.abstract_mesh)

    def constrain_batch(self, batch: Any) -> Any:
        """Cuts the first axis of a batch into a part for each device along `data`."""
        if _DATA not in self.axes:
            return batch

        def one(leaf: jax.Array) -> jax.Array:
            if not leaf.ndim or leaf.shape[0] % self.axes[_DATA]:
                return leaf
            return jax.lax.with_sharding_constraint(leaf, NamedSharding(self.mesh, PartitionSpec(_DATA)))

        return jax.tree.map(one, batch)

    def check_batch_size(self, batch_size: int) -> None:
        """Refuses a batch that cannot be cut evenly.

        Raises:
            ValueError: names the next smaller size that can.
        """
        parts = self.axes.get(_DATA, 1)
        if batch_size % parts:
            fits = batch_size - batch_size % parts or parts
            expected = f"a multiple of the {parts} devices along 'data'"
            raise ValueError(f"batch_size: expected {expected}, found {batch_size}; {fits} is one")


@functools.partial(recipe, wrap=lambda made: made)
def layout(
    axes: Mapping[str, int], *, shard_params: bool = False, rules: Rules = TENSOR_RULES, least: int = 1024
) -> Any:
    """How a run lies on many devices, for `fit(mesh=...)`: parallel by data, by params, by tensors, or all of them.

    Batches are cut along the axis `data`. Losses, metrics, batch norm and clipping are those of the whole batch: the
    program is that of one device, and the compiler puts the sums over devices where they belong (GSPMD).

    Args:
        axes: devices along each axis of the mesh, as in `{"data": 4, "model": 2}`.
        shard_params: whether each device keeps a part of params and optimizer state too, cut along `data`, and gathers
            what it needs when it needs it ("fully sharded").
        rules: (regular expression, axes) pairs; the first that is found in an array's path says how its last axes lie.
            By default heads and hidden units are split along `model`, if there is such an axis. An axis of the mesh
            that does not divide an array's axis is left out.
        least: arrays of fewer elements are not cut by `shard_params`.

    Returns:
        A `Layout`.

    Raises:
        ValueError: for axes of no devices, and for rules that name an unknown axis; for more devices than there are,
            where it is used.

    Source: Xu et al., GSPMD, 2021; Rajbhandari et al., ZeRO, 2020; Shoeybi et al., Megatron-LM, 2019 (the rules).

    Example:
        >>> tensors = layout({"data": 4, "model": 2})
        >>> tensors.spec("params/block/up/kernel", (64, 256)) == PartitionSpec(None, "model")
        True
    """
    if not axes or not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in axes.values()):
        raise ValueError(f"mesh: expected positive numbers of devices by axis, as in {{'data': 4}}, found {axes!r}")
    known = {"model", _DATA, *axes}
    for pattern, wanted in rules:
        if strange := [name for name in wanted if name is not None and name not in known]:
            raise ValueError(f"rules: {pattern!r} names the axis {strange[0]!r}, and the mesh has {sorted(axes)}")
    return Layout(axes, shard_params, rules, least)


def as_layout(mesh: Any) -> Layout:
    """Returns what `fit(mesh=...)` was given as a layout.

    Args:
        mesh: a `Layout`, or devices by axis.

    Raises:
        TypeError: for anything else.
    """
    if isinstance(mesh, Layout):
        return mesh
    if isinstance(mesh, Mapping):
        return layout(mesh)
    raise TypeError(f"mesh: expected devices by axis, as in {{'data': 4}}, or dl.scale.layout(...), found {mesh!r}")
