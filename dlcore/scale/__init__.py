"""Many devices, and many processes: how arrays lie on a mesh, and how a program starts."""

from dlcore.scale._layout import TENSOR_RULES, Layout, as_layout, layout
from dlcore.scale._start import start

__all__ = ["TENSOR_RULES", "Layout", "as_layout", "layout", "start"]
