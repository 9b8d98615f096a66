"""`plan`: what a training run needs, from the compiler, before it runs anywhere."""

import os
from collections.abc import Mapping
from typing import Any

import jax

from dlcore.errors import suggest
from dlcore.scale import Layout, Plan, as_layout, compile_ahead, measure, peak_bandwidth, peak_flops, topology
from dlcore.scale._chips import platform
from dlcore.scale._compile import check_topology
from dlcore.scale._plan import advise
from dlcore.train._ahead import Ahead, ahead, exported
from dlcore.train._cache import cache_folder
from dlcore.train._session import DEFAULTS, HOST


def plan(model: Any, data: Any, *, on: str, mesh: Any = None, **options: Any) -> Plan:
    """Compiles what `fit` would run for a machine that need not be here, and says what it needs there.

    For TPUs, libtpu compiles in another process: `pip install 'dlcore[aot]'`, and no TPU. For NVIDIA's GPUs, JAX's
    plugin does: `pip install 'dlcore[aot-cuda]'`, and neither GPU nor driver. What they say is kept beside the compiled
    programs (see `dl.train.cache_folder`), by the program and the versions, so that asking again takes no time; the
    first time takes seconds, and for TPUs minutes where images are convolved in large batches. A program without room
    in memory is no error but an answer: `fits` is False, and `advice` says what helps.

    Of a GPU, `memory_bytes` is what JAX takes of it: three quarters, unless XLA_CLIENT_MEM_FRACTION says otherwise.
    Where a GPU is, the compiler also tries kernels and keeps the fastest, which may need other memory than planned.

    It is the program that trains: evaluation, and the copies of weights that checkpoints and `patience` keep, come on
    top.

    Args:
      model: as in `fit`.
      data: as in `fit`; of an iterator, one batch is taken.
      on: a slice of TPUs, "v5e:2x2" (also v5p, v6e, tpu7x: see `dl.scale.topology`), GPUs of a machine, "cuda:h100"
        or "cuda:h100:8" (also a100, h200), "cpu", or "cuda" where a GPU is.
      mesh: as in `fit`, devices by axis, {"data": 4}, or `dl.scale.layout(...)`; None is one device.
      **options: as in `fit`; what does not change the program (`out`, `progress`, ...) changes nothing. `seeds` and
        `lanes` are refused: a plan is of one run.

    Returns:
      A `Plan`: memory, operations, traffic, collectives, the largest arrays, and an estimate of the time of a step.

    Raises:
      ImportError: where libtpu or JAX's plugin for CUDA is needed and not installed.
      ValueError: as `fit`; for an unknown `on`; for a mesh that is larger than the slice, or does not divide a batch.
      DlcoreError: where the compiler fails for another reason than memory.

    Example:
      >>> import dlcore as dl
      >>> found = dl.plan(dl.models.mlp((32,), classes=3), dl.data.iris(), on="cpu", batch_size=32)
      >>> found.fits, found.flops > 6 * 32 * (4 * 32 + 32 * 3)
      (True, True)
    """
    known = [name for name in DEFAULTS if name not in ("model", "data")] + list(HOST)
    if unknown := [name for name in options if name not in known]:
        raise TypeError(f"plan: got an unexpected keyword argument {unknown[0]!r}{suggest(unknown[0], known)}")
    if several := [name for name in ("seeds", "lanes") if options.get(name) is not None]:
        raise ValueError(f"{several[0]}: a plan is of one run; leave {several[0]} out")
    layout = None if mesh is None else as_layout(mesh)
    is_here = jax.default_backend() == {"cpu": "cpu", "cuda": "gpu"}.get(on)
    if on not in ("cpu", "cuda"):
        check_topology(on, layout and layout.axes)
    elif on == "cuda" and not is_here:
        raise ValueError(
            "on: there is no GPU here; expected the model of one elsewhere, 'cuda:a100', 'cuda:h100' or 'cuda:h200' "
            f"('cuda:h100:8' for eight), a slice of TPUs or 'cpu', found {on!r}; or plan where the GPU is"
        )
    if layout is not None and (not is_here or (on == "cpu" and layout.size > len(jax.devices()))):
        layout, is_here = layout.elsewhere, False
    given = {name: value for name, value in options.items() if name in DEFAULTS}
    chunk = ahead({**DEFAULTS, **given, "model": model, "data": data, "mesh": layout})
    found = _compiled_here(chunk) if is_here else _compiled_elsewhere(chunk, on, layout)
    peak, memory = found["peak_bytes"], _memory(on)
    devices = len(jax.devices()) if on in ("cpu", "cuda") else topology(on).devices
    fits = "out_of_memory" not in found and (peak is None or memory is None or peak <= memory)
    memory = found.get("out_of_memory") or memory
    seconds, bound = _estimate(chunk, found, on, layout.size if layout else 1)
    return Plan(
        on=on,
        mesh=None if layout is None else dict(layout.axes),
        shard_params=layout is not None and layout.shard_params,
        batch_size=chunk.batch_size,
        fits=fits,
        peak_bytes=peak,
        memory_bytes=memory,
        carry_bytes=chunk.carry_bytes,
        held_bytes=chunk.held_bytes,
        flops=chunk.flops,
        bytes_moved=found.get("bytes_moved"),
        collectives=found.get("collectives", {}),
        buffers=tuple(found.get("buffers", ())),
        step_seconds=seconds,
        bound=bound,
        compile_seconds=found["compile_seconds"],
        cached=found.get("cached", False),
        advice=() if fits else tuple(advise(peak, memory, chunk.held_bytes, chunk.batch_size, layout, devices)),
    )


def _compiled_here(chunk: Ahead) -> dict[str, Any]:
    jitted = jax.jit(chunk.function, donate_argnums=tuple(range(chunk.donated)))
    return measure(jitted.lower(*chunk.structs), chunk.names)


def _compiled_elsewhere(chunk: Ahead, on: str, layout: Layout | None) -> dict[str, Any]:
    program = exported(chunk, (platform(on),))
    axes = layout and layout.axes
    return compile_ahead(program, on, mesh=axes, donated=chunk.donated, names=chunk.names, cache=cache_folder())


def _memory(on: str) -> int | None:
    if on == "cuda":
        return (jax.devices()[0].memory_stats() or {}).get("bytes_limit")
    if on != "cpu":
        memory = topology(on).chip.memory
        return round(_gpu_share() * memory) if platform(on) == "cuda" else memory
    names = getattr(os, "sysconf_names", {})
    known = "SC_PHYS_PAGES" in names and "SC_PAGE_SIZE" in names
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if known else None


def _gpu_share() -> float:
    # What JAX takes of a GPU's memory when it starts: https://docs.jax.dev/en/latest/gpu_memory_allocation.html
    given = os.environ.get("XLA_CLIENT_MEM_FRACTION") or os.environ.get("XLA_PYTHON_CLIENT_MEM_FRACTION")
    return float(given or 0.75)


def _estimate(chunk: Ahead, found: Mapping[str, Any], on: str, devices: int) -> tuple[float | None, str | None]:
    if on == "cuda":
        device = jax.devices()[0]
        flops, bandwidth = peak_flops(device), peak_bandwidth(device)
    else:
        flops, bandwidth = (None, None) if on == "cpu" else (topology(on).chip.flops, topology(on).chip.bandwidth)
    if flops is None or bandwidth is None or "bytes_moved" not in found:
        return None, None
    compute, memory = chunk.flops / devices / flops, found["bytes_moved"] / bandwidth
    return max(compute, memory), "compute" if compute >= memory else "memory"
