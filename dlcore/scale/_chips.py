"""What is published about the chips that a program can be compiled for without one."""

import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from dlcore.errors import suggest

GIB = 2**30


class Chip(NamedTuple):
    """A TPU, as JAX sees it: one device.

    Attributes:
      name: of its generation.
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
CHIPS: Mapping[str, Chip] = MappingProxyType(
    {
        "v5e": Chip("v5e", 16 * GIB, 197e12, 819e9),
        "v5p": Chip("v5p", 95 * GIB, 459e12, 2765e9),
        "v6e": Chip("v6e", 32 * GIB, 918e12, 1638e9),
        "tpu7x": Chip("tpu7x", 96 * GIB, 2307e12 / 2, 7380e9 / 2, devices=2),
    }
)


# What JAX calls a device, from its beginning on, and its peak in bfloat16 without sparsity, as published. TPU v4:
# https://docs.cloud.google.com/tpu/docs/v4; A100, H100 and H200 (SXM): NVIDIA's data sheets.
_PEAKS = {
    "TPU v4": 275e12,
    "TPU v5 lite": CHIPS["v5e"].flops,
    "TPU v5e": CHIPS["v5e"].flops,
    "TPU v5": CHIPS["v5p"].flops,
    "TPU v6": CHIPS["v6e"].flops,
    "TPU7": CHIPS["tpu7x"].flops,
    "NVIDIA A100": 312e12,
    "NVIDIA H100": 989e12,
    "NVIDIA H200": 989e12,
}


def peak_flops(device: Any) -> float | None:
    """Returns the published peak of a device in bfloat16 operations a second; None where none is known, as of CPUs.

    Args:
      device: one of `jax.devices()`.

    Example:
      >>> import jax
      >>> peak_flops(jax.devices("cpu")[0]) is None
      True
    """
    return next((peak for kind, peak in _PEAKS.items() if device.device_kind.startswith(kind)), None)


class Topology(NamedTuple):
    """Chips of one kind in a grid: what "v5e:2x2" says.

    Attributes:
      name: as it was given.
      chip: what each of its devices has.
      devices: how many devices JAX makes of it.
    """

    name: str
    chip: Chip
    devices: int


def topology(name: str) -> Topology:
    """Reads the name of a slice of TPUs.

    Args:
      name: the generation and the grid, "v5e:2x2", "v5p:2x2x1", "v6e:4x4" or "tpu7x:2x2x1".

    Raises:
      ValueError: for another generation, or where that is no grid of two numbers (three for v5p and tpu7x).

    Example:
      >>> topology("tpu7x:2x2x1").devices
      8
      >>> topology("v5e:2x2").chip.memory / 2**30
      16.0
    """
    kind, _, grid = name.partition(":")
    if kind not in CHIPS:
        raise ValueError(f"on: there is no {kind!r}{suggest(kind, [*CHIPS, 'cpu', 'cuda'])}")
    axes = 3 if kind in ("v5p", "tpu7x") else 2
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)" + f"{{{axes - 1}}}", grid):
        example = kind + ":" + "x".join(["2", "2", "1"][:axes])
        raise ValueError(f"on: expected {kind} with its grid of {axes} numbers, as in {example!r}, found {name!r}")
    chip = CHIPS[kind]
    return Topology(name, chip, chip.devices * math.prod(map(int, grid.split("x"))))
