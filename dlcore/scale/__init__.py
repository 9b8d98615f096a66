"""Many devices, here or elsewhere: how arrays lie on a mesh, how a program starts, and what it needs."""

from dlcore.scale._chips import CHIPS, Chip, Topology, peak_bandwidth, peak_flops, topology
from dlcore.scale._compile import compile_ahead
from dlcore.scale._layout import TENSOR_RULES, Layout, as_layout, layout
from dlcore.scale._measure import measure
from dlcore.scale._plan import Plan
from dlcore.scale._start import start

__all__ = [
    "CHIPS",
    "TENSOR_RULES",
    "Chip",
    "Layout",
    "Plan",
    "Topology",
    "as_layout",
    "compile_ahead",
    "layout",
    "measure",
    "peak_bandwidth",
    "peak_flops",
    "start",
    "topology",
]
