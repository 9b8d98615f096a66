"""What XLA's compiler for CUDA asks of a GPU, written down: with it no GPU and no driver are needed."""

from typing import NamedTuple

from dlcore.scale._chips import CHIPS


class _Processors(NamedTuple):
    """What stands in NVIDIA's tables of compute capabilities, and in its white papers.

    Source: https://docs.nvidia.com/cuda/cuda-c-programming-guide/#compute-capabilities
    """

    name: str  # as the driver says it
    capability: int  # major; the minor one is 0
    features: str  # XLA's word for what only this very architecture has
    count: int
    fpus: int  # float32 units of a processor
    clock_ghz: float
    shared: int  # bytes of shared memory of a processor
    l2: int


_HOPPER = _Processors("NVIDIA H100 80GB HBM3", 9, "ACCELERATED_FEATURES", 132, 128, 1.98, 228 * 2**10, 50 * 2**20)
_PROCESSORS = {
    "a100": _Processors("NVIDIA A100-SXM4-80GB", 8, "NONE", 108, 64, 1.41, 164 * 2**10, 40 * 2**20),
    "h100": _HOPPER,
    "h200": _HOPPER._replace(name="NVIDIA H200"),
}


def target_config(model: str) -> str:
    """Returns a GPU as `jax.experimental.topologies.get_topology_desc(target_config=...)` wants it.

    Args:
      model: "a100", "h100" or "h200".

    Returns:
      The text of XLA's `GpuTargetConfigProto`.

    Source: xla/stream_executor/device_description.proto, of which these are the fields that the compiler reads.
    """
    chip, of = CHIPS[model], _PROCESSORS[model]
    # A block may have all shared memory of its processor but for a KiB, if it asks for it.
    return f"""
gpu_device_info {{
  cuda_compute_capability {{ major: {of.capability} feature_extension: {of.features} }}
  core_count: {of.count}
  fpus_per_core: {of.fpus}
  clock_rate_ghz: {of.clock_ghz}
  device_memory_size: {chip.memory}
  memory_bandwidth: {round(chip.bandwidth)}
  l2_cache_size: {of.l2}
  shared_memory_per_core: {of.shared}
  shared_memory_per_block: {48 * 2**10}
  shared_memory_per_block_optin: {of.shared - 2**10}
  registers_per_core_limit: {2**16}
  registers_per_block_limit: {2**16}
  threads_per_warp: 32
  threads_per_block_limit: 1024
  threads_per_core_limit: 2048
  thread_dim_limit_x: 1024
  thread_dim_limit_y: 1024
  thread_dim_limit_z: 64
  block_dim_limit_x: {2**31 - 1}
  block_dim_limit_y: {2**16 - 1}
  block_dim_limit_z: {2**16 - 1}
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 10 patch: 0 }}
runtime_version {{ major: 12 minor: 8 patch: 0 }}
device_description_str: "{of.name}"
"""
