"""Speed of the main jobs beside hand-written JAX and PyTorch.

`python experiments/bench/speed.py [mlp] [lenet] [sweep] [saves] [import] [start] [resume]`; all parts unless some are
named.

Rivals run interleaved in one process, warm; figures are medians. `import`, `start` and `resume` measure whole
processes. Give the machine nothing else to do.
"""

import contextlib
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import dlcore as dl

EPOCHS, BATCH = 20, 64


def interleaved(rounds: int, **rivals: Callable[[], Any]) -> dict[str, list[float]]:
    """Times each rival once a round, in turn; the first round, which compiles, is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    for number in range(rounds + 1):
        for name, run in rivals.items():
            began = time.perf_counter()
            run()
            if number:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def row(title: str, ours: list[float], theirs: list[float], rival: str, steps: int, bound: float) -> None:
    """Prints one line of the table: medians a step, and the median of the ratios of each round."""
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    a, b = (statistics.median(x) / steps * 1e3 for x in (ours, theirs))
    print(f"| {title} | {a:.3f} ms | {rival} {b:.3f} ms | {ratio:.2f} | {bound:.2f} |", flush=True)


def mlp() -> None:
    """The digits MLP, 440 Adam steps: `fit` as it is, against one hand-written `lax.scan`."""
    digits = dl.data.digits().train
    x, y = digits["x"].reshape(-1, 64), digits["y"]
    model = dl.models.mlp((128, 128), classes=10)
    steps = EPOCHS * (len(x) // BATCH)

    def by_hand(key: jax.Array, x: jax.Array, y: jax.Array) -> Any:
        sizes, keys = (64, 128, 128, 10), jax.random.split(key, 4)
        init = jax.nn.initializers.he_normal()
        params = [(init(k, (a, b)), jnp.zeros(b)) for k, a, b in zip(keys[:3], sizes[:-1], sizes[1:], strict=True)]
        adam = optax.adam(1e-3)
        epochs = jax.vmap(lambda k: jax.random.permutation(k, len(x))[: steps // EPOCHS * BATCH])
        batches = epochs(jax.random.split(keys[3], EPOCHS)).reshape(steps, BATCH)

        def loss(params: Any, x: jax.Array, y: jax.Array) -> Any:
            for kernel, bias in params[:-1]:
                x = jax.nn.relu(x @ kernel + bias)
            logits = x @ params[-1][0] + params[-1][1]
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, y)
            return losses.mean(), (logits.argmax(-1) == y).mean()

        def step(carry: Any, rows: jax.Array) -> Any:
            params, state = carry
            measured, gradient = jax.value_and_grad(loss, has_aux=True)(params, x[rows], y[rows])
            change, state = adam.update(gradient, state, params)
            return (optax.apply_updates(params, change), state), measured

        return jax.lax.scan(step, (params, adam.init(params)), batches)

    compiled, data = jax.jit(by_hand), (jnp.asarray(x), jnp.asarray(y))
    seconds = interleaved(
        7,
        ours=lambda: dl.fit(model, (x, y), epochs=EPOCHS, batch_size=BATCH, progress=False),
        theirs=lambda: jax.block_until_ready(compiled(jax.random.key(0), *data)),
    )
    row("digits MLP, whole `fit`, a step", seconds["ours"], seconds["theirs"], "`lax.scan` by hand", steps, 1.08)


def lenet() -> None:
    """One LeNet-5 training step on 28 x 28 x 1: inside `fit`, against PyTorch eager."""
    import torch

    generator = np.random.default_rng(0)
    x, y = generator.random((1024, 28, 28, 1), np.float32), generator.integers(0, 10, 1024).astype(np.int32)
    steps = 128
    model = dl.models.lenet5(10)
    theirs = torch.nn.Sequential(
        *(torch.nn.Conv2d(1, 6, 5, padding=2), torch.nn.ReLU(), torch.nn.MaxPool2d(2)),
        *(torch.nn.Conv2d(6, 16, 5), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten()),
        *(torch.nn.Linear(400, 120), torch.nn.ReLU(), torch.nn.Linear(120, 84), torch.nn.ReLU()),
        torch.nn.Linear(84, 10),
    )
    adam, loss = torch.optim.Adam(theirs.parameters(), 1e-3), torch.nn.CrossEntropyLoss()
    images, labels = torch.tensor(x).permute(0, 3, 1, 2).contiguous(), torch.tensor(y, dtype=torch.int64)

    def eager() -> None:
        epoch = ()
        for n in range(steps):
            if n % (len(images) // BATCH) == 0:
                epoch = torch.randperm(len(images)).split(BATCH)
            rows = epoch[n % len(epoch)]
            adam.zero_grad()
            loss(theirs(images[rows]), labels[rows]).backward()
            adam.step()

    seconds = interleaved(
        7,
        ours=lambda: dl.fit(model, (x, y), steps=steps, batch_size=BATCH, metrics=(), progress=False),
        theirs=eager,
    )
    row("LeNet-5, in `fit`, a step", seconds["ours"], seconds["theirs"], "PyTorch eager", steps, 0.6)


def sweep() -> None:
    """32 runs of the digits MLP as one program on all cores, a run, against one lone warm run and PyTorch eager's."""
    import torch

    digits = dl.data.digits().train
    x, y = digits["x"].reshape(-1, 64), digits["y"]
    model, steps = dl.models.mlp((128, 128), classes=10), EPOCHS * (len(x) // BATCH)
    space = {"learning_rate": [3e-4, 1e-3, 3e-3, 1e-2]}
    inputs, labels = torch.tensor(x), torch.tensor(y, dtype=torch.int64)
    options: dict[str, Any] = {"epochs": EPOCHS, "batch_size": BATCH, "progress": False}

    def eager() -> None:
        layers = (torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 128), torch.nn.ReLU())
        net = torch.nn.Sequential(*layers, torch.nn.Linear(128, 10))
        adam, loss = torch.optim.Adam(net.parameters(), 1e-3), torch.nn.CrossEntropyLoss()
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(inputs)).split(BATCH)[: len(inputs) // BATCH]:
                adam.zero_grad()
                loss(net(inputs[rows]), labels[rows]).backward()
                adam.step()

    seconds = interleaved(
        7,
        ours=lambda: dl.sweep(model, (x, y), space=space, seeds=8, **options),
        lone=lambda: dl.fit(model, (x, y), **options),
        theirs=eager,
    )
    each = [took / 32 for took in seconds["ours"]]
    row(f"a run among 32, {len(jax.devices())} devices, a step", each, seconds["lone"], "a lone `fit`", steps, 0.6)
    row("the same", each, seconds["theirs"], "PyTorch eager", steps, 0.2)


def saves() -> None:
    """Progress, metrics and a checkpoint every epoch, against none of it: LeNet-5 on as many images as MNIST has."""
    generator = np.random.default_rng(0)
    x, y = generator.random((60_000, 28, 28, 1), np.float32), generator.integers(0, 10, 60_000).astype(np.int32)
    model = dl.models.lenet5(10)
    options: dict[str, Any] = {"epochs": 3, "batch_size": BATCH}
    with tempfile.TemporaryDirectory() as folder:

        def watched() -> float:
            with contextlib.redirect_stdout(io.StringIO()):
                run = dl.fit(model, (x, y), out=folder, overwrite=True, save_every=1, progress=True, **options)
            return run.run_seconds

        plain = lambda: dl.fit(model, (x, y), metrics=(), progress=False, **options).run_seconds
        took: dict[str, list[float]] = {"ours": [], "theirs": []}
        for number in range(6):  # what a run takes is what it says: pictures and the report come after it
            for name, one in (("ours", watched), ("theirs", plain)):
                seconds = one()
                took[name] += [seconds] if number else []
    row("LeNet-5 with progress, metrics, checkpoints, a step", took["ours"], took["theirs"], "without", 3 * 937, 1.05)


def imports() -> None:
    """What `import dlcore` costs above `import jax, flax, optax`, in seconds."""
    commands = {"ours": "import jax, flax, optax, dlcore", "theirs": "import jax, flax, optax"}
    seconds = interleaved(
        9, **{k: lambda c=c: subprocess.run([sys.executable, "-c", c], check=True) for k, c in commands.items()}
    )
    ours, theirs = (statistics.median(values) for values in seconds.values())
    extra = statistics.median(a - b for a, b in zip(*seconds.values(), strict=True))
    print(f"| `import dlcore` | {ours:.2f} s | `import jax, flax, optax` {theirs:.2f} s | {extra:+.2f} s | +0.25 s |")


def start() -> None:
    """`dlcore train` from the start of the process to the end of its first epoch: no compile cache, and with one."""
    for title, bound, fresh in (("first time", 12, True), ("second time", 5, False)):
        seconds = []
        with tempfile.TemporaryDirectory() as cache:
            for number in range(3 if fresh else 4):
                folder = os.path.join(cache, f"cache-{number if fresh else 0}")
                took = _first_epoch(folder, os.path.join(cache, f"run-{number}"))
                seconds += [took] if fresh or number else []
        print(f"| `dlcore train` to the end of epoch 1, {title} | {statistics.median(seconds):.1f} s | | | {bound} s |")


def resume() -> None:
    """`dlcore train --resume` of LeNet-5, from the start of the process to the end of its next epoch, warm cache."""
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "run")
        for number in range(5):
            more = ("--epochs", str(EPOCHS + 100)) if number else ("--epochs", str(EPOCHS))
            took = _first_epoch(folder, out, "--resume", *more, kill=number > 0)
            seconds += [took] if number > 1 else []
    print(
        f"| `dlcore train --resume`, process start to the next epoch | {statistics.median(seconds):.1f} s | | | 5 s |"
    )


def _first_epoch(cache: str, out: str, *more: str, kill: bool = True) -> float:
    environment = os.environ | {"DLCORE_CACHE": cache}
    command = [sys.executable, "-c", "from dlcore.cli import main; main()", "train", "--out", out, *more]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        took = 0.0
        for line in process.stdout or ():
            if line.startswith("epoch ") and not took:
                took = time.perf_counter() - began
                if kill:
                    process.kill()
    return took


if __name__ == "__main__":
    parts = {"mlp": mlp, "lenet": lenet, "sweep": sweep, "saves": saves}
    parts |= {"import": imports, "start": start, "resume": resume}
    dl.use_all_cores()
    print(f"jax {jax.__version__} on {jax.devices()[0].device_kind}, {os.cpu_count()} cores\n")
    print("| what | dlcore | beside | ratio | bound |\n|---|---|---|---|---|")
    for name in sys.argv[1:] or parts:
        parts[name]()
