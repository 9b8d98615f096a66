"""Tokenizers: text to ids and back, by characters, by bytes and by byte pairs."""

from dlcore.data._tokenizers._base import Tokenizer
from dlcore.data._tokenizers._bpe import BPETokenizer, bpe_tokenizer
from dlcore.data._tokenizers._byte import ByteTokenizer, byte_tokenizer
from dlcore.data._tokenizers._char import CharTokenizer, char_tokenizer

__all__ = [
    "BPETokenizer",
    "ByteTokenizer",
    "CharTokenizer",
    "Tokenizer",
    "bpe_tokenizer",
    "byte_tokenizer",
    "char_tokenizer",
]
