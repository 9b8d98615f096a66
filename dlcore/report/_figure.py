"""What all pictures have in common."""

import io
from typing import Any

import numpy as np


def new_figure(**options: Any) -> Any:
    """Returns a matplotlib figure that belongs to no window, and shows itself in a notebook."""
    from matplotlib.figure import Figure

    class Picture(Figure):
        """A figure that shows itself in a notebook, also where pyplot was never imported."""

        def _repr_png_(self) -> bytes:
            buffer = io.BytesIO()
            self.savefig(buffer, format="png", dpi=100)
            return buffer.getvalue()

    return Picture(layout="constrained", **options)


def plain_axes(axes: Any) -> None:
    """Takes off what is not needed."""
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def colors(count: int) -> list[Any]:
    """Returns colours that can be told apart; in order along a scale where there are many."""
    from matplotlib import colormaps

    if count <= 10:
        return [colormaps["tab10"](i) for i in range(count)]
    return list(colormaps["viridis"](np.linspace(0, 0.95, count)))


def is_loss(name: str) -> bool:
    """Whether a metric is one that is drawn on a logarithmic scale."""
    return name.replace("_", " ").split()[-1] in ("loss", "mse", "mae")
