"""The compiled programs of a training run. Equal recipes find the very same ones again, and compile nothing."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dlcore.compose import derive
from dlcore.train._chunk import make_chunk, over_lanes
from dlcore.train._objective import build_function, build_layer, build_optimizer, ratio
from dlcore.train._state import TrainState

CAPACITY = 256  # steps a chunk can hold


class Program(NamedTuple):
    """Three jitted functions; with lanes, what differs between lanes has a first axis for them."""

    init: Callable[..., Any]  # (key, hparams, params, state, *, inputs: Shapes) -> TrainState
    chunk: Callable[..., Any]  # (carry, source, k) -> (carry, Log); the carry is donated
    guarded_chunk: Callable[..., Any]  # the same, checked step by step
    evaluate: Callable[..., Any]  # (params, state, hparams, arrays, start, size) -> {name: mean}


@functools.lru_cache(maxsize=32)  # strong references: the programs outlive the run that made them
def program(model: Any, objective: Any, optimizer: Any, step: Any, batch_size: int, lanes: str | None) -> Program:
    """Returns the programs of a run; everything that is not an argument of theirs is an argument here."""

    def init(key: Any, hparams: Any, params: Any, state: Any, inputs: tuple[Any, ...]) -> TrainState:
        if params is None:
            params, state = build_layer(model, hparams).init(derive(key, "init"), *inputs)
        opt_state = build_optimizer(optimizer, hparams).init(params)
        return TrainState(jnp.int32(0), params, state, opt_state, key, hparams)

    def evaluate(params: Any, state: Any, hparams: Any, arrays: Any, start: Any, size: Any) -> dict[str, Any]:
        if objective is None:
            raise ValueError("evaluate: the run was given a step and no loss; give `loss` or `objective` to fit too")
        total = jax.tree.leaves(arrays)[0].shape[0]

        def batch(i: Any) -> dict[str, Any]:
            rows = start + i * batch_size + jnp.arange(batch_size)
            taken = jax.tree.map(lambda array: array[jnp.minimum(rows, total - 1)], arrays)
            return taken | {"mask": (rows < start + size).astype(jnp.float32)}

        def measure(i: Any) -> Any:
            rows, measured = batch(i), build_function(objective, hparams)
            metrics = measured(params, state, rows, key=None, train=False, hparams=hparams)[1][1]
            # A plain number is the mean of its batch, and weighs as much as the batch has rows.
            count = rows["mask"].sum()
            return {name: pair if isinstance(pair, tuple) else (pair * count, count) for name, pair in metrics.items()}

        def add(i: Any, sums: Any) -> Any:
            return jax.tree.map(jnp.add, sums, jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), measure(i)))

        zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, jnp.float32), jax.eval_shape(measure, 0))
        sums = lax.fori_loop(0, (size + batch_size - 1) // batch_size, add, zeros)
        return {name: ratio(pair) for name, pair in sums.items()}

    def chunk(guarded: bool) -> Any:
        return jax.jit(over_lanes(make_chunk(step, CAPACITY, guarded), lanes, (True, False, True)), donate_argnums=0)

    @functools.partial(jax.jit, static_argnames="inputs")
    def init_lanes(key: Any, hparams: Any, params: Any = None, state: Any = None, *, inputs: Any) -> TrainState:
        # A loop on every backend: each lane starts from the bits of the lone run.
        one = over_lanes(lambda k, own: init(k, own, params, state, inputs.tree), lanes and "loop", (True, True))
        return one(key, hparams)

    return Program(
        init_lanes,
        chunk(guarded=False),
        chunk(guarded=True),
        jax.jit(over_lanes(evaluate, lanes, (True, True, True, False, False, False))),
    )
