"""How many floating point operations a function takes, read off its jaxpr: nothing is compiled or run."""

import functools
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxprs_in_params
from jax.interpreters import partial_eval

from dlcore.ops._conv_native import AS_JAX

# Primitives that give floating values without arithmetic.
_MOVEMENT = frozenset(
    "all_gather all_to_all approx_top_k bitcast_convert_type broadcast broadcast_in_dim complex concatenate conj "
    "convert_element_type copy copy_p device_put dynamic_slice dynamic_update_slice empty expand_dims gather get imag "
    "iota mesh_cast name optimization_barrier pad pbroadcast ppermute pvary real reduce_precision reshape reshard rev "
    "scatter select_n sharding_constraint slice sort split squeeze stop_gradient swap tile top_k transpose".split()
)
_REDUCTIONS = frozenset("argmax argmin reduce reduce_max reduce_min reduce_prod reduce_sum".split())


def flops(function: Callable[..., Any], *args: Any) -> int:
    """Counts the floating point operations of `function(*args)`.

    - A matrix product of (M, K) and (K, N) takes 2 M N K, a convolution 2 * outputs * window * inputs / groups, where
      the window counts at the padding too, but not at the holes of a transposed convolution.
    - Elementwise arithmetic, a square root and a tanh alike, takes 1 per output; a reduction 1 per input; a windowed
      reduction 1 per output and window position; a scattered sum 1 per update.
    - Moving, converting, comparing, selecting and sorting take 0, and so does arithmetic on integers.
    - A scan takes its length times its body, a `cond` its most expensive branch, and a `while_loop` its body *once*,
      because its length is not known. Where platforms compute in ways of their own, the default way is counted: a
      convolution is a convolution, also on CPU.
    - Cholesky takes n^3 / 3, LU 2 n^3 / 3, a triangular solve n^2 a column, a Fourier transform 5 n log2 n. Any other
      primitive counts as elementwise, `svd` and custom kernels among them.

    A complex number counts as one number. What does not reach the output is not counted, as XLA would not compute it.

    Args:
      function: a function of arrays that JAX can trace.
      *args: its arguments, arrays or `jax.ShapeDtypeStruct`s.

    Returns:
      The number of floating point operations. (A multiplication with addition is two; papers often count it as one.)

    Example:
      >>> flops(lambda x, w: jax.nn.relu(x @ w), jnp.zeros((8, 16)), jnp.zeros((16, 4)))
      1056
    """
    return flops_by_scope(function, *args).total()


def flops_by_scope(function: Callable[..., Any], *args: Any) -> "Counter[tuple[str, ...]]":
    """Counts as `flops` does, under the path of `jax.named_scope`s that each operation stands in."""
    jaxpr = jax.make_jaxpr(function)(*args).jaxpr
    return _count(partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))[0])


def _count(jaxpr: Any) -> "Counter[tuple[str, ...]]":
    total: Counter[tuple[str, ...]] = Counter()
    for equation in jaxpr.eqns:
        here = tuple(scope.name for scope in equation.source_info.name_stack.stack)
        for path, number in _count_equation(equation).items():
            total[here + path] += number
    return total


def _count_equation(equation: Any) -> "Counter[tuple[str, ...]]":
    name, params = equation.primitive.name, equation.params
    alone = _count_arithmetic(equation)
    if alone is not None:
        return Counter({(): alone}) if alone else Counter()
    if name == "cond":
        platforms = params.get("branches_platforms")
        if platforms is not None and None in platforms:  # what is lowered where no platform has a way of its own
            return _count(params["branches"][platforms.index(None)].jaxpr)
        return max((_count(branch.jaxpr) for branch in params["branches"]), key=Counter.total)
    if name == "custom_linear_solve":
        return _count(params["jaxprs"].solve.jaxpr)
    times = {
        "scan": lambda: params["length"],
        "shard_map": lambda: params["mesh"].size,
        "pallas_call": lambda: math.prod(params["grid_mapping"].grid),
    }.get(name, lambda: 1)()
    inside = sum((_count(inner) for inner in jaxprs_in_params(params)), Counter())
    return Counter({path: times * number for path, number in inside.items()})


def _count_arithmetic(equation: Any) -> int | None:
    """Returns the operations of one primitive, or None for one that runs other jaxprs."""
    name, params = equation.primitive.name, equation.params
    inputs, outputs = ([atom.aval for atom in atoms] for atoms in (equation.invars, equation.outvars))
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        return 2 * outputs[0].size * math.prod(inputs[0].shape[axis] for axis in contracted)
    if name == "ragged_dot_general":
        (contracted, _), _ = params["ragged_dot_dimension_numbers"].dot_dimension_numbers
        return 2 * outputs[0].size * math.prod(inputs[0].shape[axis] for axis in contracted)
    if name == "conv_general_dilated":
        return _count_convolution(inputs, outputs[0], params)
    if name in AS_JAX:
        return _count(jax.make_jaxpr(functools.partial(AS_JAX[name], **params))(*inputs).jaxpr).total()
    if name in _MOVEMENT:
        return 0
    if name in _REDUCTIONS:
        return _floating(inputs[:1])
    if name.startswith("reduce_window"):
        return _floating(outputs) * math.prod(params["window_dimensions"])
    if name == "select_and_scatter_add":
        return _floating(inputs[:1]) * (math.prod(params["window_dimensions"]) + 1)
    if name == "select_and_gather_add":
        return _floating(outputs) * math.prod(params["window_dimensions"])
    if name.startswith("scatter"):
        return _floating(inputs[2:3])
    if name == "fft":
        n = math.prod(params["fft_lengths"])
        return round(5 * max(inputs[0].size, outputs[0].size) * math.log2(n))
    if name in ("cholesky", "lu"):
        *batch, n, m = inputs[0].shape
        cube = n**3 / 3 if name == "cholesky" else max(n, m) * min(n, m) ** 2 - min(n, m) ** 3 / 3
        return round(math.prod(batch) * cube)
    if name == "triangular_solve":
        return inputs[1].size * inputs[0].shape[-1]
    if any(True for _ in jaxprs_in_params(params)) or name == "custom_linear_solve":
        return None
    return _floating(outputs)


def _count_convolution(inputs: list[Any], output: Any, params: dict[str, Any]) -> int:
    numbers = params["dimension_numbers"]
    lhs, rhs = inputs[0].shape, inputs[1].shape
    pairs = 1  # of an output position and a window position that meet a value, padding included, of the input
    for i, (axis, window_axis, out_axis) in enumerate(
        zip(numbers.lhs_spec[2:], numbers.rhs_spec[2:], numbers.out_spec[2:], strict=True)
    ):
        hole = params["lhs_dilation"][i] if lhs[axis] > 1 else 1
        starts = np.arange(output.shape[out_axis]) * params["window_strides"][i] - params["padding"][i][0]
        steps = np.arange(rhs[window_axis]) * params["rhs_dilation"][i]
        # Counted by remainder, so that a large image costs no more than its side.
        there, here = (np.bincount(places % hole, minlength=hole) for places in (starts, -steps))
        pairs *= int(there @ here)
    batch, channels = (output.shape[axis] for axis in numbers.out_spec[:2])
    return 2 * batch * channels * rhs[numbers.rhs_spec[1]] * pairs


def _floating(avals: list[Any]) -> int:
    """Returns the number of floating (or complex) values among these."""
    return sum(aval.size for aval in avals if hasattr(aval, "dtype") and jnp.issubdtype(aval.dtype, jnp.inexact))
