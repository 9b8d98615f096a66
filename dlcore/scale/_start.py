"""Starting a program in several processes, and leaving it when one of them is gone."""

import os
import re
import sys
from typing import Any

import jax

from dlcore.errors import PeerError

__all__ = ["start"]

HEARTBEAT = 10  # seconds; a process that was not heard of for so long is taken for dead, and the others are ended
_VISIBLE = ("jax_cuda_visible_devices", "jax_rocm_visible_devices")


def start(
    coordinator_address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    heartbeat_seconds: int = HEARTBEAT,
) -> None:
    """Joins this process with the others that run the same program: `jax.devices()` are then those of all of them.

    To be called first, before anything else asks for a device. On SLURM, Kubernetes (with the package `kubernetes`),
    Open MPI 4 and TPU pods nothing has to be given. `fit(mesh=...)` then trains over the devices of all processes: with
    the data of a `Dataset` or a pair each process reads the same, from an iterator each its own share of every batch;
    files and progress are those of process 0.

    A process that SLURM or Open MPI runs alone on its node has all GPUs of it; of several there each has one, by its
    rank on the node. JAX_LOCAL_DEVICE_IDS=0,1 in the environment says otherwise.

    Args:
        coordinator_address: HOST:PORT of process 0.
        num_processes: how many there are.
        process_id: which this one is, from 0 on.
        heartbeat_seconds: after which silence a process is taken for dead.

    Raises:
        ValueError: where nothing is given and no cluster is found, or only a part is given.
        RuntimeError: where a device has been asked for already.

    Source: `jax.distributed.initialize`, which does the work.
    """
    given = (coordinator_address, num_processes, process_id)
    if any(one is None for one in given) and any(one is not None for one in given):
        names = "coordinator_address, num_processes and process_id"
        raise ValueError(f"start: expected all of {names}, or none where a cluster tells them, found {given}")
    if num_processes is not None and process_id is not None and not 0 <= process_id < num_processes:
        raise ValueError(f"process_id: expected 0 to {num_processes - 1}, found {process_id}")
    visible = {name: jax.config.read(name) for name in _VISIBLE}
    try:
        jax.distributed.initialize(*given, heartbeat_timeout_seconds=heartbeat_seconds)
    except ValueError as error:
        if coordinator_address is not None:
            raise
        client = "" if "KUBERNETES_SERVICE_HOST" not in os.environ else " (here: pip install kubernetes)"
        raise ValueError(
            f"start: found no cluster ({error}); expected SLURM, Kubernetes{client}, Open MPI 4 or a TPU pod; "
            "elsewhere give coordinator_address='HOST:PORT', num_processes and process_id"
        ) from None
    if _is_alone_on_its_node() and "JAX_LOCAL_DEVICE_IDS" not in os.environ:
        for name, value in visible.items():
            jax.config.update(name, value)
    sys.excepthook = _leaving(sys.excepthook)


def _is_alone_on_its_node() -> bool:
    """Whether the launcher says that it runs one process a node; JAX would show it the first GPU only."""
    if "OMPI_MCA_orte_hnp_uri" in os.environ:
        return os.environ.get("OMPI_COMM_WORLD_LOCAL_SIZE") == "1"
    return re.fullmatch(r"1(\(x\d+\))?", os.environ.get("SLURM_STEP_TASKS_PER_NODE", "")) is not None


def _leaving(show: Any) -> Any:
    """An ordinary exit waits for the process that is gone."""

    def hook(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        show(kind, error, trace)
        if isinstance(error, PeerError):
            sys.stderr.flush()
            os._exit(1)

    return hook
