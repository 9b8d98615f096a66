"""A causal Transformer on text: one script for a CPU, a GPU, a TPU and several hosts. Copy it, and change the network.

`python experiments/train_tpu.py --steps 400 --out runs/text` trains on Python's own documentation, byte by byte, and
`--tokens FILE.bin --vocabulary N` on what `dl.data.write_tokens` has written. On SLURM, Kubernetes and TPU pods add
`--distributed`; elsewhere `--coordinator HOST:PORT --processes N --process I` in each process. Killed or preempted, the
same command goes on where it was, to the same bits.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

import dlcore as dl
from dlcore import layers, scale

HELD_OUT = 64  # windows


def network(options: argparse.Namespace) -> Any:
    """Blocks of one kind, compiled once; the names are those that `scale.TENSOR_RULES` splits along `model`."""
    width = options.width
    attention = layers.multi_head_attention(options.heads, causal=True, rotary_base=10_000.0)
    feed = dl.serial(norm=layers.rms_norm(), up=dl.dense(4 * width), gelu=jax.nn.gelu, down=dl.dense(width))
    block = dl.serial(
        attention=dl.residual(dl.serial(norm=layers.rms_norm(), attention=attention)), feed=dl.residual(feed)
    )
    if options.remat:
        block = layers.remat(block, policy=options.remat)
    return dl.serial(
        embed=layers.embed(options.vocabulary, width),
        blocks=dl.repeat(options.depth, block),
        norm=layers.rms_norm(),
        head=dl.dense(options.vocabulary, use_bias=False),
    )


def optimizer(options: argparse.Namespace) -> Any:
    """AdamW under a cosine with warmup, on clipped gradients."""
    rate = dl.optim.warmup_cosine(options.rate, min(options.warmup, options.steps // 2), options.steps)
    return dl.optim.chain(dl.optim.clip_by_norm(1.0), dl.optim.adamw(rate, weight_decay=0.1))


def open_tokens(options: argparse.Namespace) -> tuple[Path, int, tuple[np.ndarray, np.ndarray]]:
    """Returns a file of tokens, how many of them to train on, and held-out windows (x, y): what follows those."""
    path, held_out = options.tokens, HELD_OUT * options.length + 1
    if path is None:
        corpus = dl.data.pydoc()
        path = dl.data.data_dir() / f"pydoc-{corpus.version}.bin"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            dl.data.write_tokens(path, np.frombuffer(f"{corpus.train}{corpus.validation}".encode(), np.uint8))
    tokens = np.memmap(path, "<u2", "r")
    rest = np.array(tokens[-held_out:], np.int32)
    return path, len(tokens) - held_out, (rest[:-1].reshape(HELD_OUT, -1), rest[1:].reshape(HELD_OUT, -1))


def main() -> None:
    """Trains, and says how fast."""
    options = arguments()
    if options.distributed or options.coordinator:
        scale.start(options.coordinator, options.processes, options.process)
    axes = dict(zip(options.mesh[::2], map(int, options.mesh[1::2]), strict=True)) or {"data": len(jax.devices())}
    say = print if jax.process_index() == 0 else lambda *_, **__: None
    model, mesh = network(options), scale.layout(axes, shard_params=options.shard_params)
    path, size, held_out = open_tokens(options)
    windows = dl.data.MappedWindows(path, options.length, options.batch_size, key=options.seed, size=size)
    shared = {
        "optimizer": optimizer(options),
        "metrics": (),
        "key": options.seed,
        "mesh": mesh,
        "policy": options.policy or ("float32" if jax.default_backend() == "cpu" else "half"),
        "accumulate": options.accumulate,
    }
    say(f"{len(jax.devices())} x {jax.devices()[0].device_kind}, {jax.process_count()} processes, {mesh}")
    resume = options.out is not None
    run = dl.fit(model, windows, steps=options.steps, out=options.out, resume=resume, progress="lines", **shared)
    if options.profile:  # nothing is compiled again, so the trace shows steps and nothing else
        with jax.profiler.trace(str(options.profile)):
            dl.fit(model, windows, steps=32, **shared)
        say(f"trace for TensorBoard or Perfetto: {options.profile}")
    losses = run.metrics["loss"]
    say(f"{run.stopped} after {len(losses)} steps, loss {losses[-1]:.4f}")
    say(f"held-out loss {float(run.evaluate(held_out)['loss']):.4f}")
    tell_speed(options, run, say)
    if run.stopped in ("interrupted", "terminated"):
        sys.exit(dl.train.exit_status(run.stopped))  # saved: the same command goes on


def tell_speed(options: argparse.Namespace, run: Any, say: Any) -> None:
    """Tokens a second of this call, and the share of the devices' published peak that the model's arithmetic took."""
    a_second = run.steps_per_second
    say(f"{a_second * options.batch_size * options.length:,.0f} tokens/s, {1e3 / a_second:.1f} ms a step")
    say(f"compiled in {run.compile_seconds:.1f} s, waited for data {run.wait_seconds:.2f} s of {run.run_seconds:.1f} s")
    tokens = jax.ShapeDtypeStruct((options.batch_size, options.length), np.int32)
    forward = dl.inspect.flops(lambda params, x: run.model.apply(params, run.state, x)[0], run.params, tokens)
    peak = scale.peak_flops(jax.devices()[0])
    share = f", MFU {3 * forward * a_second / peak / len(jax.devices()):.1%}" if peak else ", of an unknown peak"
    say(f"{3 * forward / 1e9:.2f} GFLOP a step, {3 * forward * a_second / 1e12:.3f} TFLOP/s{share}")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    numbers = {"steps": 400, "batch_size": 32, "length": 64, "width": 128, "depth": 4, "heads": 4, "vocabulary": 256}
    for name, default in (numbers | {"warmup": 40, "seed": 0, "accumulate": 1}).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--tokens", type=Path, help="a file of uint16; its last windows are held out")
    parser.add_argument("--out", type=Path, help="a folder for checkpoints and metrics; that of a run is gone on with")
    parser.add_argument(
        "--policy", help="float32, bf16, fp16 or half; half on accelerators, float32 on CPUs if not given"
    )
    parser.add_argument("--remat", help="nothing, dots, dots_with_no_batch_dims: what the backward pass finds again")
    parser.add_argument(
        "--mesh", nargs="+", default=[], help="as in: data 4 model 2; all devices along data if not given"
    )
    parser.add_argument("--shard-params", action="store_true")
    parser.add_argument("--profile", type=Path, help="a folder for a trace of 32 steps")
    parser.add_argument("--distributed", action="store_true", help="join the processes of a cluster")
    parser.add_argument("--coordinator")
    parser.add_argument("--processes", type=int)
    parser.add_argument("--process", type=int)
    return parser.parse_args()


if __name__ == "__main__":
    main()
