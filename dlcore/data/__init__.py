"""Data: datasets that live in memory, how they are split and scaled, the sources that batches come from, tokenizers."""

from dlcore.data._bundled import breast_cancer, diabetes, digits, iris, load, names, wine
from dlcore.data._dataset import Dataset, as_dataset
from dlcore.data._scale import min_max, standardize
from dlcore.data._source import Batches, Source, Stacked, permutation_index
from dlcore.data._split import split
from dlcore.data._tokenizers import (
    BPETokenizer,
    ByteTokenizer,
    CharTokenizer,
    Tokenizer,
    bpe_tokenizer,
    byte_tokenizer,
    char_tokenizer,
)

__all__ = [
    "BPETokenizer",
    "Batches",
    "ByteTokenizer",
    "CharTokenizer",
    "Dataset",
    "Source",
    "Stacked",
    "Tokenizer",
    "as_dataset",
    "bpe_tokenizer",
    "breast_cancer",
    "byte_tokenizer",
    "char_tokenizer",
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
