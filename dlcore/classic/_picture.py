"""The picture of a computation graph."""

from typing import Any

from dlcore.classic._graph import Graph, Node, say
from dlcore.report._figure import new_figure

UP, BACK = "#1f5fa8", "#c0392b"  # what is computed, what comes back
SIGNS = {"add": "+", "mul": "×", "sub": "−", "div": "÷", "neg": "−", "dot_general": "matmul", "reduce_sum": "sum"}


def draw(graph: Graph) -> Any:
    """Draws the graph from left to right: values above the nodes, gradients beneath, local derivatives on the edges."""
    columns: dict[int, list[Node]] = {}
    for node in graph.nodes:
        columns.setdefault(_column(graph, node), []).append(node)
    places = {id(node): place for place, node in _places(columns)}
    height = max(map(len, columns.values()))
    figure = new_figure(figsize=(1.2 + 1.9 * len(columns), 0.6 + 1.25 * height))
    axes = figure.subplots()
    axes.set_axis_off()
    for node in graph.nodes:
        for one, slope in zip(node.inputs, node.local, strict=True):
            _edge(axes, places[id(one)], places[id(node)], say(slope))
    for node in graph.nodes:
        x, y = places[id(node)]
        axes.text(x, y, SIGNS.get(node.operation, node.name if not node.inputs else node.operation), **_box(node))
        if node.operation != "constant":
            axes.text(x, y + 0.3, say(node.value), color=UP, ha="center", va="center", fontsize=9)
            axes.text(x, y - 0.3, say(node.gradient), color=BACK, ha="center", va="center", fontsize=9)
    axes.set_xlim(-0.6, max(columns) + 0.6)
    axes.set_ylim(-height / 2 - 0.1, height / 2 + 0.1)
    axes.text(0, -0.02, "values", color=UP, transform=axes.transAxes, fontsize=8)
    axes.text(
        0.14, -0.02, "gradients, and on the edges local derivatives", color=BACK, transform=axes.transAxes, fontsize=8
    )
    return figure


def _column(graph: Graph, node: Node) -> int:
    if node.operation != "constant":
        return node.depth
    # A constant stands just before what it is for.
    return min(one.depth for one in graph.nodes if any(each is node for each in one.inputs)) - 1


def _places(columns: dict[int, list[Node]]) -> Any:
    """Each column from top to bottom, its nodes near the middle of what they are computed from."""
    found: dict[int, tuple[float, float]] = {}
    for x in sorted(columns):
        nodes = columns[x]

        def wanted(node: Node) -> float:
            own = [found[id(one)][1] for one in node.inputs if id(one) in found]
            return sum(own) / len(own) if own else 0.0

        ordered = sorted(nodes, key=lambda node: -wanted(node)) if x else nodes
        top = (len(ordered) - 1) / 2
        for i, node in enumerate(ordered):
            found[id(node)] = (float(x), top - i)
            yield found[id(node)], node


def _edge(axes: Any, start: tuple[float, float], end: tuple[float, float], slope: str) -> None:
    (x0, y0), (x1, y1) = start, end
    arrow = {"arrowstyle": "-|>", "color": "#888888", "shrinkA": 15, "shrinkB": 15, "linewidth": 1}
    # A long edge swings round the nodes between.
    arrow["connectionstyle"] = "arc3" if x1 - x0 < 1.5 else f"arc3,rad={0.25 if y0 <= y1 else -0.25}"
    axes.annotate("", xy=end, xytext=start, arrowprops=arrow)
    if slope:
        shift = 0.0 if x1 - x0 < 1.5 else (-0.12 if y0 <= y1 else 0.12) * (x1 - x0)
        x, y = 0.45 * x0 + 0.55 * x1, 0.45 * y0 + 0.55 * y1 + shift
        axes.text(x, y + 0.08, slope, color=BACK, fontsize=8, ha="center", va="bottom", alpha=0.9)


def _box(node: Node) -> dict[str, Any]:
    color = {"input": "#e8f0fa", "constant": "#f2f2f2"}.get(node.operation, "white")
    style = {"boxstyle": "round,pad=0.35", "facecolor": color, "edgecolor": "#666666", "linewidth": 0.8}
    return {"ha": "center", "va": "center", "fontsize": 11, "bbox": style}
