"""What is published about the chips that a program can be compiled for without one."""

import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from dlcore.errors import suggest

GIB = 2**30


class Chip(NamedTuple):
    """A TPU or a GPU, as JAX sees it: one device.

    Attributes:
      name: of its generation or model.
      memory: bytes of high-bandwidth memory of a device.
      flops: peak bfloat16 operations a second of a device.
      bandwidth: bytes a second between that memory and the device.
      devices: how many devices JAX makes of one chip.
    """

    name: str
    memory: int
    flops: float
    bandwidth: float
    devices: int = 1


# https://docs.cloud.google.com/tpu/docs/v5e (16 GB, 819 GB/s, 197 TFLOP/s) and, for the others,
# https://docs.cloud.google.com/tpu/docs/tpu7x, both a chip. A TPU7x chip is two devices, of half of everything each.
# GPUs are those on SXM boards; bfloat16 without sparsity, which is half of what is printed there for H100 and H200:
# https://www.nvidia.com/en-us/data-center/a100/ (80 GB, 312 TFLOP/s, 2039 GB/s), .../h100/ (80 GB, 1979/2, 3.35 TB/s)
# and .../h200/ (141 GB, 1979/2, 4.8 TB/s). Their memory is what the driver leaves of it, which XLA's descriptions say:
# https://github.com/openxla/xla/tree/main/xla/backends/gpu/target_config/specs
CHIPS: Mapping[str, Chip] = MappingProxyType(
    {
        "v5e": Chip("v5e", 16 * GIB, 197e12, 819e9),
        "v5p": Chip("v5p", 95 * GIB, 459e12, 2765e9),
        "v6e": Chip("v6e", 32 * GIB, 918e12, 1638e9),
        "tpu7x": Chip("tpu7x", 96 * GIB, 2307e12 / 2, 7380e9 / 2, devices=2),
        "a100": Chip("a100", 85_100_068_864, 312e12, 2039e9),
        "h100": Chip("h100", 84_942_979_072, 989e12, 3350e9),
        "h200": Chip("h200", 151_397_597_184, 989e12, 4800e9),
    }
)


GPUS = ("a100", "h100", "h200")

# What JAX calls a device, from its beginning on, and its peaks as published: bfloat16 operations a second without
# sparsity, and bytes a second. The first that fits counts. TPU v4: https://docs.cloud.google.com/tpu/docs/v4. GPUs that
# are not in CHIPS: the same pages of NVIDIA's, and those of the A100 of 40 GB, https://www.nvidia.com/content/dam/
# en-zz/Solutions/Data-Center/a100/pdf/nvidia-a100-datasheet-us-nvidia-1758950-r4-web.pdf, the H100 PCIe (756 TFLOP/s,
# 2 TB/s) and H100 NVL and H200 NVL (1671/2; 3.9 and 4.8 TB/s).
_PEAKS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "TPU v4": (275e12, 1200e9),
        "TPU v5 lite": (CHIPS["v5e"].flops, CHIPS["v5e"].bandwidth),
        "TPU v5e": (CHIPS["v5e"].flops, CHIPS["v5e"].bandwidth),
        "TPU v5": (CHIPS["v5p"].flops, CHIPS["v5p"].bandwidth),
        "TPU v6": (CHIPS["v6e"].flops, CHIPS["v6e"].bandwidth),
        "TPU7": (CHIPS["tpu7x"].flops, CHIPS["tpu7x"].bandwidth),
        "NVIDIA A100-SXM4-40GB": (312e12, 1555e9),
        "NVIDIA A100-PCIE-40GB": (312e12, 1555e9),
        "NVIDIA A100 80GB PCIe": (312e12, 1935e9),
        "NVIDIA A100": (CHIPS["a100"].flops, CHIPS["a100"].bandwidth),
        "NVIDIA H100 PCIe": (756e12, 2000e9),
        "NVIDIA H100 NVL": (835e12, 3900e9),
        "NVIDIA H100": (CHIPS["h100"].flops, CHIPS["h100"].bandwidth),
        "NVIDIA H200 NVL": (835e12, 4800e9),
        "NVIDIA H200": (CHIPS["h200"].flops, CHIPS["h200"].bandwidth),
    }
)


def peak_flops(device: Any) -> float | None:
    """Returns the published peak of a device in bfloat16 operations a second; None where none is known, as of CPUs.

    Args:
      device: one of `jax.devices()`.

    Example:
      >>> import jax
      >>> peak_flops(jax.devices("cpu")[0]) is None
      True
    """
    return _peaks(device)[0]


def peak_bandwidth(device: Any) -> float | None:
    """Returns the published bytes a second between a device and its memory; None where that is not known, as of CPUs.

    Args:
      device: one of `jax.devices()`.

    Example:
      >>> import jax
      >>> peak_bandwidth(jax.devices("cpu")[0]) is None
      True
    """
    return _peaks(device)[1]


def _peaks(device: Any) -> tuple[float, float] | tuple[None, None]:
    kind = device.device_kind
    if " MIG " in kind:  # a part of a GPU, which has the name of all of it
        return None, None
    return next((peaks for known, peaks in _PEAKS.items() if kind.startswith(known)), (None, None))


def platform(on: str) -> str:
    """Returns what JAX calls the platform of "cpu", "cuda", "cuda:h100:8" or a slice of TPUs."""
    kind = on.partition(":")[0]
    return kind if kind in ("cpu", "cuda") else "tpu"


class Topology(NamedTuple):
    """Chips of one kind, TPUs in a grid or GPUs of one machine: what "v5e:2x2" and "cuda:h100:8" say.

    Attributes:
      name: as it was given.
      chip: what each of its devices has.
      devices: how many devices JAX makes of it.
    """

    name: str
    chip: Chip
    devices: int


def topology(name: str) -> Topology:
    """Reads the name of a slice of TPUs, or of the GPUs of a machine.

    Args:
      name: the generation and the grid, "v5e:2x2", "v5p:2x2x1", "v6e:4x4" or "tpu7x:2x2x1"; of GPUs the model and, of
        more than one, how many: "cuda:a100", "cuda:h100:8" or "cuda:h200:4".

    Raises:
      ValueError: for another generation or model, or where that is no grid of two numbers (three for v5p and tpu7x).

    Example:
      >>> topology("tpu7x:2x2x1").devices
      8
      >>> topology("v5e:2x2").chip.memory / 2**30
      16.0
      >>> topology("cuda:h100:8").devices
      8
    """
    kind, _, grid = name.partition(":")
    if kind == "cuda":
        return _gpus(name, grid)
    tpus = [known for known in CHIPS if known not in GPUS]
    if kind not in tpus:
        known = [*tpus, "cpu", "cuda", *(f"cuda:{gpu}" for gpu in GPUS)]
        raise ValueError(f"on: there is no {kind!r}{suggest(kind, known)}")
    axes = 3 if kind in ("v5p", "tpu7x") else 2
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)" + f"{{{axes - 1}}}", grid):
        example = kind + ":" + "x".join(["2", "2", "1"][:axes])
        raise ValueError(f"on: expected {kind} with its grid of {axes} numbers, as in {example!r}, found {name!r}")
    chip = CHIPS[kind]
    return Topology(name, chip, chip.devices * math.prod(map(int, grid.split("x"))))


def _gpus(name: str, rest: str) -> Topology:
    model, colon, count = rest.partition(":")
    if model not in GPUS:
        raise ValueError(f"on: there is no {name!r}{suggest(model, GPUS)}; known are cuda:{', cuda:'.join(GPUS)}")
    if colon and not re.fullmatch(r"[1-9]\d*", count):
        raise ValueError(f"on: expected how many GPUs a machine has, as in 'cuda:{model}:8', found {name!r}")
    return Topology(name, CHIPS[model], int(count or 1))
