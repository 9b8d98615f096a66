"""The native convolution as three bilinear maps, each the adjoint of the others, all of the form that CPUs run fast.

JAX's own gradient of a convolution asks for other orders of axes, and leaves them to XLA. On CPU, inside a loop, XLA
then falls back on plain loops: the gradient for a kernel of 3 x 3 x 32 x 64 took 194 ms there and 2.8 ms outside. Where
the axes are moved first, it takes 2.9 ms in both places. (Two cores, 32 images of 16 x 16.)
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from dlcore.ops._conv_patches import as_matmul
from dlcore.ops._window import Windows

__all__ = ["native_conv"]

STATIC = ("windows", "spatial")
AS_JAX: dict[str, Any] = {}  # the maps by the names of their primitives, for what looks into programs


def native_conv(x: jax.Array, kernel: jax.Array, windows: Windows) -> jax.Array:
    """`y[b, o, f] = sum_{i, c} x[b, o * strides + i * dilation - low_pad, c] * kernel[i, c, f]`, for any derivative."""
    return _output.bind(x, kernel, windows=windows, spatial=x.shape[1:-1])


def _output_of(x: Any, kernel: Any, windows: Windows, spatial: Any) -> jax.Array:
    return _convolve(x, kernel, windows.strides, windows.padding, None, windows.dilation)


def _input_of(y: Any, kernel: Any, windows: Windows, spatial: tuple[int, ...]) -> jax.Array:
    """The adjoint in x: y between zeros, under the kernel turned around."""
    kernel = jnp.swapaxes(jnp.flip(kernel, range(kernel.ndim - 2)), -1, -2)
    pads = []
    for n, k, s, (low, _), d, m in zip(spatial, *windows, strict=True):
        before = d * (k - 1) - low
        pads.append((before, n + d * (k - 1) - (m - 1) * s - 1 - before))
    return _convolve(y, kernel, (1,) * len(spatial), pads, windows.strides, windows.dilation)


def _kernel_of(x: Any, y: Any, windows: Windows, spatial: tuple[int, ...]) -> jax.Array:
    """The adjoint in the kernel: channels of x as a batch, under y as a kernel whose channels are the examples."""
    pads = []
    for n, k, s, (low, _), d, m in zip(spatial, *windows, strict=True):
        pads.append((low, d * (k - 1) + (m - 1) * s + 1 - n - low))
    x, y = jnp.swapaxes(x, 0, -1), jnp.moveaxis(y, 0, -2)
    return jnp.moveaxis(_convolve(x, y, windows.dilation, pads, None, windows.strides), 0, -2)


def _convolve(x: Any, kernel: Any, strides: Any, pads: Any, spread: Any, dilation: Any) -> jax.Array:
    letters = "DHW"[3 - len(strides) :]
    orders = (f"N{letters}C", f"{letters}IO", f"N{letters}C")
    return lax.conv_general_dilated(x, kernel, strides, pads, spread, dilation, orders)


def _adjoint_in_x(formulation: Any, y: Any, kernel: Any, spatial: tuple[int, ...]) -> jax.Array:
    x = jax.ShapeDtypeStruct((y.shape[0], *spatial, kernel.shape[-2]), y.dtype)
    return jax.linear_transpose(lambda x: formulation(x, kernel), x)(y)[0]


def _adjoint_in_kernel(formulation: Any, x: Any, y: Any, window: tuple[int, ...]) -> jax.Array:
    kernel = jax.ShapeDtypeStruct((*window, x.shape[-1], y.shape[-1]), x.dtype)
    return jax.linear_transpose(lambda kernel: formulation(x, kernel), kernel)(y)[0]


def _primitive(name: str, on_cpu: Any, adjoint: Any) -> Primitive:
    """One of the maps: `on_cpu`, and elsewhere as `adjoint` makes it of the native convolution, as JAX would."""
    primitive = Primitive(name)

    def elsewhere(a: Any, b: Any, windows: Windows, spatial: Any) -> Any:
        """As JAX makes it of the native convolution."""
        return adjoint(functools.partial(_output_of, windows=windows, spatial=spatial), a, b, windows, spatial)

    def of_many_kernels(a: Any, b: Any, windows: Windows, spatial: Any) -> Any:
        # Side by side these are a convolution in groups, which no CPU runs well, and one product of matrices.
        on_cpu = jax.checkpoint(functools.partial(as_matmul, windows=windows, groups=1), prevent_cse=False)
        native = functools.partial(_output_of, windows=windows, spatial=spatial)
        formulation = functools.partial(lax.platform_dependent, cpu=on_cpu, default=native)
        return adjoint(jax.checkpoint(formulation, prevent_cse=False), a, b, windows, spatial)

    def abstract(a: Any, b: Any, **static: Any) -> Any:
        return jax.make_jaxpr(functools.partial(on_cpu, **static))(a, b).out_avals[0]

    def batch(arguments: Any, axes: Any, **static: Any) -> Any:
        (a, b), (at, other) = arguments, axes
        if other is None and primitive is not _kernel:  # more examples of one kernel
            a = jnp.moveaxis(a, at, 0)
            out = primitive.bind(a.reshape(-1, *a.shape[2:]), b, **static)
            return out.reshape(*a.shape[:2], *out.shape[1:]), 0
        return jax.vmap(functools.partial(of_many_kernels, **static), in_axes=(at, other))(a, b), 0

    compiled = jax.jit(lambda *arguments, **static: primitive.bind(*arguments, **static), static_argnames=STATIC)
    primitive.def_impl(compiled)
    primitive.def_abstract_eval(abstract)
    batching.primitive_batchers[primitive] = batch
    mlir.register_lowering(primitive, mlir.lower_fun(on_cpu, multiple_results=False), platform="cpu")
    mlir.register_lowering(primitive, mlir.lower_fun(elsewhere, multiple_results=False))
    AS_JAX[name] = elsewhere
    return primitive


_output = _primitive("conv_output", _output_of, lambda f, x, k, windows, spatial: f(x, k))
_input = _primitive("conv_input", _input_of, lambda f, y, k, windows, spatial: _adjoint_in_x(f, y, k, spatial))
_kernel = _primitive("conv_kernel", _kernel_of, lambda f, x, y, windows, _: _adjoint_in_kernel(f, x, y, windows.size))
# Each is linear in either argument, and its adjoint in one, given the other, is one of the other two.
ad.defbilinear(_output, lambda g, x, k, **s: _input.bind(g, k, **s), lambda g, x, k, **s: _kernel.bind(x, g, **s))
ad.defbilinear(_input, lambda g, y, k, **s: _output.bind(g, k, **s), lambda g, y, k, **s: _kernel.bind(g, y, **s))
ad.defbilinear(_kernel, lambda g, x, y, **s: _input.bind(y, g, **s), lambda g, x, y, **s: _output.bind(x, g, **s))
