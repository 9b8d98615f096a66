"""Whether a layer keeps every law, in every floating type."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from dlcore.core import Layer
from dlcore.testing._laws import LAWS, LAWS_OF_DTYPES
from dlcore.testing._trial import Broken, Trial


def check_layer(
    layer: Layer, *xs: Any, dtypes: Sequence[str] = ("float32", "bfloat16"), tolerance: float = 1e-5
) -> None:
    """Checks that a layer keeps the laws that everything else builds on.

    - Equal recipes are one object, and so is what the JSON form gives back (where all of it is dlcore's).
    - `init` reads only shapes and dtypes; compiled and eager it gives the same bits; it maps over keys.
    - Params and state are nested dicts of arrays, without empty branches; `plan` foretells every shape and dtype.
    - Evaluation is deterministic; `apply` compiled agrees with eager, and maps over keys.
    - State keeps its tree, shapes and dtypes; gradients are finite.
    - What draws raises in training without a key, is a function of its key, and uses no key twice.
    - All of this in each of `dtypes`: outputs have the type of the inputs, or float32.

    Args:
      layer: the layer; small sizes do.
      *xs: its inputs, as arrays (or None); floating ones are cast to each of `dtypes` in turn.
      dtypes: the floating types to try, of "float32", "bfloat16", "float16" and "float64".
      tolerance: largest difference, relative to the largest value, of compiled from eager float32 results, where sums
        are taken in another order. Bits are compared only where they are promised.

    Raises:
      AssertionError: names the layer and the law that is broken.

    Example:
      >>> from dlcore.layers import dense, dropout, serial
      >>> check_layer(serial(dense(8), dropout(0.5)), jnp.ones((2, 3)))
    """
    for dtype in dtypes:
        with jax.enable_x64(dtype == "float64" or jnp.asarray(0.0).dtype == "float64"):
            trial = Trial(layer, _cast(xs, dtype), tolerance if dtype in ("float32", "float64") else 0.1)
            for law in LAWS if dtype == dtypes[0] else LAWS_OF_DTYPES:
                words = law.__name__.replace("_", " ")
                try:
                    law(trial)
                except Broken as broken:
                    raise AssertionError(f"{layer} breaks the law '{words}' in {dtype}: {broken}") from None
                except Exception as error:
                    found = f"{type(error).__name__}: {error}"
                    raise AssertionError(f"{layer} breaks the law '{words}' in {dtype}: it raised {found}") from error


def _cast(xs: Any, dtype: str) -> Any:
    def cast(x: Any) -> jax.Array:
        x = jnp.asarray(x)
        return x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x

    return jax.tree.map(cast, xs)
