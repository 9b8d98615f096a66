"""The fully connected layer."""

from typing import Any

import jax
import numpy as np

from dlcore.checks import expect_floating, expect_params, expect_positive
from dlcore.core import layer
from dlcore.initializers import Initializer, lecun_normal, zeros
from dlcore.ops import linear


@layer
def dense(
    features: int,
    *,
    use_bias: bool = True,
    kernel_init: Initializer = lecun_normal(),
    bias_init: Initializer = zeros,
) -> Any:
    """Fully connected layer over the last axis, `y = x @ kernel + bias`.

    Args:
      features: number of outputs.
      use_bias: whether to add a bias.
      kernel_init: initializer of `kernel` (inputs, features).
      bias_init: initializer of `bias` (features,).

    Returns:
      A layer from (..., inputs) to (..., features).

    Raises:
      TypeError: for an input that is not floating.
      ValueError: for a number of inputs that does not fit the params.

    Source: Rosenblatt, 1958, as the units of a perceptron.

    Example:
      >>> import jax.numpy as jnp
      >>> params, state = dense(3).init(jax.random.key(0), jnp.zeros((2, 4)))
      >>> params["kernel"].shape, dense(3).apply(params, state, jnp.zeros((2, 4)))[0].shape
      ((4, 3), (2, 3))
    """
    expect_positive(features=features)

    def init(key: Any, x: Any) -> tuple[dict, dict]:
        expect_floating(x, "dense")
        dtype = np.promote_types(x.dtype, np.float32)
        key_kernel, key_bias = jax.random.split(key)
        params = {"kernel": kernel_init(key_kernel, (x.shape[-1], features), dtype)}
        return params | ({"bias": bias_init(key_bias, (features,), dtype)} if use_bias else {}), {}

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        x = expect_floating(x, "dense")
        expect_params(params, kernel=(x.shape[-1], features), **({"bias": (features,)} if use_bias else {}))
        y = linear(x, params["kernel"].astype(x.dtype))
        return y + params["bias"].astype(x.dtype) if use_bias else y, state

    return init, apply
