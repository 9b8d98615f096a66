"""What is checked at the door of a layer, and how a failure says where it happened."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.debugging import within
from dlcore.errors import suggest


@contextlib.contextmanager
def scope(name: str) -> Iterator[None]:
    """Names what is traced inside, for profiles, and notes the layer path on an exception that leaves."""
    try:
        with jax.named_scope(name), within(name):
            yield
    except Exception as error:
        notes = error.__dict__.setdefault("__notes__", [])
        place = next((i for i, note in enumerate(notes) if note.startswith("in layer ")), None)
        if place is None:
            error.add_note(f"in layer {name}")
        else:
            notes[place] = f"in layer {name}/{notes[place].removeprefix('in layer ')}"
        raise


def expect_params(params: Any, what: str = "params", /, **shapes: tuple[int, ...]) -> None:
    """Checks a leaf's params (or state) by name and shape, so that another model's are named and not broadcast.

    Raises:
      ValueError: lists what was expected and what was found.
    """
    found = {name: jnp.shape(value) for name, value in params.items()}
    if found != shapes:
        raise ValueError(
            f"expected {what} {say_shapes(shapes)}, found {say_shapes(found)}: either they are another model's, or the "
            "input has another number of channels than at init"
        )


def expect_floating(x: Any, what: str, axes: int = 1) -> Any:
    """Returns `x` as an array (a shape as it is), and refuses integers and arrays of fewer than `axes` axes.

    Raises:
      TypeError: names the dtype and the repair.
      ValueError: names the shape.
    """
    if not jnp.issubdtype(_dtype(x), jnp.floating):
        raise TypeError(f"{what} computes in its input's floating type, found {_dtype(x)}: x.astype('float32') first")
    if len(jnp.shape(x)) < axes:
        raise ValueError(f"{what} works along the last axis, and found an input of shape {jnp.shape(x)}: x[None] first")
    return x if isinstance(x, jax.ShapeDtypeStruct) else jnp.asarray(x)


def expect_key(key: Any) -> Any:
    """Returns a JAX key as it is, and refuses a number.

    Raises:
      TypeError: names the repair.
    """
    if key is None or isinstance(key, int | float | np.number):
        raise TypeError(f"key: expected a JAX key, found {key!r}: jax.random.key({key if key is not None else 0})")
    return key


def expect_positive(**sizes: Any) -> None:
    """Refuses sizes that are not positive whole numbers.

    Raises:
      ValueError: names the argument.
    """
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
            raise ValueError(f"{name}: expected a positive whole number, found {size!r}")


def check_names(what: str, given: Any, children: Mapping[str, Any]) -> None:
    """Refuses params or state that are no dict, or that hold a name which is no child's.

    Raises:
      TypeError: for what is no dict.
      ValueError: names the stranger, with a suggestion.
    """
    if not isinstance(given, Mapping):
        raise TypeError(f"{what}: expected a dict by child name, found {type(given).__name__}")
    if unknown := [name for name in given if name not in children]:
        raise ValueError(f"{what} hold {unknown[0]!r}, which is no child here{suggest(unknown[0], children)}")


def shapes_of(tree: Any) -> Any:
    """Returns the tree with `jax.ShapeDtypeStruct`s in place of arrays."""

    def shape_of(x: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(jnp.shape(x), jax.dtypes.canonicalize_dtype(_dtype(x), allow_extended_dtype=True))

    return jax.tree.map(shape_of, tree)


def say_shapes(tree: Any) -> str:
    """Returns shapes for a message: `kernel (4, 3), bias (3,)`."""
    shape = lambda x: str(tuple(x.shape) if hasattr(x, "shape") else x)
    if isinstance(tree, dict):
        return ", ".join(f"{name} {say_shapes(item)}" for name, item in sorted(tree.items())) or "nothing"
    is_shape = lambda x: isinstance(x, tuple) and all(isinstance(size, int) for size in x)
    return ", ".join(shape(leaf) for leaf in jax.tree.leaves(tree, is_leaf=is_shape))


def _dtype(x: Any) -> Any:
    return x.dtype if hasattr(x, "dtype") else jnp.result_type(x)
