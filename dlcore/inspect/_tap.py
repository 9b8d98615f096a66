"""Looking at the outputs inside a model, and changing them."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
from jax.extend.core import get_opaque_trace_state

from dlcore.core import Layer
from dlcore.errors import suggest


class _Collector:
    """The collector of one layer: combinators hand `at(...)` on to a child, and `record` the output of its call."""

    def __init__(self, path: str, run: "_Run"):
        self._path, self._run = path, run

    def at(self, name: str, index: int) -> "_Collector":
        name = f"{name}:{index}" if index else name
        return _Collector(f"{self._path}/{name}" if self._path else name, self._run)

    def record(self, y: Any) -> Any:
        self._run.paths.append(self._path)
        if self._path in self._run.edit:
            y = self._run.edit[self._path](y)
        # A value made inside a transformation of the user's own could not leave it.
        if self._run.trace == get_opaque_trace_state():
            self._run.outputs[self._path] = y
        return y


class _Run(NamedTuple):
    """What all collectors of one run share."""

    edit: Mapping[str, Callable[[Any], Any]]
    trace: Any
    outputs: dict[str, Any]
    paths: list[str]


def tap(
    layer: Layer,
    params: Any,
    state: Any,
    *xs: Any,
    edit: Mapping[str, Callable[[Any], Any]] | None = None,
    key: Any = None,
    train: bool = False,
) -> dict[str, Any]:
    """Runs a layer and returns the outputs of all layers in it, by path.

    A path is the names of the children from the outside in, "encoder/3/attention"; the layer itself is "", and the
    second call of a child is "name:1", the third "name:2". Under a tap `repeat` runs its blocks one after another, as
    "0", "1", ..., and `remat` steps aside; the cell of a `recurrent` has no path. What is called inside a `vmap`,
    `scan` or the like of your own cannot get out and is left out, though edits reach it. All this can be jitted and
    differentiated, by the edits too.

    Args:
      layer: a layer.
      params: its params.
      state: its state, which stays as it is.
      *xs: its inputs.
      edit: functions by path; each replaces the output there by its value, and all that follows sees that one.
      key: for layers that draw.
      train: whether to use the statistics of training.

    Returns:
      Outputs by path, in the order in which they were made, so that the whole is last.

    Raises:
      TypeError: for an edit that is no function.
      ValueError: for an edit at a path that is not there.

    Example:
      >>> import jax.numpy as jnp
      >>> from dlcore.compose import compose
      >>> net = compose(lambda call, x: call.square(call.double(x)), double=lambda x: 2 * x, square=jnp.square)
      >>> list(tap(net, {}, {}, jnp.array(3.0)))
      ['double', 'square', '']
      >>> tap(net, {}, {}, jnp.array(3.0), edit={"double": jnp.zeros_like})["square"]
      Array(0., dtype=float32, weak_type=True)
    """
    edit = dict(edit or {})
    for path, function in edit.items():
        if not callable(function):
            raise TypeError(f"edit[{path!r}]: expected a function of the output there, found {function!r}")

    paths: list[str] = []

    def run(params: Any, state: Any, key: Any, *xs: Any, edit: Any = edit) -> dict[str, Any]:
        outputs: dict[str, Any] = {}
        collector = _Collector("", _Run(edit, get_opaque_trace_state(), outputs, paths))
        keywords = {"tap": collector} if layer.is_combinator else {}
        y, _ = layer.apply(params, state, *xs, key=key, train=train, **keywords)
        collector.record(y)
        return outputs

    if edit:
        jax.eval_shape(lambda *args: run(*args, edit={}), params, state, key, *xs)
        if unknown := [path for path in edit if path not in paths]:
            raise ValueError(f"edit: there is no output {unknown[0]!r}{suggest(unknown[0], paths)}")
    return run(params, state, key, *xs)
