"""A model as a table: what its layers are, give and cost."""

import html
import math
from collections import Counter
from typing import Any, NamedTuple

import jax

from dlcore.core import Layer, Plan, as_layer
from dlcore.inspect._flops import flops_by_scope

_WIDTH = 100  # columns of the text table


class Row(NamedTuple):
    """One layer of a summary. A combinator's numbers hold those of the layers in it."""

    path: str  # names from the outside in, as in `tap`; "" is the whole, and "*" stands for each block of a `repeat`
    recipe: str
    output: Any  # `jax.ShapeDtypeStruct`s
    parameters: int
    state: int  # values of state
    flops: int  # of one forward pass
    count: int  # how many times a scan runs the layer; the numbers are those of all times together


class Summary(NamedTuple):
    """The layers of a model, the outermost first. As text and in a notebook it is a table."""

    rows: tuple[Row, ...]

    @property
    def parameters(self) -> int:
        return self.rows[0].parameters

    @property
    def state(self) -> int:
        return self.rows[0].state

    @property
    def flops(self) -> int:
        return self.rows[0].flops

    def __repr__(self) -> str:
        cells = [_HEADER, *_cells(self)]
        widths = [max(len(line[i]) for line in cells) for i in range(len(_HEADER))]
        widths[0], widths[2] = min(widths[0], 26), min(widths[2], 20)
        widths[1] = max(8, min(widths[1], _WIDTH - sum(widths) + widths[1] - 2 * (len(widths) - 1)))
        lines = []
        for line in cells:
            short = [_shorten(cell, width) for cell, width in zip(line, widths, strict=True)]
            aligned = [
                cell.ljust(w) if i < 3 else cell.rjust(w) for i, (cell, w) in enumerate(zip(short, widths, strict=True))
            ]
            lines.append("  ".join(aligned))
        rule = "-" * len(lines[0])
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])

    __str__ = __repr__

    def _repr_html_(self) -> str:
        lines = []
        for line in _cells(self):
            indent = len(line[0]) - len(line[0].lstrip())
            name = f'<td style="text-align:left;padding-left:{indent / 2 + 0.5}em">{html.escape(line[0].strip())}</td>'
            texts = "".join(f'<td style="text-align:left">{html.escape(cell)}</td>' for cell in line[1:3])
            lines.append(name + texts + "".join(f'<td style="text-align:right">{cell}</td>' for cell in line[3:]))
        lines[-1] = lines[-1].replace("<td", "<th").replace("</td", "</th")
        header = "".join(f"<th>{title}</th>" for title in _HEADER)
        return f"<table><tr>{header}</tr><tr>{'</tr><tr>'.join(lines)}</tr></table>"


def summary(layer: Layer, *xs: Any) -> Summary:
    """Lists the layers of a model: path, recipe, output shape, parameters, values of state, and FLOPs.

    FLOPs are the floating point operations of one forward pass in evaluation on these inputs, all of the batch: a
    multiplication with addition is two, see `flops`. A layer that is called twice has the sum of its calls, and the
    shape of the first; what a `scan` runs n times has n times the operations.

    Args:
      layer: a layer.
      *xs: its inputs, arrays or `jax.ShapeDtypeStruct`s: only their shapes and types are read.

    Returns:
      A table, with `rows` and the totals `parameters`, `state` and `flops`.

    Example:
      >>> import jax.numpy as jnp
      >>> from dlcore.layers import dense, relu, serial
      >>> summary(serial(dense(32), relu(), head=dense(10)), jnp.zeros((4, 8)))
      layer  recipe     output   parameters  state  FLOPs
      ---------------------------------------------------
      0      dense(32)  (4, 32)         288      0  2,176
      1      relu()     (4, 32)           0      0    128
      head   dense(10)  (4, 10)         330      0  2,600
      ---------------------------------------------------
      total             (4, 10)         618      0  4,904
    """
    plan = as_layer(layer, "layer").plan(*xs)
    found = flops_by_scope(lambda *args: plan.layer.apply(*args)[0], plan.params, plan.state, *plan.inputs)
    return Summary(tuple(_rows(plan, _by_layer(plan, found))))


def _by_layer(plan: Plan, found: "Counter[tuple[str, ...]]") -> "Counter[tuple[str, ...]]":
    """Adds up what was counted under scopes, for each layer; a scope that is no layer's belongs to the layer around."""
    total: Counter[tuple[str, ...]] = Counter()
    for scopes, number in found.items():
        here, path = plan, ()
        total[path] += number
        for name in scopes:
            if name in here.children:
                here, path = here.children[name], (*path, name)
                total[path] += number
    return total


def _rows(
    plan: Plan, flops: "Counter[tuple[str, ...]]", path: tuple[str, ...] = (), count: int = 1, stacks: int = 1
) -> list[Row]:
    parameters, state = stacks * _size(plan.params), stacks * _size(plan.state)
    text = " ".join(repr(plan.layer).split())
    rows = [Row("/".join(path), text, plan.output, parameters, state, flops[path], count)]
    # Params of a scan's own are stacked (`repeat`) or shared by all steps (`recurrent`): the sizes tell.
    own, below = (sum(_size((one.params, one.state)) for one in plans) for plans in ([plan], plan.children.values()))
    for name, child in plan.children.items():
        rows += _rows(child, flops, (*path, name), count * plan.count, stacks * max(1, own // max(1, below)))
    return rows


def _size(tree: Any) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


# --- as text -------------------------------------------------------------------------------------------------------

_HEADER = ("layer", "recipe", "output", "parameters", "state", "FLOPs")


def _cells(table: Summary) -> list[tuple[str, ...]]:
    whole, *inner = table.rows
    lines = [(_indented(row), row.recipe, *_numbers(row)) for row in inner or [whole]]
    return [*lines, ("total", "", *_numbers(whole))]


def _indented(row: Row) -> str:
    *above, name = row.path.split("/")
    times = f" x {row.count}" if name == "*" else ""
    return "  " * len(above) + name + times


def _numbers(row: Row) -> tuple[str, ...]:
    shapes = ", ".join(str(leaf.shape) for leaf in jax.tree.leaves(row.output))
    return shapes, f"{row.parameters:,}", f"{row.state:,}", _rounded(row.flops)


def _rounded(number: int) -> str:
    for power, unit in ((15, "P"), (12, "T"), (9, "G"), (6, "M")):
        if number >= 10**power:
            return f"{number / 10**power:.2f} {unit}"
    return f"{number:,}"


def _shorten(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
