"""Pictures, tables and pages of runs, drawn from plain arrays by name."""

from dlcore.report._axes import against, heatmap
from dlcore.report._bands import bands, difference
from dlcore.report._classes import confusion, confusion_matrix, gallery, worst
from dlcore.report._curves import curves
from dlcore.report._page import page
from dlcore.report._sheet import contact_sheet
from dlcore.report._statistics import Comparison, Interval, mean_interval, paired_bootstrap
from dlcore.report._table import table_csv, table_html, table_json, table_text

__all__ = [
    "Comparison",
    "Interval",
    "against",
    "bands",
    "confusion",
    "confusion_matrix",
    "contact_sheet",
    "curves",
    "difference",
    "gallery",
    "heatmap",
    "mean_interval",
    "page",
    "paired_bootstrap",
    "table_csv",
    "table_html",
    "table_json",
    "table_text",
    "worst",
]
