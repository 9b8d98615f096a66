"""Pictures of runs, drawn from plain arrays by name."""

from dlcore.report._curves import curves

__all__ = ["curves"]
