"""Data: datasets that live in memory, how they are split and scaled, and the sources that batches come from."""

from dlcore.data._bundled import breast_cancer, diabetes, digits, iris, load, names, wine
from dlcore.data._dataset import Dataset, as_dataset
from dlcore.data._scale import min_max, standardize
from dlcore.data._source import Batches, Source, Stacked, permutation_index
from dlcore.data._split import split

__all__ = [
    "Batches",
    "Dataset",
    "Source",
    "Stacked",
    "as_dataset",
    "breast_cancer",
    "diabetes",
    "digits",
    "iris",
    "load",
    "min_max",
    "names",
    "permutation_index",
    "split",
    "standardize",
    "wine",
]
