"""Programs for other processes: what a model predicts, and what trains it, as StableHLO that only JAX need read.

    blob = dl.export.export_predict(run)
    dl.export.save(blob, "model.stablehlo")
    predict = dl.export.load_exported("model.stablehlo")    # elsewhere; no line of the model's code
    predict(x)

Without dlcore, `jax.export.deserialize(bytearray(file)).call(x)` does the same.
"""

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import export

from dlcore.checks import shapes_of
from dlcore.core import Layer
from dlcore.errors import DataError, one_line, suggest
from dlcore.files import read_bytes, shown, whole

__all__ = ["export_chunk", "export_predict", "load_exported", "save"]

PLATFORMS = ("cpu", "cuda", "tpu")


def export_predict(
    run_or_model: Any,
    params: Any = None,
    state: Any = None,
    x: Any = None,
    *,
    platforms: Sequence[str] = PLATFORMS,
    batch: int | None = None,
) -> bytes:
    """Exports what a model predicts, its weights within, as a function of its input alone.

    Args:
      run_or_model: a `Run`, which has all the rest, or a layer.
      params: the layer's parameters.
      state: the layer's state; none unless given.
      x: an input, or its shape as `jax.ShapeDtypeStruct`, (B, ...); for a run, one of its data unless given.
      platforms: where it can be called: any of "cpu", "cuda", "rocm" and "tpu".
      batch: the first axis of the input. Unless given, it is left open, and any will do, where the model allows that;
        where it does not, it is that of `x`.

    Returns:
      Bytes for `save`, or for `jax.export.deserialize`.

    Raises:
      ImportError: where flatbuffers is not installed, which the format is written with.
      TypeError: for anything but a run or a layer; for a layer without params and x.
      ValueError: for a run of several lanes, for an unknown platform, and as the model.

    Source: https://docs.jax.dev/en/latest/export/export.html, which says for how long such bytes can be read.

    Example:
      >>> import jax.numpy as jnp, dlcore as dl
      >>> model = dl.models.linear()
      >>> params, state = model.init(jax.random.key(0), jnp.ones((1, 4)))
      >>> blob = export_predict(model, params, state, jnp.ones((1, 4)))
      >>> jax.export.deserialize(bytearray(blob)).call(jnp.ones((7, 4))).shape
      (7, 1)
    """
    model, params, state, x = _parts(run_or_model, params, state, x)
    _check_platforms(platforms)
    params, state = jax.tree.map(np.asarray, (params, state))  # constants of the program

    @jax.jit
    def predict(x: Any) -> Any:
        return model.apply(params, state, x)[0]

    shape = shapes_of(x)
    if not shape.shape:
        raise ValueError(f"x: expected an input with a batch axis, found the shape {shape.shape}")
    if batch is not None:
        shape = jax.ShapeDtypeStruct((batch, *shape.shape[1:]), shape.dtype)
        return bytes(export.export(predict, platforms=list(platforms))(shape).serialize())
    rest = ", ".join(map(str, shape.shape[1:]))
    open_shape = jax.ShapeDtypeStruct(export.symbolic_shape(f"batch, {rest}"), shape.dtype)
    try:
        made = export.export(predict, platforms=list(platforms))(open_shape)
    except Exception:  # a model may compare, divide or loop over its batch, and every primitive refuses in its own way
        made = export.export(predict, platforms=list(platforms))(shape)
    return bytes(made.serialize())


def export_chunk(model: Any, data: Any, *, platforms: Sequence[str] = PLATFORMS, **options: Any) -> bytes:
    """Exports the program that `fit` trains with, as a function of flat arrays.

    Its arguments are the leaves of the `TrainState` (a key as its numbers), how many steps to run, int32, at most 256,
    and the leaves of the source that batches come from; it returns those of the `TrainState` and of what was measured.

    Args:
      model: as in `fit`.
      data: as in `fit`; its arrays are arguments, and not in the program.
      platforms: as for `export_predict`.
      **options: as in `fit`.

    Raises:
      ImportError: where flatbuffers is not installed.
      TypeError, ValueError: as `fit`.

    Example:
      >>> import dlcore as dl
      >>> blob = export_chunk(dl.models.mlp((8,), classes=3), dl.data.iris(), batch_size=32, platforms=("cpu",))
      >>> jax.export.deserialize(bytearray(blob)).platforms
      ('cpu',)
    """
    from dlcore.train._ahead import ahead, exported
    from dlcore.train._session import DEFAULTS

    _check_platforms(platforms)
    if unknown := [name for name in options if name not in DEFAULTS]:
        raise TypeError(
            f"export_chunk: got an unexpected keyword argument {unknown[0]!r}{suggest(unknown[0], DEFAULTS)}"
        )
    chunk = ahead({**DEFAULTS, **options, "model": model, "data": data})
    return bytes(exported(chunk, tuple(platforms)).serialize())


def save(exported: bytes, path: str | Path) -> None:
    """Writes what was exported, whole or not at all.

    Args:
      exported: from `export_predict` or `export_chunk`.
      path: the file; one that is there is replaced.
    """
    with whole(path) as part:
        part.write_bytes(exported)


def load_exported(path: str | Path) -> Callable[..., Any]:
    """Reads what `save` wrote, as a function; neither the model nor its code is needed.

    Args:
      path: the file.

    Returns:
      A function of the exported arguments. It is compiled when first called, and can be jitted.

    Raises:
      ImportError: where flatbuffers is not installed.
      DataError: for a file that is missing, damaged, or of a format that this JAX does not read.
    """
    _check_flatbuffers()
    content = read_bytes(path, "an exported program")
    try:
        made = export.deserialize(bytearray(content))
    except Exception as error:  # flatbuffers reads what it is given, and fails as it may
        said = one_line(f"{type(error).__name__}: {error}")
        raise DataError(f"{shown(path)}: expected an exported program, found what JAX cannot read ({said})") from None
    return jax.jit(made.call)


def _parts(run_or_model: Any, params: Any, state: Any, x: Any) -> tuple[Layer, Any, Any, Any]:
    if isinstance(run_or_model, Layer):
        if params is None or x is None:
            raise TypeError("export_predict: a layer is exported with its params (and state), and an input x")
        return run_or_model, params, state or {}, x
    is_run = all(hasattr(run_or_model, name) for name in ("model", "params", "state", "lanes", "data"))
    if not is_run:
        raise TypeError(f"run_or_model: expected a Run or a layer, found {run_or_model!r}")
    run = run_or_model
    if run.lanes is not None:
        raise ValueError("run_or_model: this run has several lanes; export one of them: run.lane(0)")
    if not isinstance(run.model, Layer):
        raise TypeError(f"run_or_model: expected a run of a layer, found one of {run.model!r}")
    if x is None:
        if run.data is None:
            raise TypeError("x: the run was not trained on a data set; give an input, or its shape")
        x = run.data.train["x"][:1]
    return run.model, run.params if params is None else params, run.state if state is None else state, x


def _check_platforms(platforms: Sequence[str]) -> None:
    known = (*PLATFORMS, "rocm")
    if isinstance(platforms, str) or not platforms:
        raise ValueError(f"platforms: expected several names, as in ('cpu',), found {platforms!r}")
    if unknown := [name for name in platforms if name not in known]:
        raise ValueError(f"platforms: there is no {unknown[0]!r}{suggest(unknown[0], known)}")
    _check_flatbuffers()


def _check_flatbuffers() -> None:
    if importlib.util.find_spec("flatbuffers") is None:
        raise ImportError("exported programs need flatbuffers: pip install 'dlcore[export]'", name="flatbuffers")
