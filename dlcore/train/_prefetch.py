"""Reading ahead: a thread fetches the next batches while the devices work on the last ones."""

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import jax

from dlcore.train._stream import STACK, Stream, Taken

POLL = 0.05  # seconds between two looks at what else has happened, while nothing comes
PATIENCE = 0.5  # seconds that a thread has to end; one that hangs in a loader is left behind


class Prefetcher:
    """Stacks of batches, read and put on the devices in a thread of their own.

    The thread reads up to the end of the run and no further, and no more than `ahead` stacks (of 32 batches) that have
    not been asked for. What a loader raises comes out of `take`, after the stacks that were whole before it.

    Args:
      stream: the batches.
      place: host stack -> the same on the devices; here a mesh lays it out.
      start: the step of the first batch.
      end: the step after the last one; None reads until the data end.
      ahead: stacks that are kept ready; with 0 there is no thread, and each is read when it is asked for.
    """

    def __init__(self, stream: Stream, place: Callable[[Any], Any], start: int, end: int | None, ahead: int):
        self._stream, self._place, self._step, self._end = stream, place, start, end
        self._ready: queue.SimpleQueue[Taken | BaseException] = queue.SimpleQueue()
        self._room, self._closed = threading.Semaphore(ahead), threading.Event()
        self._thread: threading.Thread | None = None
        if ahead:
            config: Any = jax.config
            context = (config.jax_enable_x64, config.jax_default_device)  # which JAX keeps for each thread by itself
            self._thread = threading.Thread(target=self._work, args=context, name="dlcore-prefetch", daemon=True)
            self._thread.start()

    def take(self, goes_on: Callable[[float], bool] = lambda seconds: True) -> Taken | None:
        """Returns the next stack, with a count of 0 after the last one.

        Args:
          goes_on: is told again and again for how many seconds nothing has come; once it says no, so is the result.

        Returns:
          The stack; None where `goes_on` has said no.

        Raises:
          Exception: what reading has raised, as it was.
        """
        began, found, thread = time.perf_counter(), None, self._thread
        if thread is None:
            found = self._read()
        while found is None:
            try:
                found = self._ready.get(timeout=POLL)
            except queue.Empty:
                if thread and not thread.is_alive() and self._ready.empty():
                    return Taken(None, 0, None)  # asked again after the end
                if not goes_on(time.perf_counter() - began):
                    return None
        self._room.release()
        if isinstance(found, BaseException):
            raise found
        if found.count:
            self._stream.state = found.state
        return found

    def close(self) -> None:
        """Ends the thread, after the batch that it is reading; more than once does no harm."""
        self._closed.set()
        self._room.release()
        if self._thread is not None:
            self._thread.join(PATIENCE)

    def _work(self, is_x64: bool, device: Any) -> None:
        try:
            with jax.enable_x64(is_x64), jax.default_device(device):
                while True:
                    self._room.acquire()
                    if self._closed.is_set():
                        return
                    found = self._read()
                    self._ready.put(found)
                    if not found.count:
                        return
        except BaseException as error:  # whatever it is, it belongs to whoever waits
            self._ready.put(error)

    def _read(self) -> Taken:
        left = STACK if self._end is None else self._end - self._step
        found = self._stream.read(self._step, left, lambda: not self._closed.is_set())
        self._step += found.count
        return found._replace(source=self._place(found.source)) if found.count else found
