"""The precision that a model computes in, by name."""

from typing import Any

import jax
import jax.numpy as jnp

from dlcore.core import Layer
from dlcore.errors import suggest
from dlcore.layers import cast
from dlcore.recipe import recipe

POLICIES = ("float32", "bf16", "fp16", "half")


def as_dtype(policy: Any) -> Any:
    """Returns the type that a model computes in under a policy, or None where it stays what it is.

    Args:
      policy: None, "float32", "bf16", "fp16", or "half": bfloat16 where the device computes in it (TPU, CPU, CUDA from
        compute capability 8 on), and float16 elsewhere.

    Raises:
      ValueError: for anything else.
    """
    if policy is not None and (not isinstance(policy, str) or policy not in POLICIES):
        raise ValueError(
            f"policy: expected one of {list(POLICIES)} or None, found {policy!r}{suggest(policy, POLICIES)}"
        )
    if policy in (None, "float32"):
        return None
    if policy == "half":
        policy = "bf16" if has_bfloat16(jax.devices()[0]) else "fp16"
    return jnp.dtype(jnp.bfloat16 if policy == "bf16" else jnp.float16)


def has_bfloat16(device: Any) -> bool:
    """Whether a device computes in bfloat16."""
    if device.platform != "gpu":
        return True
    try:
        return float(device.compute_capability) >= 8
    except (AttributeError, ValueError):  # not CUDA, whose capabilities are numbers
        return False


def in_dtype(model: Any, dtype: Any) -> Any:
    """Returns a model, or what builds one, computing in another type; see `dlcore.layers.cast`."""
    return cast(model, dtype) if isinstance(model, Layer) else cast_built(model, dtype)


@recipe
def cast_built(build: Any, dtype: Any) -> Any:
    """A function of the hyperparameters: `cast(build(hparams), dtype)`."""
    return lambda hparams: cast(build(hparams), dtype)
