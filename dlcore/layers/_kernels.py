"""The kernels in the params of a layer: finding them, for the wrappers that compute them from something else."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from dlcore.checks import say_shapes
from dlcore.core import Layer, Plan

Path = tuple[str, ...]


def kernels(tree: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yields path and leaf of all leaves by the name of `kernel`, of two or more axes, the last one being features."""
    for name, branch in sorted(tree.items()):
        if isinstance(branch, dict):
            yield from kernels(branch, (*path, name))
        elif name == "kernel" and len(jnp.shape(branch)) > 1:
            yield (*path, name), branch


def found(tree: Any, path: Path) -> Any:
    """Returns what lies at a path, or None."""
    for name in path:
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree


def replaced(tree: dict[str, Any], values: dict[Path, Any]) -> dict[str, Any]:
    """Returns a copy of nested dicts with leaves put at paths, and taken out where the value is None."""
    tree = dict(tree)
    for name in {path[0] for path in values}:
        inner = {path[1:]: value for path, value in values.items() if path[0] == name}
        if () not in inner:
            tree[name] = replaced(tree.get(name, {}), inner)
        elif inner[()] is None:
            tree.pop(name, None)
        else:
            tree[name] = inner[()]
    return tree


def expect_kernels(plan: Plan, block: Layer, wrapper: str) -> None:
    """Refuses a layer without kernels, and one whose kernels are stacked, where axes would mean something else."""
    if not any(kernels(plan.params)):
        has = say_shapes(plan.params)
        raise ValueError(f"{wrapper}: expected a layer with a kernel of two or more axes, {block} has {has}")
    pending = [plan]
    while pending:
        one = pending.pop()
        pending += one.children.values()
        if "*" in one.children and one.params != one.children["*"].params:
            raise ValueError(
                f"{wrapper}: the kernels of {one.layer or 'repeat'} are stacked: put it inside, "
                f"repeat(n, {wrapper}(block))"
            )


def matrix(kernel: jax.Array) -> jax.Array:
    """Returns a kernel as a matrix (window * inputs, features)."""
    return kernel.reshape(-1, kernel.shape[-1])


def same_bits(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function of arrays that gives the same bits eager, compiled and mapped; there is no gradient.

    The compiler merges what it can, and sums then in another order. It does not look into a loop; one of a single
    round it unrolls, so the work is done twice. That is for initialisation, where it does not matter.
    """

    @jax.jit  # or each eager call would be compiled anew
    @jax.custom_batching.sequential_vmap
    def twice(*arrays: Any) -> Any:
        doubled = tuple(jnp.stack([array, array]) for array in arrays)
        return jax.tree.map(lambda leaf: leaf[0], lax.map(lambda arrays: function(*arrays), doubled))

    return twice
