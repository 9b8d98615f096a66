"""The lanes of a run on their devices: each device runs the same single-device program on lanes of its own."""

import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from dlcore.train._chunk import Log
from dlcore.train._keys import key_impl, plain_leaf, typed_leaf
from dlcore.train._memory import free_bytes, lanes_that_fit
from dlcore.train._program import Program
from dlcore.train._rewind import keep, mend, rewind
from dlcore.train._state import TrainState

Shards = list[Any]  # one tree a device


class Fleet:
    """Lanes 0 to N - 1 over devices, dealt out in turn; a lone run is one lane, whose arrays have no lane axis.

    Calls return before the devices have finished; `read` waits. (A program that is compiled for several devices at
    once would not give the bits of the lone run.)

    Args:
      programs: what runs.
      lanes: None for a lone run, "loop" or "vmap".
      count: number of lanes; 1 for a lone run.
      devices: where they run; None stands for JAX's default.
    """

    def __init__(self, programs: Program, lanes: str | None, count: int, devices: Sequence[Any] = (None,)):
        self.programs, self.lanes, self.count = programs, lanes, count
        self.width = count  # how many lanes run side by side under "vmap"
        self.devices = list(devices)[:count]
        self.members = [np.arange(count)[first :: len(self.devices)] for first in range(len(self.devices))]

    def share(self, tree: Any) -> Shards:
        """Gives every device a copy of what all lanes read."""
        return [tree if device is None else jax.device_put(tree, device) for device in self.devices]

    def place(self, tree: Any) -> Shards:
        """As `share`, for batches that the host has just read: the result is on the devices already, or on its way."""
        return jax.device_put(self.share(tree))

    def split(self, tree: Any) -> Shards:
        """Gives every device its lanes."""
        if self.lanes is None or self.devices == [None]:
            return [tree]
        plain, types = jax.device_get(jax.tree.map(plain_leaf, tree)), jax.tree.map(key_impl, tree)
        pairs = zip(self.devices, self.members, strict=True)
        return [
            jax.tree.map(lambda leaf, impl, d=device, m=own: typed_leaf(jax.device_put(leaf[m], d), impl), plain, types)
            for device, own in pairs
        ]

    def join(self, shards: Shards) -> Any:
        """Returns one tree with all lanes in order, on the first device."""
        if len(shards) == 1:
            return shards[0]
        put = lambda leaf, impl: typed_leaf(jax.device_put(leaf, self.devices[0]), impl)
        return jax.tree.map(put, self.fetch(shards), jax.tree.map(key_impl, shards[0]))

    def fetch(self, shards: Shards) -> Any:
        """Returns one tree of NumPy arrays, with all lanes in order."""
        host = jax.device_get([jax.tree.map(plain_leaf, shard) for shard in shards])
        return host[0] if len(host) == 1 else jax.tree.map(lambda *leaves: self._in_order(leaves), *host)

    def init(self, keys: Any, hparams: Any, params: Any, state: Any, inputs: Any) -> Shards:
        """Returns the carries at step 0."""
        init = self.programs.init
        if self.devices[0] is not None and self.devices[0].platform == "cpu":
            return self.split(init((keys, hparams), params, state, inputs=inputs))  # one memory, and one compilation
        return [init(own, params, state, inputs=inputs) for own in self.split((keys, hparams))]

    def fit_memory(self, carries: Shards, sources: Shards, guarded: bool) -> None:
        """Sets how many lanes run side by side by what the compiler says that they need."""
        if self.lanes != "vmap":
            return
        carry, count = carries[0], len(self.members[0])
        chunk, k = self._chunk(guarded), np.ones(count, np.int32)

        def compile_for(width: int) -> Any:
            return chunk.lower(carry, k, _padded(np.arange(width), width, count), sources[0]).compile()

        held = 0 if guarded else sum(leaf.nbytes for leaf in jax.tree.leaves(carry))  # a copy of what goes in
        self.width = lanes_that_fit(compile_for, count, free_bytes(self.devices[0]) - held)

    def agree(self, numbers: Sequence[int]) -> list[int]:
        """Returns what all processes of the run are to go by; here there is one."""
        return list(numbers)

    def cursors(self, name: str, state: np.ndarray | None) -> dict[str, np.ndarray]:
        """Returns where the data of this process stand, for a checkpoint."""
        return {} if state is None else {name: state}

    def cursor(self, name: str, process: int | None = None) -> str:
        """Returns the name of a process's place among the `cursors`; this one's unless told."""
        process = jax.process_index() if process is None else process
        return f"{name}/{process}" if process else name

    def run(self, carries: Shards, k: np.ndarray, sources: Shards, guarded: bool) -> tuple[Shards, list[Any]]:
        """Starts a chunk of `k` (N,) steps; returns the carries and what `read` turns into a log."""
        results = [
            self._run(carry, k[own], source, guarded)
            for carry, own, source in zip(carries, self.members, sources, strict=True)
        ]
        return [carry for carry, _ in results], [logs for _, logs in results]

    def read(self, logs: list[Any], k: np.ndarray) -> Log:
        """Waits for a chunk, and returns its log as NumPy arrays with a lane axis."""
        parts = [self._merged(own, k[members]) for own, members in zip(logs, self.members, strict=True) if own]
        places = np.concatenate([members for own, members in zip(logs, self.members, strict=True) if own])
        joined = jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)

        def spread(leaf: np.ndarray) -> np.ndarray:
            out = np.zeros((self.count, *leaf.shape[1:]), leaf.dtype)
            out[places] = leaf
            return out

        log = jax.tree.map(spread, joined)
        return log._replace(finite=log.finite | (k == 0))

    def rewind(self, kept: Shards, k: np.ndarray, sources: Shards, log: Log, failed: np.ndarray) -> tuple[Shards, Log]:
        """Returns carries in which the lanes that failed stand at their last finite step, and the log of it."""
        carries, log = list(kept), jax.tree.map(np.copy, log)
        for number, own in enumerate(self.members):
            if not failed[own].any():
                continue

            mine = jax.tree.map(lambda leaf, own=own: leaf[own], log)._replace(finite=~failed[own])
            nothing = jax.tree.map(np.zeros_like, mine)._replace(finite=np.ones(len(own), bool))

            def again(carry: Any, k: np.ndarray, source: Any = sources[number], nothing: Log = nothing) -> Any:
                carry, logs = self._run(carry, k, source, guarded=False)
                return carry, self._merged(logs, k) if logs else nothing

            carries[number], found = rewind(again, kept[number], k[own], mine)

            def put(into: np.ndarray, new: np.ndarray, own: np.ndarray = own) -> None:
                into[own] = np.where(failed[own].reshape(-1, *(1 for _ in new.shape[1:])), new, into[own])

            jax.tree.map(put, log, found)
        return carries, log

    def measure(self, weights: Shards, active: np.ndarray, arrays: Shards, start: int, size: int) -> list[Any]:
        """Starts an evaluation of rows `start` to `start + size - 1`, for the lanes that are active."""
        results = []
        for own, mine, data in zip(weights, self.members, arrays, strict=True):
            orders = self._orders(active[mine])
            results.append([(*order, self.programs.evaluate(own, *order, data, start, size)) for order in orders])
        return results

    def read_values(self, measured: list[Any]) -> dict[str, np.ndarray]:
        """Returns what was measured, (N,) by name; NaN for lanes that were not active."""
        found: dict[str, np.ndarray] = {}
        for calls, own in zip(measured, self.members, strict=True):
            for *order, values in calls:
                ran = order[0][order[0] < len(own)] if order else np.array([0])
                for name, value in _wait(values).items():
                    row = found.setdefault(name, np.full(self.count, np.nan, np.float32))
                    row[own[ran]] = np.reshape(value, -1)[ran]
        return found

    def keep(self, carries: Shards) -> Shards:
        """Returns copies: a chunk donates what it is given."""
        return [keep(carry) for carry in carries]

    def mend(self, marked: np.ndarray, new: Shards, old: Shards) -> Shards:
        """Returns copies of `old` with the lanes that are marked (N,) taken from `new`."""
        trees = zip(self.members, new, old, strict=True)
        return [mend(marked[own] if self.lanes else marked[0], fresh, past) for own, fresh, past in trees]

    def _run(self, carry: TrainState, k: np.ndarray, source: Any, guarded: bool) -> tuple[TrainState, list[Log]]:
        logs = []
        for order in self._orders(k > 0):
            carry, log = self._chunk(guarded)(
                carry, k.astype(np.int32) if self.lanes else np.int32(k[0]), *order, source
            )
            logs.append(log)
        return carry, logs

    def _chunk(self, guarded: bool) -> Any:
        return self.programs.guarded_chunk if guarded else self.programs.chunk

    def _orders(self, active: np.ndarray) -> list[tuple[np.ndarray, ...]]:
        """Returns the lists of lanes that are run one call after another; a lone run needs none."""
        live, count = np.flatnonzero(active), len(active)
        if self.lanes is None:
            return [()] * len(live)
        if not len(live):
            return []
        if self.lanes == "loop":
            return [(_padded(live, count, count),)]
        # Side by side, a lane that has stopped would cost as much as one that has not: so there are programs for 1, 2,
        # 4, ... lanes, and the fewest lanes that hold the live ones.
        width = min(self.width, count)
        blocks = [live[i : i + width] for i in range(0, len(live), width)]
        return [(_padded(own, min(width, 1 << (len(own) - 1).bit_length()), count),) for own in blocks]

    def _merged(self, logs: list[Log], k: np.ndarray) -> Log:
        host = _wait(logs)
        if self.lanes is None:
            host = [jax.tree.map(lambda leaf: np.asarray(leaf)[None], one) for one in host]
        # In the lanes of another call there are zeros.
        log = jax.tree.map(
            lambda *leaves: np.sum(leaves, 0, dtype=leaves[0].dtype) if len(leaves) > 1 else leaves[0], *host
        )
        return log._replace(finite=log.finite | (k == 0))

    def _in_order(self, leaves: Sequence[np.ndarray]) -> np.ndarray:
        out = np.empty((self.count, *leaves[0].shape[1:]), leaves[0].dtype)
        for own, leaf in zip(self.members, leaves, strict=True):
            out[own] = leaf
        return out


def _padded(lanes: np.ndarray, length: int, none: int) -> np.ndarray:
    return np.concatenate([lanes, np.full(length - len(lanes), none)]).astype(np.int32)


def _wait(tree: Any) -> Any:
    # Python looks at signals between its own instructions only, and not while it waits for a device. Asking takes time
    # from a CPU that computes: every 0.1 ms, 5 % of a LeNet-5 and 9 % of a Transformer on two cores.
    began = time.perf_counter()
    for leaf in jax.tree.leaves(tree)[-1:]:
        while not leaf.is_ready():
            waited = time.perf_counter() - began
            time.sleep(min(max(waited / 100, 1e-4), 2e-3))
    return jax.device_get(tree)
