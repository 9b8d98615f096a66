"""`debug()`: values are looked at inside compiled code too, and what is wrong is told with its layer path.

While it is off nothing is compiled in: programs are the same as if this file did not exist. While it is on, programs
are traced anew, and every layer's outputs are reduced to a flag that is sent to the host.
"""

import contextlib
import contextvars
import functools
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

_IS_ON = jax.make_user_context(False)  # part of the key of every compiled program
_PATH: contextvars.ContextVar[tuple[str, ...]] = contextvars.ContextVar("path", default=())
_NUMBERS = itertools.count()  # in the order of tracing: the inner layer before the outer one
_FOUND: list[tuple[int, str]] = []
_LOCK = threading.Lock()


@contextlib.contextmanager
def debug() -> Iterator[None]:
    """Finds the layer that a number stops being finite in, and the ids and labels that are out of range.

    Outside of it, compiled code cannot look at values: an id or a label out of range gives NaN, and `fit` stops with
    `non-finite at step N`. Inside, every layer that turns finite inputs and parameters into an output that is not
    finite is noted, and the first of them is raised where the block ends. It costs a reduction and a call to the host
    for every layer and step.

    Raises:
      FloatingPointError: where the block ends: the layer path, and what was found.

    Example:
      >>> import dlcore as dl
      >>> model = dl.serial(hidden=dl.dense(2), log=jnp.log)
      >>> params, state = model.init(jax.random.key(0), jnp.ones((1, 2)))
      >>> with debug():
      ...     y = jax.jit(model.apply)(params, state, -jnp.ones((1, 2)) * 0)[0]
      Traceback (most recent call last):
      ...
      FloatingPointError: in layer log: 2 of 2 outputs are not finite; all inputs and parameters are
    """
    with _LOCK:
        _FOUND.clear()
    with _IS_ON(True):
        yield
        jax.effects_barrier()
    with _LOCK:
        found = list(_FOUND)
        _FOUND.clear()
    if found:
        # One step's findings come before the next one's, but among themselves in any order: a number that comes a
        # second time begins the next step.
        first: dict[int, str] = {}
        for number, message in found:
            if number in first:
                break
            first[number] = message
        raise FloatingPointError(first[min(first)])


def is_on() -> bool:
    """Whether what is traced now is to look at values."""
    return bool(_IS_ON.value)


@contextlib.contextmanager
def within(name: str) -> Iterator[None]:
    """Adds a name to the layer path."""
    token = _PATH.set((*_PATH.get(), name))
    try:
        yield
    finally:
        _PATH.reset(token)


def require(condition: Callable[[], Any], message: str) -> None:
    """While `debug()` is on, notes the message where a condition on values does not hold.

    Args:
      condition: gives a boolean; not called while it is off.
      message: what was expected and what may be done.
    """
    if is_on():
        _send(lambda holds: None if holds else message, jnp.all(condition()))


def watch(inputs: Any, params: Any, outputs: Any) -> None:
    """While `debug()` is on, notes a layer that makes numbers that are not finite of numbers that are."""
    if is_on():
        leaves = [leaf for leaf in jax.tree.leaves(outputs) if _is_floating(leaf)]
        count, size = sum(jnp.sum(~jnp.isfinite(leaf)) for leaf in leaves), sum(leaf.size for leaf in leaves)
        if leaves:
            _send(functools.partial(_say, size), count, _is_finite(inputs), _is_finite(params))


def _say(size: int, count: Any, inputs: Any, params: Any) -> str | None:
    if not count or not inputs:
        return None
    rest = "all inputs and parameters are" if params else "its parameters are not either, its inputs are"
    return f"{int(count)} of {size} outputs are not finite; {rest}"


def _send(say: Callable[..., str | None], *values: Any) -> None:
    number, where = next(_NUMBERS), "/".join(_PATH.get())

    def note(*values: Any) -> None:
        if message := say(*values):
            with _LOCK:
                _FOUND.append((number, f"in layer {where}: {message}" if where else message))

    jax.debug.callback(note, *values)


def _is_finite(tree: Any) -> Any:
    leaves = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree) if _is_floating(leaf)]
    return jnp.stack(leaves).all() if leaves else jnp.array(True)


def _is_floating(leaf: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(leaf), jnp.floating)
