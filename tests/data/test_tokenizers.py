"""Tokenizers give every text back, learn what a plain count learns, and refuse damaged files and strange characters."""

from __future__ import annotations

import copy
import json
import pickle
import pydoc_data.topics
from collections import Counter
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dlcore.data import (
    BPETokenizer,
    ByteTokenizer,
    CharTokenizer,
    Tokenizer,
    bpe_tokenizer,
    byte_tokenizer,
    char_tokenizer,
)
from dlcore.data._tokenizers._bpe import PATTERN
from dlcore.errors import DataError

ENGLISH = "\n".join(pydoc_data.topics.topics.values())  # half a million characters
SPECIALS = ("<pad>", "<bos>", "<eos>")
SAMPLE = "It's 3 o'clock; naïve café,\t\n  日本語 \U0001f600_x²  "
ALL = {
    "char": char_tokenizer(SAMPLE, unknown="\N{REPLACEMENT CHARACTER}", specials=SPECIALS),
    "byte": byte_tokenizer(specials=SPECIALS),
    "bpe": bpe_tokenizer(ENGLISH[:20_000], 500, specials=SPECIALS),
}
ANY: Any = lambda value: value  # what no type checker lets through
each = pytest.mark.parametrize("tokenizer", ALL.values(), ids=ALL)


@each
def test_what_is_encoded_is_an_int32_array_below_its_size(tokenizer):
    ids = tokenizer.encode(SAMPLE)
    assert isinstance(ids, np.ndarray) and ids.dtype == np.int32 and ids.ndim == 1
    assert ids.min() >= 0 and ids.max() < tokenizer.size - len(SPECIALS)
    assert tokenizer.encode("").shape == (0,) and tokenizer.encode("").dtype == np.int32
    assert tokenizer.decode(ids) == SAMPLE and tokenizer.decode([]) == ""
    assert tokenizer.decode(ids.tolist()) == tokenizer.decode(jnp.asarray(ids)) == SAMPLE


@given(st.text())
@example("\x00\x1c\u2028\ufeff e\u0301 \U0010ffff <eos>")
def test_any_text_comes_back(text):
    for tokenizer in (ALL["byte"], ALL["bpe"]):
        assert tokenizer.decode(tokenizer.encode(text)) == text
        assert tokenizer.decode(tokenizer.encode(text, parse_specials=True), errors="strict") == text
    if text:
        tokenizer = char_tokenizer(text)
        assert tokenizer.decode(tokenizer.encode(text)) == text


@given(st.text())
def test_words_are_the_whole_text(text):
    assert "".join(PATTERN.findall(text)) == text


def test_words_are_cut_as_in_gpt_2():
    words = ["I", "'ll", " say", " snake", "_", "case", " 42", "!!", "  ", " then", "\n", "\n", "go", " "]
    assert PATTERN.findall("I'll say snake_case 42!!   then\n\ngo ") == words


@given(st.lists(st.integers(0, ALL["bpe"].size - 1)))
def test_any_ids_are_a_text(ids):
    tokenizer = ALL["bpe"]
    whole = b"".join(tokenizer.token(index) for index in ids)
    if not any(index >= tokenizer.size - len(SPECIALS) for index in ids):  # specials end a broken character
        assert tokenizer.decode(ids) == whole.decode("utf-8", "replace")
    assert isinstance(tokenizer.decode(ids), str)


# Byte pairs


def naive_merges(text: str, limit: int) -> list[tuple[int, int]]:
    """All words as lists, counted anew for each merge."""
    words, merges = [(list(word.encode()), n) for word, n in Counter(PATTERN.findall(text)).items()], []
    while len(merges) < limit:
        counts: Counter[tuple[int, int]] = Counter()
        for ids, n in words:
            for pair in zip(ids, ids[1:], strict=False):
                counts[pair] += n
        best = min(counts, key=lambda pair: (-counts[pair], pair), default=None)
        if best is None or counts[best] < 2:
            break
        words = [(naive_replace(ids, best, 256 + len(merges)), n) for ids, n in words]
        merges.append(best)
    return merges


def naive_replace(ids, pair, new):
    out, place = [], 0
    while place < len(ids):
        is_pair = tuple(ids[place : place + 2]) == pair
        out.append(new if is_pair else ids[place])
        place += 2 if is_pair else 1
    return out


def naive_encode(text, merges):
    out = []
    for word in PATTERN.findall(text):
        ids = list(word.encode())
        for rank, pair in enumerate(merges):
            ids = naive_replace(ids, pair, 256 + rank)
        out += ids
    return out


small = st.text("aab \n", max_size=60) | st.text("abcdé '1", max_size=60)


@given(small.filter(bool), small)
@example("aaaaaaaaaaaaa aaaa", "aaaaaaa")
@example("abababab babab", "bababab")
def test_merges_are_those_of_a_plain_count(text, other):
    tokenizer = bpe_tokenizer(text, 256 + 12)
    assert list(tokenizer.merges) == naive_merges(text, 12)
    for one in (text, other):
        assert tokenizer.encode(one).tolist() == naive_encode(one, tokenizer.merges)


def test_english_is_learnt_and_encoded_as_by_a_plain_count():
    part = ENGLISH[:6000]
    assert list(bpe_tokenizer(part, 256 + 60).merges) == naive_merges(part, 60)
    assert ALL["bpe"].encode(part).tolist() == naive_encode(part, ALL["bpe"].merges)


def test_encoding_agrees_with_hugging_face():
    tokenizers = pytest.importorskip("tokenizers")
    ours = ALL["bpe"]
    letters = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]  # GPT-2 writes each byte as a letter
    names = {byte: chr(byte) for byte in printable}
    names |= {byte: chr(256 + n) for n, byte in enumerate(b for b in range(256) if b not in names)}
    assert set(names.values()) == set(letters)
    spell = lambda index: "".join(names[byte] for byte in ours.token(index))
    vocabulary = {spell(index): index for index in range(256 + len(ours.merges))}
    theirs = tokenizers.Tokenizer(
        tokenizers.models.BPE(vocabulary, [(spell(left), spell(right)) for left, right in ours.merges])
    )
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    text = ENGLISH[20_000:60_000] + " naïve café 日本語 \U0001f600 it's\n\n\n  end  "
    assert ours.encode(text).tolist() == theirs.encode(text).ids


@pytest.mark.slow
def test_it_learns_and_encodes_half_a_million_characters():
    tokenizer = bpe_tokenizer(ENGLISH, 1256)
    ids = tokenizer.encode(ENGLISH)
    assert tokenizer.size == 1256 and tokenizer.decode(ids) == ENGLISH
    assert len(ids) < len(ENGLISH) / 3


def test_one_long_word_is_no_quadratic_matter():
    text = "ab" * 64_000
    assert len(bpe_tokenizer(text, 262).encode(text)) == 128_000 / 64


def test_several_texts_are_learnt_from_together_and_in_any_order():
    texts = [ENGLISH[:3000], ENGLISH[3000:6000] + " "]
    assert bpe_tokenizer(texts, 300) == bpe_tokenizer(reversed(texts), 300)
    assert char_tokenizer(texts) == char_tokenizer("".join(texts))


def test_a_text_that_runs_out_of_pairs_gives_a_smaller_tokenizer():
    tokenizer = bpe_tokenizer("abab", 1000, specials=("<eos>",))
    assert tokenizer.merges == ((97, 98), (256, 256))[:1] and tokenizer.size == 258
    assert bpe_tokenizer("abab", 1000, min_frequency=1).merges == ((97, 98), (256, 256))
    assert bpe_tokenizer("abc", 256).merges == ()


# Characters


def test_an_unknown_character_is_refused_with_its_position_or_has_its_own_id():
    with pytest.raises(ValueError, match=r"alphabet of 3, found 'é' \(U\+00E9\) at position 4"):
        char_tokenizer("abc").encode("abcaé")
    with pytest.raises(ValueError, match="found 'z' .* at position 6"):
        char_tokenizer("abc", specials=("<eos>",)).encode("a<eos>z", parse_specials=True)
    tokenizer = char_tokenizer("abc", unknown="?", specials=("<eos>",))
    assert tokenizer.encode("aéz").tolist() == [0, 3, 3] and tokenizer.size == 5
    assert tokenizer.decode([0, 3, 4]) == "a?<eos>"


def test_the_ids_of_characters_are_in_their_order():
    assert char_tokenizer("hello").encode("ehlo").tolist() == [0, 1, 2, 3]


# Specials


@each
def test_specials_have_the_last_ids_and_come_from_text_only_when_asked_for(tokenizer):
    ids = [tokenizer.id_of(special) for special in SPECIALS]
    assert ids == list(range(tokenizer.size - 3, tokenizer.size))
    text = "<bos>It's<eos><pad>"
    assert not set(tokenizer.encode(text)) & set(ids)
    parsed = tokenizer.encode(text, parse_specials=True)
    assert parsed[0] == ids[1] and parsed[-2:].tolist() == [ids[2], ids[0]] and parsed.dtype == np.int32
    assert tokenizer.decode(parsed) == text and tokenizer.decode(parsed, skip_specials=True) == "It's"
    assert tokenizer.encode("<eos>", parse_specials=True).tolist() == [ids[2]]
    with pytest.raises(ValueError, match=r"no special token '<eod>'; did you mean '<eos>'\?"):
        tokenizer.id_of("<eod>")


def test_the_longest_special_is_found_first():
    tokenizer = byte_tokenizer(specials=("<a>", "<a><b>"))
    assert tokenizer.encode("<a><b><a>", parse_specials=True).tolist() == [257, 256]


def test_bytes_around_a_special_are_no_character_together():
    first, second = byte_tokenizer().encode("é")
    tokenizer = byte_tokenizer(specials=("|",))
    assert tokenizer.decode([first, 256, second]) == "\ufffd|\ufffd"
    with pytest.raises(UnicodeDecodeError):
        tokenizer.decode([first], errors="strict")


# Values and files


@each
def test_tokenizers_are_values(tokenizer, tmp_path):
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    loaded = Tokenizer.load(path)
    assert [file.name for file in tmp_path.iterdir()] == ["tokenizer.json"]
    assert type(tokenizer).load(path) == tokenizer
    for same in (loaded, copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer))):
        assert same == tokenizer and hash(same) == hash(tokenizer) and type(same) is type(tokenizer)
        np.testing.assert_array_equal(same.encode(SAMPLE), tokenizer.encode(SAMPLE))
    assert Tokenizer.from_json(json.loads(json.dumps(tokenizer.to_json()))) == tokenizer
    assert repr(tokenizer) == f"{type(tokenizer).__name__}(size={tokenizer.size}, specials={SPECIALS!r})"
    with pytest.raises(AttributeError):
        tokenizer.specials = ()


def test_tokenizers_of_other_contents_are_other_values():
    assert char_tokenizer("ab") != char_tokenizer("abc") and byte_tokenizer() != byte_tokenizer(specials=("<eos>",))
    assert bpe_tokenizer("abab", 257) != bpe_tokenizer("cdcd", 257) and byte_tokenizer() != BPETokenizer([])


def test_half_a_surrogate_pair_is_a_character_but_no_utf_8(tmp_path):
    tokenizer = char_tokenizer("a\ud800")
    tokenizer.save(tmp_path / "it")
    assert Tokenizer.load(tmp_path / "it").decode(tokenizer.encode("\ud800a")) == "\ud800a"
    for strict in (byte_tokenizer(specials=("|",)), bpe_tokenizer("abc", 257, specials=("|",))):
        with pytest.raises(ValueError, match=r"found U\+D800, half of a surrogate pair, at position 2"):
            strict.encode("a|\ud800", parse_specials=True)


GOOD = {
    "char": {"alphabet": "ab", "unknown": None},
    "byte": {},
    "bpe": {"merges": [[97, 98], [256, 256]]},
}
GOOD = {
    kind: {"format": "dlcore tokenizer", "version": 1, "kind": kind, "specials": []} | it for kind, it in GOOD.items()
}


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("byte", {"format": "other"}, "expected a dlcore tokenizer, found"),
        ("byte", {"version": 2}, "expected version 1, found 2"),
        ("byte", {"kind": "word"}, "kind: expected 'bpe' or 'byte' or 'char', found 'word'"),
        ("byte", {"kind": ["byte"]}, "kind: expected"),
        ("byte", {"specials": "<a>"}, "specials: expected a list, found '<a>'"),
        ("byte", {"specials": [1]}, "specials: expected texts, found 1"),
        ("byte", {"specials": ["a", "a"]}, "specials: expected different texts"),
        ("byte", {"more": 1}, "unexpected keyword argument 'more'"),
        ("char", {"alphabet": "ba"}, "alphabet: expected different characters in ascending order"),
        ("char", {"alphabet": ["a", "b"]}, "alphabet: expected"),
        ("char", {"alphabet": ""}, "alphabet: expected a character or more"),
        ("char", {"unknown": "a"}, "unknown: expected what is not in the alphabet"),
        ("char", {"unknown": 3}, "unknown: expected a text or None, found 3"),
        ("char", {"unknown": "<u>", "specials": ["<u>"]}, "specials: expected others than `unknown`"),
        ("bpe", {"merges": None}, "merges: expected pairs of ids, found NoneType"),
        ("bpe", {"merges": [[97]]}, r"merges: expected a pair of ids in \[0, 256\) at place 0, found \[97\]"),
        ("bpe", {"merges": [[97, 256]]}, r"in \[0, 256\) at place 0"),
        ("bpe", {"merges": [[97, 98], [-1, 97]]}, r"in \[0, 257\) at place 1"),
        ("bpe", {"merges": [[97.0, 98]]}, "at place 0"),
        ("bpe", {"merges": [[True, 98]]}, "at place 0"),
        (
            "bpe",
            {"merges": [[97, 98], [97, 98]]},
            r"merges: expected different pairs, found \[97, 98\] again at place 1",
        ),
    ],
)
def test_a_damaged_file_is_a_data_error_of_one_line_with_its_path(kind, change, message, tmp_path):
    assert Tokenizer.from_json(GOOD[kind]).size > 0
    path = tmp_path / "it.json"
    path.write_text(json.dumps(GOOD[kind] | change))
    with pytest.raises(DataError, match=message) as caught:
        Tokenizer.load(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "expected a tokenizer file, found nothing there"),
        (b"", "expected JSON, found Expecting value"),
        (json.dumps(GOOD["bpe"]).encode()[:-9], "expected JSON, found"),
        (b"\xff\xfe\x00", "expected JSON, found bytes that are no UTF-8"),
        (b"[" * 100_000, "expected JSON, found brackets nested too deep"),
        (b"[1, 2]", "expected a dlcore tokenizer, found"),
        (b"9" * 5000, "Exceeds the limit"),
    ],
)
def test_what_is_no_tokenizer_file_is_a_data_error(content, message, tmp_path):
    path = tmp_path / "it.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        Tokenizer.load(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_a_tokenizer_of_another_kind_is_refused(tmp_path):
    byte_tokenizer().save(tmp_path / "it")
    with pytest.raises(DataError, match="kind: expected 'bpe', found 'byte'"):
        BPETokenizer.load(tmp_path / "it")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: byte_tokenizer().encode(ANY(b"abc")), TypeError, "text: expected str, found bytes"),
        (lambda: byte_tokenizer().decode([1.0]), TypeError, "ids: expected whole numbers, found float64"),
        (lambda: byte_tokenizer().decode([[1]]), ValueError, r"ids: expected one sequence \(n,\), found \(1, 1\)"),
        (lambda: byte_tokenizer().decode([1, 256]), ValueError, r"numbers in \[0, 256\), found 256 at position 1"),
        (lambda: byte_tokenizer().decode([-1]), ValueError, r"found -1 at position 0"),
        (lambda: byte_tokenizer(specials="<eos>"), TypeError, r"expected several texts, found '<eos>': \('<eos>',\)"),
        (lambda: byte_tokenizer(specials=("",)), ValueError, "specials: expected texts of a character or more"),
        (lambda: ByteTokenizer(("\ud800",)), ValueError, "specials: expected text that UTF-8 can write"),
        (lambda: char_tokenizer(""), ValueError, "text: expected something to learn from"),
        (lambda: char_tokenizer([]), ValueError, "text: expected something to learn from"),
        (lambda: char_tokenizer(ANY(3)), TypeError, "text: expected text, or several texts, found int"),
        (lambda: bpe_tokenizer(ANY(b"abc"), 300), TypeError, "text: expected text, or several texts, found bytes"),
        (lambda: bpe_tokenizer("abc", 255), ValueError, "size: expected at least 256"),
        (lambda: bpe_tokenizer("abc", 257, specials=SPECIALS), ValueError, "size: expected at least 259"),
        (lambda: bpe_tokenizer("abc", ANY(300.0)), ValueError, "size: expected a positive whole number, found 300.0"),
        (lambda: bpe_tokenizer("abc", 300, min_frequency=0), ValueError, "min_frequency: expected a positive"),
        (lambda: BPETokenizer([(97, 300)]), ValueError, r"merges: expected a pair of ids in \[0, 256\)"),
        (lambda: BPETokenizer([]).token(256), ValueError, r"index: expected a number in \[0, 256\), found 256"),
        (lambda: CharTokenizer("aa"), ValueError, "alphabet: expected different characters"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
