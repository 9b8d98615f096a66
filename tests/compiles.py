"""Counts what JAX does between two lines: traces, lowerings, and compilations that the cache did not answer."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import jax.monitoring
from jax._src import monitoring  # its listeners can only be taken away again through the private module

_TRACE = "/jax/core/compile/jaxpr_trace_duration"
_LOWER = "/jax/core/compile/jaxpr_to_mlir_module_duration"
_COMPILE = "/jax/core/compile/backend_compile_duration"  # also around an answer of the persistent cache
_HIT = "/jax/compilation_cache/cache_hits"


class Compiles:
    """What has been counted so far; `names` lists the functions by kind, for a failing test's message."""

    def __init__(self) -> None:
        self._events: Counter[str] = Counter()
        self.names: dict[str, list[str]] = {"traced": [], "lowered": [], "compiled or cached": []}

    @property
    def traces(self) -> int:
        return self._events[_TRACE]

    @property
    def lowerings(self) -> int:
        return self._events[_LOWER]

    @property
    def cache_hits(self) -> int:
        return self._events[_HIT]

    @property
    def backend(self) -> int:
        """Programs that the compiler itself has made."""
        return self._events[_COMPILE] - self._events[_HIT]

    def __repr__(self) -> str:
        counts = f"{self.traces} traces, {self.lowerings} lowerings, {self.cache_hits} hits, {self.backend} compiles"
        return f"{counts}: {self.names}"

    def _count(self, event: str, **_: Any) -> None:
        self._events[event] += 1

    def _count_duration(self, event: str, duration_secs: float, **details: Any) -> None:
        self._events[event] += 1
        for kind, name in zip(self.names, (_TRACE, _LOWER, _COMPILE), strict=True):
            if event == name:
                self.names[kind].append(str(details.get("fun_name")))


@contextlib.contextmanager
def counting() -> Iterator[Compiles]:
    """Counts while entered.

    with counting() as compiles:
        fit(...)
    assert compiles.backend == 0, compiles
    """
    found = Compiles()
    jax.monitoring.register_event_listener(found._count)
    jax.monitoring.register_event_duration_secs_listener(found._count_duration)
    try:
        yield found
    finally:
        monitoring.unregister_event_listener(found._count)
        monitoring.unregister_event_duration_listener(found._count_duration)
