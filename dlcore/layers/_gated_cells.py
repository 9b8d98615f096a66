"""Recurrent cells with gates: LSTM and GRU, and cells on top of each other."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.checks import expect_floating, expect_params, expect_positive
from dlcore.compose import Call, compose
from dlcore.core import Layer, layer
from dlcore.initializers import Initializer, glorot_uniform, orthogonal, zeros
from dlcore.layers._recurrent import hoisted


@layer
def lstm_cell(
    features: int,
    *,
    forget_bias: float = 1.0,
    kernel_init: Initializer = glorot_uniform(),
    recurrent_init: Initializer = orthogonal(),
    bias_init: Initializer = zeros,
) -> Layer:
    """Long short-term memory: `c' = f * c + i * g; h' = o * tanh(c')`, with `h'` as its output.

    The gates i, f, o are sigmoids and g is a tanh of `x @ kernel + h @ recurrent_kernel + bias`, which holds them side
    by side in the order i, f, g, o, as in PyTorch (ONNX has i, o, f, c). What the cell remembers passes through a
    product with f alone, so its gradient need not vanish.

    Args:
      features: size of h and of c.
      forget_bias: added to the bias of f at init: 1 as in Keras, so that it remembers at first (PyTorch has 0).
      kernel_init: initializer of `kernel` (inputs, 4 features).
      recurrent_init: initializer of `recurrent_kernel` (features, 4 features).
      bias_init: initializer of `bias` (4 features,).

    Returns:
      A layer from (carry ((..., features), (..., features)), x (..., inputs)) to (carry, y (..., features)); the carry
      is (h, c), and `None` is zeros.

    Source: Hochreiter and Schmidhuber, 1997; Gers, Schmidhuber and Cummins, 2000 (f); Jozefowicz, Zaremba and
    Sutskever, 2015 (its bias).

    Example:
      >>> cell = lstm_cell(3)
      >>> params, state = cell.init(jax.random.key(0), None, jnp.zeros((2, 4)))
      >>> (carry, y), state = cell.apply(params, state, None, jnp.zeros((2, 4)))
      >>> [part.shape for part in carry], params["kernel"].shape
      ([(2, 3), (2, 3)], (4, 12))
    """
    expect_positive(features=features)

    def init(key: Any, carry: Any, x: Any) -> tuple[dict, dict]:
        params = _init("lstm_cell", key, x, features, 4, (kernel_init, recurrent_init, bias_init))
        params["bias"] = params["bias"].at[features : 2 * features].add(forget_bias)
        return params, {}

    def project(params: Any, x: Any) -> jax.Array:
        x = _checked("lstm_cell", params, x, features, 4)
        return x @ params["kernel"].astype(x.dtype) + params["bias"].astype(x.dtype)

    def advance(params: Any, carry: Any, z: jax.Array) -> Any:
        nothing = jnp.zeros((*z.shape[:-1], features), z.dtype)
        h, c = (nothing, nothing) if carry is None else (part.astype(z.dtype) for part in carry)
        if carry is not None:
            z = z + h @ params["recurrent_kernel"].astype(z.dtype)
        i, f, g, o = jnp.split(z, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    return hoisted(init, project, advance)


@layer
def gru_cell(
    features: int,
    *,
    reset_after: bool = True,
    kernel_init: Initializer = glorot_uniform(),
    recurrent_init: Initializer = orthogonal(),
    bias_init: Initializer = zeros,
) -> Layer:
    """Gated recurrent unit: `h' = (1 - z) * n + z * h`, with `h'` as its output.

    The gates r, z are sigmoids of `x @ kernel + h @ recurrent_kernel + bias`, side by side with n in the order r, z, n,
    as in PyTorch (ONNX has z, r, h). The candidate is either of two, which differ:
    `n = tanh(x W + b + r * (h U + c))`, reset after the product, or `n = tanh(x W + b + (r * h) U)`, before it.

    Args:
      features: size of h.
      reset_after: as in PyTorch, Keras and cuDNN; before, as published first and as ONNX has by default.
      kernel_init: initializer of `kernel` (inputs, 3 features).
      recurrent_init: initializer of `recurrent_kernel` (features, 3 features).
      bias_init: initializer of `bias` (3 features,), and of `recurrent_bias` (features,), the c above.

    Returns:
      A layer from (carry (..., features), x (..., inputs)) to (carry, y (..., features)); a carry of `None` is zeros.

    Source: Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014.

    Example:
      >>> cell = gru_cell(3)
      >>> params, state = cell.init(jax.random.key(0), None, jnp.zeros((2, 4)))
      >>> (carry, y), state = cell.apply(params, state, None, jnp.zeros((2, 4)))
      >>> y.shape, sorted(params)
      ((2, 3), ['bias', 'kernel', 'recurrent_bias', 'recurrent_kernel'])
    """
    expect_positive(features=features)
    extra = {"recurrent_bias": (features,)} if reset_after else {}

    def init(key: Any, carry: Any, x: Any) -> tuple[dict, dict]:
        params = _init("gru_cell", key, x, features, 3, (kernel_init, recurrent_init, bias_init))
        own = jax.random.fold_in(key, 3)
        return params | (
            {"recurrent_bias": bias_init(own, (features,), params["bias"].dtype)} if reset_after else {}
        ), {}

    def project(params: Any, x: Any) -> jax.Array:
        x = _checked("gru_cell", params, x, features, 3, **extra)
        return x @ params["kernel"].astype(x.dtype) + params["bias"].astype(x.dtype)

    def advance(params: Any, carry: Any, z: jax.Array) -> Any:
        h = jnp.zeros((*z.shape[:-1], features), z.dtype) if carry is None else carry.astype(z.dtype)
        kernel, two = params["recurrent_kernel"].astype(z.dtype), 2 * features
        if reset_after:
            own = h @ kernel
            r, update = jnp.split(jax.nn.sigmoid(z[..., :two] + own[..., :two]), 2, axis=-1)
            candidate = jnp.tanh(z[..., two:] + r * (own[..., two:] + params["recurrent_bias"].astype(z.dtype)))
        else:
            r, update = jnp.split(jax.nn.sigmoid(z[..., :two] + h @ kernel[:, :two]), 2, axis=-1)
            candidate = jnp.tanh(z[..., two:] + (r * h) @ kernel[:, two:])
        h = (1 - update) * candidate + update * h
        return h, h

    return hoisted(init, project, advance)


@layer
def stacked(*cells: Layer) -> Layer:
    """Cells on top of each other, as one cell: the output of each is the input of the next.

    (`serial(recurrent(a), recurrent(b))` computes the same, one after the other over all of the time; a stack is for
    what goes step by step, such as decoding.)

    Args:
      *cells: recurrent cells.

    Returns:
      A cell whose carry is the tuple of theirs, and whose params are by number.

    Source: Graves, Mohamed and Hinton, 2013.

    Example:
      >>> cell = stacked(gru_cell(3), gru_cell(2))
      >>> params, state = cell.init(jax.random.key(0), None, jnp.zeros((2, 4)))
      >>> (carry, y), state = cell.apply(params, state, None, jnp.zeros((2, 4)))
      >>> [part.shape for part in carry], y.shape
      ([(2, 3), (2, 2)], (2, 2))
    """
    if not cells:
        raise ValueError("stacked: expected one or more cells, found none")

    def upwards(call: Call, carry: Any, x: Any) -> Any:
        after = []
        for number in range(len(cells)):
            own, x = call[str(number)](None if carry is None else carry[number], x)
            after.append(own)
        return tuple(after), x

    return compose(upwards, **{str(number): cell for number, cell in enumerate(cells)})


def _init(name: str, key: Any, x: Any, features: int, gates: int, inits: Any) -> dict[str, jax.Array]:
    expect_floating(x, name)
    dtype, keys = np.promote_types(x.dtype, np.float32), jax.random.split(key, 3)
    shapes = ((x.shape[-1], gates * features), (features, gates * features), (gates * features,))
    made = [init(own, shape, dtype) for init, own, shape in zip(inits, keys, shapes, strict=True)]
    return dict(zip(("kernel", "recurrent_kernel", "bias"), made, strict=True))


def _checked(name: str, params: Any, x: Any, features: int, gates: int, **extra: Any) -> jax.Array:
    x, wide = expect_floating(x, name), gates * features
    expect_params(params, kernel=(x.shape[-1], wide), recurrent_kernel=(features, wide), bias=(wide,), **extra)
    return x
