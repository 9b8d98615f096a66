"""Speed of a training step of single layers beside Flax and PyTorch.

`python experiments/bench/layers.py`: forward, backward and a step of Adam on the mean square of the output, for
attention, LSTM, convolution and norms. Rivals run in turn in one process, warm; figures are medians. Flax and dlcore
run step by step under `jit`, PyTorch eagerly. Give the machine nothing else to do.
"""

import functools
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from flax import linen

from dlcore import layers

ROUNDS, REPEATS = 15, 10
_draw = np.random.default_rng(0)
SEQUENCES = _draw.normal(size=(64, 50, 64)).astype(np.float32)
TOKENS = _draw.normal(size=(16, 128, 128)).astype(np.float32)
IMAGES = _draw.normal(size=(32, 28, 28, 16)).astype(np.float32)


def jax_steps(apply: Callable[..., Any], params: Any, x: np.ndarray) -> Callable[[], None]:
    """Returns a function that makes some training steps of `apply(params, x)`."""
    optimizer, given = optax.adam(1e-3), jnp.asarray(x)

    @functools.partial(jax.jit, donate_argnums=0)
    def step(carry: Any, x: jax.Array) -> Any:
        params, state = carry
        gradient = jax.grad(lambda p: jnp.mean(jnp.square(apply(p, x))))(params)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), state

    carry = params, optimizer.init(params)

    def run() -> None:
        nonlocal carry
        for _ in range(REPEATS):
            carry = step(carry, given)
        jax.block_until_ready(carry)

    return run


def ours(layer: Any, x: np.ndarray, *, train: bool = False) -> Callable[[], None]:
    """A layer of dlcore."""
    params, state = layer.init(jax.random.key(0), jnp.asarray(x))
    key = jax.random.key(1) if train else None
    return jax_steps(lambda params, x: layer.apply(params, state, x, key=key, train=train)[0], params, x)


def flax(module: Any, x: np.ndarray) -> Callable[[], None]:
    """A module of flax.linen."""
    variables = module.init(jax.random.key(0), jnp.asarray(x))
    rest = {name: value for name, value in variables.items() if name != "params"}

    def apply(params: Any, x: jax.Array) -> jax.Array:
        found = module.apply({"params": params, **rest}, x, mutable=list(rest))
        return found[0]

    return jax_steps(apply, variables["params"], x)


def eager(module: Any, x: np.ndarray) -> Callable[[], None]:
    """A module of PyTorch; images are given it channels first."""
    given = torch.tensor(np.moveaxis(x, -1, 1).copy() if x.ndim == 4 else x)
    descent = torch.optim.Adam(module.parameters(), 1e-3)

    def run() -> None:
        for _ in range(REPEATS):
            descent.zero_grad()
            out = module(given)
            (out[0] if isinstance(out, tuple) else out).square().mean().backward()
            descent.step()

    return run


class Attention(torch.nn.Module):
    """Causal self-attention."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.MultiheadAttention(128, 4, batch_first=True)
        self.mask = torch.triu(torch.ones(128, 128, dtype=torch.bool), 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Without the weights, which would cost more."""
        return self.inner(x, x, x, attn_mask=self.mask, need_weights=False)[0]


def _causal() -> Any:
    class Causal(linen.Module):
        @linen.compact
        def __call__(self, x: jax.Array) -> jax.Array:
            return linen.MultiHeadDotProductAttention(4)(x, mask=linen.make_causal_mask(x[..., 0]))

    return Causal()


TABLE: dict[str, Callable[[], dict[str, Callable[[], None]]]] = {
    "attention, 16 x 128 x 128, 4 heads": lambda: {
        "dlcore": ours(layers.multi_head_attention(4, causal=True), TOKENS),
        "flax.linen": flax(_causal(), TOKENS),
        "PyTorch": eager(Attention(), TOKENS),
    },
    "LSTM, 64 x 50 x 64, 128 units": lambda: {
        "dlcore": ours(layers.recurrent(layers.lstm_cell(128)), SEQUENCES),
        "flax.linen": flax(linen.RNN(linen.OptimizedLSTMCell(128)), SEQUENCES),
        "PyTorch": eager(torch.nn.LSTM(64, 128, batch_first=True), SEQUENCES),
    },
    "GRU, 64 x 50 x 64, 128 units": lambda: {
        "dlcore": ours(layers.recurrent(layers.gru_cell(128)), SEQUENCES),
        "flax.linen": flax(linen.RNN(linen.GRUCell(128)), SEQUENCES),
        "PyTorch": eager(torch.nn.GRU(64, 128, batch_first=True), SEQUENCES),
    },
    "convolution 3 x 3, 32 x 28 x 28 x 16 to 32": lambda: {
        "dlcore": ours(layers.conv(32, 3), IMAGES),
        "flax.linen": flax(linen.Conv(32, (3, 3)), IMAGES),
        "PyTorch": eager(torch.nn.Conv2d(16, 32, 3, padding=1), IMAGES),
    },
    "batch norm, 32 x 28 x 28 x 16": lambda: {
        "dlcore": ours(layers.batch_norm(), IMAGES, train=True),
        "flax.linen": flax(linen.BatchNorm(use_running_average=False), IMAGES),
        "PyTorch": eager(torch.nn.BatchNorm2d(16), IMAGES),
    },
    "layer norm, 16 x 128 x 128": lambda: {
        "dlcore": ours(layers.layer_norm(), TOKENS),
        "flax.linen": flax(linen.LayerNorm(), TOKENS),
        "PyTorch": eager(torch.nn.LayerNorm(128), TOKENS),
    },
}


def main() -> None:
    """Times all of them, and prints the table."""
    print("| training step | dlcore, ms | flax.linen, ms | PyTorch eager, ms | of Flax | of PyTorch |")
    print("|---|---|---|---|---|---|")
    for name, make in TABLE.items():
        rivals = make()
        seconds: dict[str, list[float]] = {rival: [] for rival in rivals}
        for number in range(ROUNDS + 1):
            for rival, run in rivals.items():
                began = time.perf_counter()
                run()
                if number:
                    seconds[rival].append((time.perf_counter() - began) / REPEATS)
        times = [f"{statistics.median(took) * 1e3:.2f}" for took in seconds.values()]
        of = [
            f"{statistics.median(a / b for a, b in zip(seconds['dlcore'], seconds[rival], strict=True)):.2f}"
            for rival in ("flax.linen", "PyTorch")
        ]
        print(f"| {name} | {' | '.join(times + of)} |", flush=True)


if __name__ == "__main__":
    main()
