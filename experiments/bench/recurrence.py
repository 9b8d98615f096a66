"""Speed of a training step of an LSTM beside PyTorch and Flax.

`python experiments/bench/recurrence.py` prints medians and ratios; rivals run interleaved in one process, warm. Batch
64, length 50, 64 inputs, 128 units: forward, backward, and a step of Adam. Give the machine nothing else to do.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from flax import linen

from dlcore import layers

BATCH, STEPS, INPUTS, FEATURES, ROUNDS, REPEATS = 64, 50, 64, 128, 15, 10


def of(apply: Callable[..., Any], params: Any, x: jax.Array) -> Callable[[], None]:
    """Returns a function that makes some training steps."""
    optimizer = optax.adam(1e-3)

    @partial(jax.jit, donate_argnums=0)
    def step(carry: Any, x: jax.Array) -> Any:
        params, state = carry
        gradient = jax.grad(lambda p: jnp.mean(jnp.square(apply(p, x))))(params)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), state

    carry = params, optimizer.init(params)

    def run() -> None:
        nonlocal carry
        for _ in range(REPEATS):
            carry = step(carry, x)
        jax.block_until_ready(carry)

    return run


def main() -> None:
    """Times all of them, and prints the table."""
    x = np.random.default_rng(0).normal(size=(BATCH, STEPS, INPUTS)).astype(np.float32)
    model, ours = layers.recurrent(layers.lstm_cell(FEATURES)), jnp.asarray(x)
    params, state = model.init(jax.random.key(0), ours)
    flax = linen.RNN(linen.OptimizedLSTMCell(FEATURES))
    module, inputs = torch.nn.LSTM(INPUTS, FEATURES, batch_first=True), torch.tensor(x)
    descent = torch.optim.Adam(module.parameters(), 1e-3)

    def eager() -> None:
        for _ in range(REPEATS):
            descent.zero_grad()
            module(inputs)[0].square().mean().backward()
            descent.step()

    rivals = {
        "dlcore": of(lambda p, x: model.apply(p, state, x)[0], params, ours),
        "PyTorch eager": eager,
        "flax.linen": of(flax.apply, flax.init(jax.random.key(0), ours), ours),
    }
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    for number in range(ROUNDS + 1):
        for name, run in rivals.items():
            began = time.perf_counter()
            run()
            if number:
                seconds[name].append(time.perf_counter() - began)
    print("| a training step of an LSTM | ms | dlcore is |")
    print("|---|---|---|")
    for name, took in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(seconds["dlcore"], took, strict=True))
        print(f"| {name} | {statistics.median(took) / REPEATS * 1e3:.2f} | {ratio:.2f} of it |")


if __name__ == "__main__":
    main()
