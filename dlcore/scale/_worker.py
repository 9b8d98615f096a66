"""The process that compiles: it reads a folder with a program and a request, and leaves its answer there."""

import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import export
from jax.experimental import topologies
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

from dlcore.scale._chips import platform, topology
from dlcore.scale._gpu_target import target_config
from dlcore.scale._measure import measure


def answer(folder: Path) -> None:
    """Compiles `program` as `request.json` says, and writes `answer.json`."""
    request = json.loads((folder / "request.json").read_text())
    program = export.deserialize(bytearray((folder / "program").read_bytes()))
    placed = _placed(program, request["on"], request["mesh"])
    structs = [
        jax.ShapeDtypeStruct(one.shape, one.dtype, sharding=sharding)
        for one, sharding in zip(program.in_avals, placed, strict=True)
    ]
    jitted = jax.jit(program.call, donate_argnums=tuple(range(request["donated"])))
    found = measure(jitted.lower(*structs), request["names"])
    partial = folder / "answer.part"
    partial.write_text(json.dumps(found))
    os.replace(partial, folder / "answer.json")


def _placed(program: Any, on: str, axes: Mapping[str, int]) -> Sequence[Any]:
    """Returns how the arguments lie on devices that may be elsewhere."""
    devices = _devices(on)
    if not axes:
        return [SingleDeviceSharding(devices[0])] * len(program.in_avals)
    grid = np.array(devices[: math.prod(axes.values())], dtype=object).reshape(tuple(axes.values()))
    mesh = Mesh(grid, tuple(axes), axis_types=(AxisType.Auto,) * len(axes))
    everywhere = NamedSharding(mesh, PartitionSpec())
    return [everywhere if one is None else one for one in program.in_shardings_jax(mesh)]


def _devices(on: str) -> Sequence[Any]:
    if on == "cpu":
        return jax.devices()
    if platform(on) == "tpu":
        return topologies.get_topology_desc(platform="tpu", topology_name=on).devices
    wanted = topology(on)
    config = target_config(wanted.chip.name)
    # Of one partition, one machine.
    shape = f"1x1x{wanted.devices}"
    return topologies.get_topology_desc(platform="cuda", topology_name="", topology=shape, target_config=config).devices


if __name__ == "__main__":
    answer(Path(sys.argv[1]))
