"""Data: datasets that live in memory, how they are split and scaled, the sources that batches come from, tokenizers."""

from dlcore.data import synthetic as synthetic
from dlcore.data._arrays import load_arrays
from dlcore.data._bundled import breast_cancer, diabetes, digits, iris, wine
from dlcore.data._cache import data_dir
from dlcore.data._card import Card, card
from dlcore.data._cifar import cifar10, cifar100
from dlcore.data._dataset import Dataset, as_dataset
from dlcore.data._download import fetch
from dlcore.data._encode import OneHotEncoder, OrdinalEncoder, one_hot_encoder, ordinal_encoder
from dlcore.data._folds import k_fold
from dlcore.data._idx import read_idx, write_idx
from dlcore.data._image_file import read_image
from dlcore.data._image_folder import image_folder
from dlcore.data._load import files, load, names
from dlcore.data._mapped_windows import MappedWindows
from dlcore.data._mnist import fashion_mnist, kmnist, mnist
from dlcore.data._resample import class_weights, oversample, smote
from dlcore.data._scale import min_max, standardize
from dlcore.data._share import share
from dlcore.data._source import Batches, Source, Stacked, permutation_index
from dlcore.data._split import split
from dlcore.data._spoil import label_noise, learning_curve_subsets
from dlcore.data._table import read_table
from dlcore.data._text import Corpus, pydoc, read_text
from dlcore.data._token_file import write_tokens
from dlcore.data._tokenizers import (
    BPETokenizer,
    ByteTokenizer,
    CharTokenizer,
    Tokenizer,
    bpe_tokenizer,
    byte_tokenizer,
    char_tokenizer,
)
from dlcore.data._windows import Windows

__all__ = [
    "BPETokenizer",
    "Batches",
    "ByteTokenizer",
    "Card",
    "CharTokenizer",
    "Corpus",
    "Dataset",
    "MappedWindows",
    "OneHotEncoder",
    "OrdinalEncoder",
    "Source",
    "Stacked",
    "Tokenizer",
    "Windows",
    "as_dataset",
    "bpe_tokenizer",
    "breast_cancer",
    "byte_tokenizer",
    "card",
    "char_tokenizer",
    "cifar10",
    "cifar100",
    "class_weights",
    "data_dir",
    "diabetes",
    "digits",
    "fashion_mnist",
    "fetch",
    "files",
    "image_folder",
    "iris",
    "k_fold",
    "kmnist",
    "label_noise",
    "learning_curve_subsets",
    "load",
    "load_arrays",
    "min_max",
    "mnist",
    "names",
    "one_hot_encoder",
    "ordinal_encoder",
    "oversample",
    "permutation_index",
    "pydoc",
    "read_idx",
    "read_image",
    "read_table",
    "read_text",
    "share",
    "smote",
    "split",
    "standardize",
    "synthetic",
    "wine",
    "write_idx",
    "write_tokens",
]
