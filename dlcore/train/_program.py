"""The compiled programs of a training run. Equal recipes find the very same ones again, and compile nothing."""

import contextlib
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dlcore.compose import derive
from dlcore.train._chunk import make_chunk
from dlcore.train._lanes import each_lane, map_lanes
from dlcore.train._loss_scale import LossScale
from dlcore.train._objective import build_function, build_layer, build_optimizer, ratio
from dlcore.train._state import TrainState

CAPACITY = 256  # steps a chunk can hold


class Program(NamedTuple):
    """Jitted functions; with lanes, what is their own has a first axis for them, and `order` lists those that run."""

    init: Callable[..., Any]  # ((key, hparams), params, state, *, inputs: Shapes) -> TrainState
    chunk: Callable[..., Any]  # (carry, k, [order,] source) -> (carry, Log); the carry is donated
    guarded_chunk: Callable[..., Any]  # the same, checked step by step
    evaluate: Callable[..., Any]  # ((params, state, hparams), [order,] arrays, start, size) -> {name: mean}


@functools.lru_cache(maxsize=32)  # strong references: the programs outlive the run that made them
def program(
    model: Any,
    objective: Any,
    optimizer: Any,
    step: Any,
    batch_size: int,
    lanes: str | None,
    layout: Any = None,
    scaled: bool = False,
) -> Program:
    """Returns the programs of a run; everything that is not an argument of theirs is an argument here."""

    def init(own: tuple[Any, Any], params: Any, state: Any, inputs: Any) -> TrainState:
        key, hparams = own
        if params is None:
            params, state = build_layer(model, hparams).init(derive(key, "init"), *inputs.tree)
        opt_state = build_optimizer(optimizer, hparams).init(params)
        return TrainState(
            jnp.int32(0), params, state, opt_state, key, hparams, extra=LossScale.first() if scaled else None
        )

    def evaluate_one(_: Any, weights: Any, arrays: Any, start: Any, size: Any) -> tuple[Any, dict[str, Any]]:
        if objective is None:
            raise ValueError("evaluate: the run was given a step and no loss; give `loss` or `objective` to fit too")
        params, state, hparams = weights
        total = jax.tree.leaves(arrays)[0].shape[0]

        def batch(i: Any) -> dict[str, Any]:
            rows = start + i * batch_size + jnp.arange(batch_size)
            taken = jax.tree.map(lambda array: array[jnp.minimum(rows, total - 1)], arrays)
            taken |= {"mask": (rows < start + size).astype(jnp.float32)}
            return taken if layout is None else layout.constrain_batch(taken)

        def measure(i: Any) -> Any:
            rows, measured = batch(i), build_function(objective, hparams)
            with contextlib.nullcontext() if layout is None else layout.tracing():
                metrics = measured(params, state, rows, key=None, train=False, hparams=hparams)[1][1]
            # A plain number is the mean of its batch, and weighs as much as the batch has rows.
            count = rows["mask"].sum()
            return {name: pair if isinstance(pair, tuple) else (pair * count, count) for name, pair in metrics.items()}

        def add(i: Any, sums: Any) -> Any:
            return jax.tree.map(jnp.add, sums, jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), measure(i)))

        zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, jnp.float32), jax.eval_shape(measure, 0))
        sums = lax.fori_loop(0, (size + batch_size - 1) // batch_size, add, zeros)
        return (), seen({name: ratio(pair) for name, pair in sums.items()})

    def chunk(guarded: bool) -> Any:
        run = make_chunk(step, CAPACITY, guarded)

        def laid(carry: TrainState, k: Any, source: Any) -> Any:
            carry, log = run(carry, k, source)
            return carry, seen(log)

        return jax.jit(each_lane(run if layout is None else laid, lanes), donate_argnums=0)

    def seen(tree: Any) -> Any:
        """What the host reads lies whole on every device of a mesh: a process can read its own devices alone."""
        return tree if layout is None else jax.lax.with_sharding_constraint(tree, layout.replicated)

    @functools.partial(jax.jit, static_argnames="inputs")
    def init_lanes(own: tuple[Any, Any], params: Any = None, state: Any = None, *, inputs: Any) -> TrainState:
        # A loop on every backend: each lane starts from the bits of the lone run.
        return map_lanes(lambda one: init(one, params, state, inputs), lanes and "loop")(own)

    @jax.jit
    def evaluate(*given: Any) -> dict[str, Any]:
        return each_lane(evaluate_one, lanes)((), *given)[1]

    return Program(init_lanes, chunk(guarded=False), chunk(guarded=True), evaluate)
