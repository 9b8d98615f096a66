"""What several processes that run one program tell each other. Each of these is to be called by all of them."""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from dlcore.errors import PeerError

__all__ = ["broadcast", "each", "highest", "name_lost_peers", "put", "to_host"]

PATIENCE = 3.0  # seconds in which a process that lives answers; less than a heartbeat, which ends the program


def highest(numbers: Sequence[int]) -> list[int]:
    """Returns, one by one, the highest of the numbers of all processes."""
    if jax.process_count() == 1:
        return list(numbers)
    return multihost_utils.process_allgather(np.asarray(numbers, np.int32)).max(0).tolist()


def to_host(tree: Any) -> Any:
    """Returns a tree of whole NumPy arrays, put together from the parts that other processes hold."""

    def whole(leaf: Any) -> Any:
        if not isinstance(leaf, jax.Array) or leaf.is_fully_addressable or leaf.is_fully_replicated:
            return jax.device_get(leaf)
        return multihost_utils.process_allgather(leaf, tiled=True)

    return jax.tree.map(whole, tree)


def put(leaf: np.ndarray, sharding: Any) -> jax.Array:
    """Lays out an array that every process has whole. (`jax.device_put` would compare all of them first.)"""
    return jax.make_array_from_callback(np.shape(leaf), sharding, lambda index: np.asarray(leaf)[index])


def broadcast(arrays: Mapping[str, np.ndarray] | None, note: Any = None) -> tuple[dict[str, np.ndarray], Any] | None:
    """Returns the arrays by name, to the last bit, and the note (JSON) that process 0 has; None where it has none."""
    mine = None
    if arrays is not None:
        heads = {name: [array.dtype.name, list(array.shape)] for name, array in arrays.items()}
        pieces = [np.ascontiguousarray(array).reshape(-1).view(np.uint8) for array in arrays.values()]
        text = np.frombuffer(json.dumps([heads, note]).encode(), np.uint8)
        mine = (text, np.concatenate([np.zeros(0, np.uint8), *pieces]))
    # int32: a larger number would be cut without x64. Pieces of MiB, then.
    sizes = np.zeros(3, np.int32) if mine is None else np.array([1, len(mine[0]), -(-len(mine[1]) // 2**20)], np.int32)
    is_there, length, blocks = multihost_utils.broadcast_one_to_all(sizes).tolist()
    if not is_there:
        return None
    sent = np.zeros(length + blocks * 2**20, np.uint8)
    if mine is not None:
        sent[:length], sent[length : length + len(mine[1])] = mine
    sent = np.asarray(multihost_utils.broadcast_one_to_all(sent))
    heads, note = json.loads(sent[:length].tobytes())
    found, place = {}, length
    for name, (dtype, shape) in heads.items():
        end = place + np.dtype(dtype).itemsize * int(np.prod(shape))
        found[name] = sent[place:end].copy().view(dtype).reshape(shape)
        place = end
    return found, note


def each(data: np.ndarray | None) -> list[np.ndarray | None]:
    """Returns the bytes (uint8) of every process, in order; None where a process has none."""
    lengths = multihost_utils.process_allgather(np.int32(-1 if data is None else len(data)))
    row = np.zeros(max(int(lengths.max()), 1), np.uint8)
    if data is not None:
        row[: len(data)] = data
    rows = multihost_utils.process_allgather(row)
    return [None if length < 0 else own[:length] for own, length in zip(rows, lengths, strict=True)]


@contextlib.contextmanager
def name_lost_peers() -> Iterator[None]:
    """Turns the error of a collective into one that says which process is gone.

    Raises:
        PeerError: where some do not answer any more.
    """
    try:
        yield
    except (jax.errors.JaxRuntimeError, ValueError) as error:  # Gloo's come as either
        if jax.process_count() == 1 or not _is_of_others(error):
            raise
        lost = _silent()
        if not lost:
            raise
        who = f"process {lost[0]} was" if len(lost) == 1 else f"processes {', '.join(map(str, lost))} were"
        repair = "start all of them again with resume=True (--resume)"
        raise PeerError(f"{who} lost, of {jax.process_count()}; {repair}") from error


def _is_of_others(error: Exception) -> bool:
    words = ("Gloo", "NCCL", "UNAVAILABLE", "DEADLINE_EXCEEDED", "heartbeat", "onnection")
    return any(word in str(error) for word in words)


def _silent() -> list[int]:
    """Returns the processes that do not say that they live."""
    from jax._src import distributed  # JAX has no public way to ask

    client, own, count = distributed.global_state.client, jax.process_index(), jax.process_count()
    others, began = {*range(count)} - {own}, time.monotonic()
    try:
        client.key_value_set(f"dlcore/lives/{own}", "yes", allow_overwrite=True)  # pyright: ignore
        while others and time.monotonic() - began < PATIENCE:
            time.sleep(0.1)
            said = client.key_value_dir_get("dlcore/lives/")  # pyright: ignore[reportOptionalMemberAccess]
            others -= {int(name.rsplit("/", 1)[1]) for name, _ in said}
    except Exception:  # of many kinds: what is asked is in process 0
        return [0]
    return sorted(others)
