"""Wrappers: one layer run in another way. Their params are those of the layer itself, and so are its draws."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from dlcore.checks import expect_positive, scope, shapes_of
from dlcore.compose import derive, derive_all
from dlcore.core import Layer, Plan, as_layer, layer
from dlcore.errors import suggest

SAVED = {
    "nothing": "nothing_saveable",
    "dots": "dots_saveable",
    "dots_with_no_batch_dims": "dots_with_no_batch_dims_saveable",
    "everything": "everything_saveable",
}


@layer
def repeat(n: int, block: Layer) -> Layer:
    """`n` blocks of one kind in a row, each with parameters of its own, run as one scan.

    Compile time does not grow with `n`. Params and state are the block's, stacked along a new first axis, and bit for
    bit those of `serial` with `n` blocks: `jax.tree.map(lambda *leaves: jnp.stack(leaves), *params.values())`.

    Args:
      n: number of blocks.
      block: a layer whose output has the shape of its first input; further inputs are given to every block alike.

    Returns:
      A layer.

    Raises:
      ValueError: for `n < 1`; at init, where the block changes the shape.

    Example:
      >>> from dlcore.layers import dense, residual
      >>> params, state = repeat(12, residual(dense(8))).init(jax.random.key(0), jnp.zeros((4, 8)))
      >>> params["block"]["kernel"].shape
      (12, 8, 8)
    """
    expect_positive(n=n)
    block = as_layer(block, "block")

    names = [str(i) for i in range(n)]

    def plan(*inputs: Any) -> Plan:
        with scope("*"):
            one = block.plan(*inputs)
            if shapes_of(one.output) != inputs[0]:
                raise ValueError(
                    f"repeat: the block takes {inputs[0]} and gives {one.output}: it has to keep the shape"
                )

        def init(key: Any) -> Any:
            # A map, not a vmap: it gives the bits of one init after another for every initializer.
            return lax.map(one.init, derive_all(key, names))

        params, state = (_stacked_shapes(n, tree) for tree in (one.params, one.state))
        return Plan(inputs, one.output, params, state, init, {"*": one}, n)

    def apply(
        params: Any, state: Any, x: Any, *rest: Any, key: Any = None, train: bool = False, tap: Any = None
    ) -> Any:
        if odd := [leaf.shape for leaf in jax.tree.leaves((params, state)) if leaf.shape[:1] != (n,)]:
            raise ValueError(f"repeat: expected params stacked along a first axis of {n}, found a leaf of {odd[0]}")
        if tap is not None:  # one after another, so that each block has a path of its own
            states = []
            for i in range(n):
                own_params, own_state = jax.tree.map(lambda leaf: leaf[i], (params, state))  # noqa: B023
                own_key, own_tap = None if key is None else derive(key, str(i)), tap.at(str(i), 0)
                keywords = {"tap": own_tap} if block.is_combinator else {}
                with scope(str(i)):
                    x, after = block.apply(own_params, own_state, x, *rest, key=own_key, train=train, **keywords)
                x = own_tap.record(x)
                states.append(after)
            return x, jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)

        def step(x: Any, lane: Any) -> Any:
            own_params, own_state, own_key = lane
            with scope("*"):
                return block.apply(own_params, own_state, x, *rest, key=own_key, train=train)

        return lax.scan(step, x, (params, state, None if key is None else derive_all(key, names)), length=n)

    return Layer(None, apply, plan)


@layer
def remat(block: Layer, *, policy: str | Callable[..., bool] | None = None) -> Layer:
    """Recomputes the inside of a layer in the backward pass instead of keeping it: less memory, a third more time.

    `repeat(n, remat(block))` keeps the input of each block, and no more. Blocks outside a loop save memory on
    accelerators only: XLA's CPU compiler finds that it would compute the same twice, and keeps it.

    Args:
      block: a layer.
      policy: which values to keep besides the inputs: "nothing" (the default), "dots" (the results of matrix
        products, which cost most to compute again), "dots_with_no_batch_dims" (those with weights, and not those of
        attention), "everything", or a function from `jax.checkpoint_policies`.

    Returns:
      A layer with the params, the state and the values of `block`.

    Raises:
      ValueError: for another name.

    Source: Chen, Xu, Zhang and Guestrin, 2016.

    Example:
      >>> from dlcore.layers import dense, repeat, residual
      >>> repeat(12, remat(residual(dense(8))))
      repeat(12, remat(residual(dense(8))))
    """
    block = as_layer(block, "block")
    if isinstance(policy, str) and policy not in SAVED:
        raise ValueError(f"policy: expected one of {list(SAVED)}, found {policy!r}{suggest(policy, SAVED)}")
    saveable = getattr(jax.checkpoint_policies, SAVED[policy]) if isinstance(policy, str) else policy

    def apply(params: Any, state: Any, *xs: Any, key: Any = None, train: bool = False, tap: Any = None) -> Any:
        if tap is not None:  # what a tap collects has to get out
            return _inner(block, tap)(params, state, *xs, key=key, train=train)

        def run(params: Any, state: Any, key: Any, *xs: Any) -> Any:
            return block.apply(params, state, *xs, key=key, train=train)

        return jax.checkpoint(run, policy=saveable)(params, state, key, *xs)

    return Layer(None, apply, block.plan)


@layer
def cast(block: Layer, dtype: Any) -> Layer:
    """Computes a layer in another floating type, usually `jnp.bfloat16`.

    Params and floating inputs are cast on the way in, the output to float32 on the way out. The params themselves, the
    state and the statistics of norms stay float32.

    Args:
      block: a layer.
      dtype: the type to compute in.

    Returns:
      A layer with the params and the state of `block`.

    Raises:
      TypeError: for a type that is not floating.

    Source: Micikevicius et al., 2018.

    Example:
      >>> from dlcore.layers import dense
      >>> params, state = cast(dense(3), jnp.bfloat16).init(jax.random.key(0), jnp.zeros((2, 4)))
      >>> y, _ = cast(dense(3), jnp.bfloat16).apply(params, state, jnp.zeros((2, 4)))
      >>> params["kernel"].dtype.name, y.dtype.name
      ('float32', 'float32')
    """
    block = as_layer(block, "block")
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"dtype: expected a floating type to compute in, found {jnp.dtype(dtype)}")

    def to(target: Any, tree: Any) -> Any:
        is_floating = lambda x: jnp.issubdtype(jnp.result_type(x), jnp.floating)
        return jax.tree.map(lambda x: jnp.asarray(x, target) if is_floating(x) else x, tree)

    def plan(*inputs: Any) -> Plan:
        inner = block.plan(*jax.eval_shape(lambda xs: to(dtype, xs), inputs))
        return inner._replace(inputs=inputs, output=jax.eval_shape(lambda y: to(jnp.float32, y), inner.output))

    def apply(params: Any, state: Any, *xs: Any, key: Any = None, train: bool = False, tap: Any = None) -> Any:
        y, state = _inner(block, tap)(to(dtype, params), state, *to(dtype, xs), key=key, train=train)
        return to(jnp.float32, y), state

    return Layer(None, apply, plan)


@layer
def frozen(block: Layer) -> Layer:
    """A layer that does not learn: its params become state, where no optimizer and no weight decay reaches them.

    It always runs in evaluation mode: no dropout, and running statistics that stay as they are.

    Args:
      block: a layer, usually with pretrained weights: put them at `state["params"]` and `state["state"]`.

    Returns:
      A layer without params, and with the state `{"params": ..., "state": ...}`.

    Example:
      >>> from dlcore.layers import dense
      >>> params, state = frozen(dense(3)).init(jax.random.key(0), jnp.zeros((2, 4)))
      >>> params, sorted(state["params"])
      ({}, ['bias', 'kernel'])
    """
    block = as_layer(block, "block")

    def kept(params: Any, state: Any) -> dict[str, Any]:
        return {name: tree for name, tree in (("params", params), ("state", state)) if tree}

    def plan(*inputs: Any) -> Plan:
        inner = block.plan(*inputs)
        state = kept(inner.params, inner.state)
        return inner._replace(params={}, state=state, init=lambda key: ({}, kept(*inner.init(key))), children={})

    def apply(params: Any, state: Any, *xs: Any, key: Any = None, train: bool = False, tap: Any = None) -> Any:
        weights = jax.lax.stop_gradient(state.get("params", {}))
        return _inner(block, tap)(weights, state.get("state", {}), *xs)[0], state

    return Layer(None, apply, plan)


def _inner(block: Layer, tap: Any) -> Callable[..., Any]:
    if tap is None or not block.is_combinator:
        return block.apply
    return lambda *args, **keywords: block.apply(*args, **keywords, tap=tap)


def _stacked_shapes(n: int, tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((n, *leaf.shape), leaf.dtype), tree)
