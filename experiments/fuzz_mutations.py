"""Damage for files: of bytes anywhere, of JSON by its tree, of `.npy` and tar by their headers, gzip around it."""

import json
import random
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any

Damage = Callable[[random.Random, bytes], bytes]

INTEGERS = (0, 1, 2, 3, 7, 8, 64, 127, 128, 255, 256, 4096, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)
TEXTS = ("", "\n", "a\nb\r\u2028c", "\0", "\ud800", "\x1b[31m", "../..", "é", "x" * 5000, "NaN", "1e400", "None", "-1")
NUMBERS = (0, 1, -1, 2, 0.5, -0.0, 1e308, float("nan"), float("inf"), -(2**31), 2**31, 2**53 + 1, 2**63, 2**64, 10**300)
_FORMS = (  # of values, true and not, as a run's configuration has them
    {"recipe": "dlcore.layers.dense", "arguments": {"features": 3}},
    {"recipe": "dlcore.layers.dense", "arguments": {"features": "x", "a\nb": 1}},
    {"recipe": "dlcore.models.mlp", "arguments": {"features": {"tuple": [10**12]}, "classes": 10**12}},
    {"recipe": "os.system", "arguments": {"command": "false"}},
    {"recipe": "dlcore.json_form.os.system", "arguments": {}},
    {"recipe": "dlcore.train.fit", "arguments": {}},
    {"recipe": "dlcore.", "arguments": {}},
    {"function": "dlcore.losses.mse"},
    {"function": "dlcore.data.iris"},
    {"function": "dlcore.\0"},
    {"array": [1, 2], "dtype": "S2000000000"},
    {"array": [1, 2], "dtype": "(1000,1000,1000)f8"},
    {"array": [[1], 2], "dtype": "float32"},
    {"array": {"a": 1}, "dtype": "object"},
    {"dtype": "bfloat16"},
    {"dtype": "a\nb"},
    {"key": [1, 2], "impl": "threefry2x32"},
    {"key": [1, 2, 3], "impl": "threefry2x32"},
    {"key": [-1, 2], "impl": "a\nb"},
    {"tuple": 1},
    {"opaque": "a\nb"},
)
_DEEP, _LONG = "@deep@", "@long@"  # replaced in the text: json itself refuses to write them


def damaged(rng: random.Random, data: bytes, others: Sequence[bytes] = (b"",)) -> bytes:
    """Returns the bytes with one to four edits: bits, fields of length, cuts, repeats, pieces of other files."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        data = rng.choice(_EDITS)(rng, data) if rng.random() < 0.9 else _spliced(rng, data, rng.choice(others))
    return data


def in_gzip(rng: random.Random, data: bytes) -> bytes:
    """Returns gzip of the bytes, now and then with a wrong trailer, header fields, members behind or an early end."""
    level = rng.choice((0, 1, 1, 9))
    squeeze = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = squeeze.compress(data) + squeeze.flush()
    flags, fields = 0, b""
    if rng.random() < 0.1:
        flags = rng.randrange(256)
        fields = rng.choice((b"name\0", b"\2\0ab", b"\xff\xff", b"", b"n" * 3000))
    checksum, length = zlib.crc32(data), len(data) & 0xFFFFFFFF
    if rng.random() < 0.1:
        checksum, length = rng.choice(((0, length), (checksum, length + 1), (checksum, 0)))
    packed = b"\x1f\x8b\x08" + bytes([flags]) + b"\0\0\0\0\0\xff" + fields + body + struct.pack("<II", checksum, length)
    match rng.randrange(20):
        case 0:
            return packed + packed
        case 1:
            return packed + rng.choice((b"\0", b"\0" * 512, b"\x1f", b"\x1f\x8b", b"garbage"))
        case 2:
            return packed[: rng.randrange(len(packed))]
    return packed


def damaged_json(rng: random.Random, data: bytes) -> bytes:
    """Returns JSON of another tree: values replaced, left out, renamed, exchanged or nested, then perhaps cut."""
    root = [json.loads(data)]
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = _places(root)
        holder, place = rng.choice(places)
        match rng.randrange(8):
            case 0 | 1 | 2:
                holder[place] = odd(rng)
            case 3 if holder is not root:
                del holder[place]
            case 4 if isinstance(holder, dict):
                holder[str(rng.choice((*TEXTS, *holder)))] = holder[place]
            case 5:
                other, there = rng.choice(places)
                holder[place] = json.loads(json.dumps(other[there]))
            case 6:
                holder[place] = rng.choice(([holder[place]], {"dict": holder[place]}, {"tuple": [holder[place]]}))
            case _ if isinstance(holder, list) and holder is not root:
                holder.insert(place, rng.choice((odd(rng), holder[place])))
    text = json.dumps(root[0], ensure_ascii=rng.random() < 0.7, allow_nan=True)
    deep = rng.choice((20, 500, 2000, 100_000))
    text = text.replace(f'"{_DEEP}"', rng.choice(("[", '{"dict":')) * deep + "0")
    text = text.replace(f'"{_LONG}"', "9" * 5000)
    return text.encode("utf-8", "surrogatepass")


def odd(rng: random.Random) -> Any:
    """Returns a JSON value that nobody expects."""
    kind = rng.randrange(7)
    if kind == 0:
        return rng.choice((None, True, False, [], {}, [[]], [None], {"": None}, _DEEP, _LONG))
    if kind == 1:
        return rng.choice(NUMBERS)
    if kind == 2:
        return rng.choice(TEXTS)
    if kind == 3:
        return json.loads(json.dumps(rng.choice(_FORMS)))
    return rng.choice((rng.randrange(-5, 300), rng.random(), [rng.choice(NUMBERS)] * rng.randrange(4)))


def damaged_npy(rng: random.Random, data: bytes) -> bytes:
    """Returns a `.npy` file whose header says something else, its length right or not."""
    if not data.startswith(b"\x93NUMPY\1\0"):
        return damaged(rng, data)
    (length,) = struct.unpack_from("<H", data, 8)
    header, body = data[10 : 10 + length].decode("latin1"), data[10 + length :]
    for _ in range(rng.choice((1, 1, 2))):
        old, new = rng.choice(_NPY_EDITS)
        header = header.replace(old, new, 1) if old else f"{header.rstrip()}{new}\n"
    if rng.random() < 0.5:
        start = header.find("(") + 1
        shape = ", ".join(str(rng.choice(INTEGERS)) for _ in range(rng.choice((0, 1, 2, 3, 65)))) + ","
        header = header[:start] + shape + header[max(start, header.find(")")) :]
    said = len(header) if rng.random() < 0.9 else rng.choice(INTEGERS) & 0xFFFF
    version = rng.choice((1, 1, 1, 1, 2, 3, 0, 255))
    packed = struct.pack("<I" if version == 2 else "<H", said & 0xFFFF)
    if rng.random() < 0.3:
        body = rng.choice((body[: rng.randrange(len(body) + 1)], body * 2, b"", bytes(4096)))
    return b"\x93NUMPY" + bytes([version, 0]) + packed + header.encode("utf-8", "replace") + body


def damaged_tar(rng: random.Random, data: bytes) -> bytes:
    """Returns a tar archive with headers that say something else and have right checksums, or headers put between."""
    blocks = [place for place in range(0, len(data), 512) if data[place + 257 : place + 262] == b"ustar"]
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        place = rng.choice(blocks)
        start, length = rng.choice(
            ((0, 100), (100, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8), (345, 155))
        )
        octal = f"{rng.choice(INTEGERS):o}"[-11:].encode() + b"\0"
        large = b"\x80" + rng.choice(INTEGERS).to_bytes(11, "big")
        content = rng.choice(
            (octal, large, b"\xff" * 12, b"-1\0", b"..\0", b"/a\0", rng.randbytes(length), b"", b"a\nb\0")
        )
        if start == 156:
            content = rng.choice(
                (b"0", b"\0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"L", b"K", b"S", b"x", b"g", b"X")
            )
        out[place + start : place + start + length] = content[:length].ljust(length, b"\0")
        out[place + 148 : place + 156] = b" " * 8
        out[place + 148 : place + 156] = b"%06o\0 " % sum(out[place : place + 512])
    if rng.random() < 0.3:
        place = rng.choice(blocks)
        out[place:place] = _tar_extra(rng) * rng.choice((1, 1, 2, 70, 400))
    return bytes(out)


def _tar_extra(rng: random.Random) -> bytes:
    kind = rng.choice(b"xgXLKS5012")
    content = rng.choice(
        (
            *(b"%d %s\n" % (len(pair) + 4, pair) for pair in (b"size=9", b"size=-1", b"path=a\nb", b"path=../a")),
            b"28 GNU.sparse.major=1\n99999 ",
            b"21 GNU.sparse.map=0,1\n",
            b"26 GNU.sparse.size=9999999\n",
            b"999999999999999999999999 a=b\n",
            b"0 a=b\n",
            b"n" * rng.choice((1, 600, 5000)),
            b"18 hdrcharset=BINARY\n",
            b"",
        )
    )
    size = rng.choice((len(content), len(content), rng.choice(INTEGERS) & 0o7777777777))
    header = bytearray(
        b"extra".ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + b"%011o\0" % size + b"0" * 11 + b"\0"
    )
    header += b" " * 8 + bytes([kind]) + bytes(100) + b"ustar\00000"
    header = header.ljust(512, b"\0")
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + content + bytes(-len(content) % 512)


def _place(rng: random.Random, data: bytes) -> int:
    """Headers are short and in front, the directory of a zip at the end: half of the edits go there."""
    if not data:
        return 0
    near = min(len(data), 64)
    return rng.choice((rng.randrange(near), len(data) - 1 - rng.randrange(near), *(rng.randrange(len(data)),) * 2))


def _flip(rng: random.Random, data: bytes) -> bytes:
    place = _place(rng, data)
    return data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :] if data else b"\0"


def _byte(rng: random.Random, data: bytes) -> bytes:
    place = _place(rng, data)
    return data[:place] + bytes([rng.choice((0, 1, 255, 128, 10, 34, rng.randrange(256)))]) + data[place + 1 :]


def _field(rng: random.Random, data: bytes) -> bytes:
    place, size = _place(rng, data), rng.choice((2, 4, 4, 8))
    value = rng.choice(INTEGERS) + rng.choice((0, 0, -1, 1))
    field = (value % 2 ** (8 * size)).to_bytes(size, rng.choice(("little", "big")))
    return data[:place] + field + data[place + size :]


def _cut(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _without(rng: random.Random, data: bytes) -> bytes:
    place = _place(rng, data)
    return data[:place] + data[place + rng.choice((1, 2, 4, 16, 512)) :]


def _again(rng: random.Random, data: bytes) -> bytes:
    place = _place(rng, data)
    return data[:place] + data[place : place + rng.choice((1, 4, 16, 512))] * rng.choice((2, 2, 10)) + data[place:]


def _longer(rng: random.Random, data: bytes) -> bytes:
    return data + rng.choice((b"\0", bytes(600), rng.randbytes(rng.randrange(64)), data[:1000]))


def _noise(rng: random.Random, data: bytes) -> bytes:
    place, size = _place(rng, data), rng.randrange(1, 40)
    return data[:place] + rng.randbytes(size) + data[place + size :] if rng.random() < 0.9 else rng.randbytes(size * 8)


_EDITS = (_flip, _flip, _byte, _byte, _field, _field, _cut, _without, _again, _longer, _noise)


def _spliced(rng: random.Random, data: bytes, other: bytes) -> bytes:
    return data[: _place(rng, data)] + other[_place(rng, other) :]


def _places(tree: Any) -> list[tuple[Any, Any]]:
    found, waiting = [], [tree]
    while waiting:
        one = waiting.pop()
        for place in one if isinstance(one, dict) else range(len(one)):
            found.append((one, place))
            if isinstance(one[place], dict | list):
                waiting.append(one[place])
    return found


_NPY_TYPES = ("'>f4'", "'<f8'", "'|O'", "'<U3'", "'|V4'", "[('a','<f4')]", "'<f16'", "'c8'", "'f'", "'>u8'", "'<i4'")
_NPY_TYPES += ("'|b1'", "'<m8[s]'", "'|S99999999999'", "None", "'a\\nb'", "(2,)")
_NPY_FLAGS = ("True", "1", "None", "False, 'more': 1", "[" * 200, "__import__('os')", "0x" + "9" * 5000)
_NPY_EDITS = (
    *((f"'{known}'", said) for known in ("<f4", "<i8", ">f8") for said in _NPY_TYPES),
    *(("False", said) for said in _NPY_FLAGS),
    *(
        ("(", said)
        for said in (
            "(-1, ",
            "(True, ",
            "(10**9, ",
            "[",
            "((",
            "(1.0, ",
            "(0x" + "f" * 5000 + ", ",
            "(0, 0x" + "f" * 16 + ", ",
            "('a', ",
        )
    ),
    *(("", ")"), ("", "\0"), ("", " " * 9000), ("'shape'", "'shape\n'"), ("{", "["), (":", ""), ("descr", "fields")),
)
