"""The computation graph: what a function computes, value by value, and what comes back along it."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# Calls that only wrap other equations: they are looked into.
_WRAPPERS = ("jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "remat", "checkpoint")


@dataclass
class Node:
    """One value of a computation.

    Attributes:
      name: that of the argument, "v1", "v2" ... of what is computed, the number of a constant.
      operation: "input", "constant", or the name of what computes it ("add", "mul", "tanh").
      value: what it is.
      inputs: the nodes that it is computed from.
      local: for each of these, the derivative of this value with respect to it: a number, an array where the operation
        works element by element, None for operations that mix elements, which have a Jacobian.
      gradient: of the output with respect to this value; what arrives here from above. None where nothing does.
    """

    name: str
    operation: str
    value: Any
    inputs: Sequence["Node"] = ()
    local: Sequence[Any] = ()
    gradient: Any = None
    depth: int = 0
    pull: Callable[[Any], Sequence[Any]] = field(default=lambda arriving: (), repr=False)  # gradients of the inputs


@dataclass
class Graph:
    """A computation graph, from inputs to output, with everything that backpropagation writes on it.

    Attributes:
      nodes: in the order in which they are computed; the last is the output.
      inputs: those that the function was given.
    """

    nodes: list[Node]
    inputs: list[Node]

    @property
    def output(self) -> Node:
        """The last node."""
        return self.nodes[-1]

    def __str__(self) -> str:
        head = ("node", "operation", "of", "value", "local derivatives", "gradient")
        rows: list[tuple[str, ...]] = [head]
        for node in self.nodes:
            pairs = zip(node.inputs, node.local, strict=True)
            local = ", ".join(f"d{node.name}/d{one.name} = {say(d) or 'a Jacobian'}" for one, d in pairs)
            of = ", ".join(one.name for one in node.inputs)
            rows.append((node.name, node.operation, of, say(node.value), local, say(node.gradient)))
        widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
        line = lambda row: "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        return "\n".join(map(line, rows))

    def plot(self) -> Any:
        """Draws the graph: values in blue on the way up, gradients in red on the way back.

        Returns:
          A matplotlib figure.
        """
        from dlcore.classic._picture import draw

        return draw(self)


def trace_graph(f: Callable[..., Any], *args: Any) -> Graph:
    """Runs a function of numbers or arrays, forward and backward, and keeps every value on the way.

    An addition passes the arriving gradient on to all of its inputs as it is; a multiplication passes it on times the
    *other* input: it swaps them. Where a value is used twice, what comes back along both ways is added.

    Args:
      f: a function that JAX can trace, and that gives one number.
      *args: numbers or floating arrays.

    Returns:
      A `Graph`: `print` it, or `plot()` it.

    Raises:
      TypeError: for arguments that are not floating.
      ValueError: for a function that gives no number, or that has loops or branches in it, which are no graph.

    Source: Linnainmaa, 1970; Baydin, Pearlmutter, Radul and Siskind, Automatic Differentiation, 2018.

    Example:
      >>> print(trace_graph(lambda x, y: (x + y) * y, 2.0, 3.0))
      node  operation  of     value  local derivatives        gradient
      x     input             2                               3
      y     input             3                               8
      v1    add        x, y   5      dv1/dx = 1, dv1/dy = 1   3
      v2    mul        v1, y  15     dv2/dv1 = 3, dv2/dy = 5  1
    """
    values = [jnp.asarray(arg) for arg in args]
    for number, value in enumerate(values):
        if not jnp.issubdtype(value.dtype, jnp.floating):
            raise TypeError(f"argument {number}: expected a floating number or array, found {value.dtype}: 1.0, not 1")
    traced, shape = jax.make_jaxpr(f, return_shape=True)(*values)
    if not hasattr(shape, "shape") or shape.shape:
        found = getattr(shape, "shape", type(shape).__name__)
        raise ValueError(f"f: expected a function that gives one number, found {found}; take its mean or sum")
    inputs = [Node(name, "input", value) for name, value in zip(_names(f, len(values)), values, strict=True)]
    graph = Graph(list(inputs), inputs)
    consts = [_constant(graph, value) for value in traced.consts]
    (output,) = _run(graph, traced.jaxpr, consts, inputs)
    # The output last, and nothing that does not lead to it.
    useful = _ancestors(output) | {id(node) for node in inputs}
    graph.nodes = [node for node in graph.nodes if id(node) in useful and node is not output] + [output]
    _name(graph)
    _backpropagate(graph)
    return graph


def _run(graph: Graph, jaxpr: Any, consts: Sequence[Node], inputs: Sequence[Node]) -> list[Node]:
    nodes: dict[Any, Node] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *inputs], strict=True))

    def read(atom: Any) -> Node:
        return _constant(graph, atom.val) if hasattr(atom, "val") else nodes[atom]

    for equation in jaxpr.eqns:
        given, name = [read(atom) for atom in equation.invars], equation.primitive.name
        inner = equation.params.get("jaxpr") or equation.params.get("call_jaxpr")
        if name in _WRAPPERS and inner is not None:
            closed = inner if hasattr(inner, "consts") else None
            own = [_constant(graph, value) for value in closed.consts] if closed else []
            found = _run(graph, closed.jaxpr if closed else inner, own, given)
        elif inner is not None or "branches" in equation.params or "cond_jaxpr" in equation.params:
            raise ValueError(f"f: `{name}` is a loop or a branch, and no graph of values; write it out, step by step")
        elif len(equation.outvars) > 1:
            raise ValueError(f"f: `{name}` gives {len(equation.outvars)} results, and a node holds one")
        elif name == "convert_element_type" and equation.params["new_dtype"] == given[0].value.dtype:
            found = given  # nothing happens
        else:
            node = _apply(equation, given)
            graph.nodes.append(node)
            found = [node]
        nodes.update(zip(equation.outvars, found, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _constant(graph: Graph, value: Any) -> Node:
    node = Node("", "constant", jnp.asarray(value))
    graph.nodes.append(node)
    return node


def _apply(equation: Any, given: Sequence[Node]) -> Node:
    values = [node.value for node in given]
    floating = [i for i, value in enumerate(values) if jnp.issubdtype(value.dtype, jnp.floating)]

    def bind(*xs: Any) -> Any:
        chosen = dict(zip(floating, xs, strict=True))
        every = [chosen.get(i, value) for i, value in enumerate(values)]
        return equation.primitive.bind(*every, **equation.params)

    value, back = jax.vjp(bind, *(values[i] for i in floating))
    local: list[Any] = [None] * len(given)
    for place, i in enumerate(floating):
        # Element by element a Jacobian is diagonal: its rows and its columns have the same sums.
        if value.shape == values[i].shape and jnp.issubdtype(value.dtype, jnp.floating):
            ones = [jnp.ones_like(values[j]) if j == i else jnp.zeros_like(values[j]) for j in floating]
            columns = jax.jvp(bind, tuple(values[j] for j in floating), tuple(ones))[1]
            rows = back(jnp.ones_like(value))[place]
            local[i] = columns if np.allclose(columns, rows, equal_nan=True) else None

    def pull(arriving: Any) -> list[Any]:
        if not jnp.issubdtype(value.dtype, jnp.floating):
            return [None] * len(given)
        found = dict(zip(floating, back(arriving), strict=True))
        return [found.get(i) for i in range(len(given))]

    depth = 1 + max((node.depth for node in given), default=0)
    return Node("", equation.primitive.name, value, given, local, depth=depth, pull=pull)


def _backpropagate(graph: Graph) -> None:
    graph.output.gradient = jnp.ones_like(graph.output.value)
    for node in reversed(graph.nodes):
        if node.gradient is not None and node.inputs:
            for one, arriving in zip(node.inputs, node.pull(node.gradient), strict=True):
                if arriving is not None:
                    one.gradient = arriving if one.gradient is None else one.gradient + arriving


def _ancestors(output: Node) -> set[int]:
    found, left = set(), [output]
    while left:
        node = left.pop()
        if id(node) not in found:
            found.add(id(node))
            left.extend(node.inputs)
    return found


def _names(f: Callable[..., Any], count: int) -> list[str]:
    """Returns the names of the arguments, or numbers where they have none."""
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):  # some builtins say nothing
        parameters = []
    names = [one.name for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    return names[:count] if len(names) >= count else [f"x{number}" for number in range(1, count + 1)]


def _name(graph: Graph) -> None:
    """Constants are called by their number, or c1, c2 ...; what is computed v1, v2 ..."""
    for kind, letter in (("constant", "c"), ("", "v")):
        own = [node for node in graph.nodes if not node.name and (node.operation == kind or not kind)]
        for number, node in enumerate(own, 1):
            is_number = kind and node.value.ndim == 0
            node.name = say(node.value) if is_number else f"{letter}{number}"


def say(value: Any) -> str:
    """Returns a number to four digits, the elements of a short vector, the shape of anything else."""
    if value is None:
        return ""
    array = np.asarray(value)
    if array.size == 1:
        return f"{array.item():.4g}"
    if array.ndim == 1 and array.size <= 4:
        return "[" + ", ".join(f"{one:.3g}" for one in array) + "]"
    return f"array {array.shape}"
