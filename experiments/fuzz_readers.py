"""What is fuzzed: for each reader of files from outside, valid files, the damage done to them, and what it may do."""

import functools
import gzip
import io
import json
import random
import struct
import tarfile
import tempfile
import types
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import jax
import numpy as np

import dlcore as dl
from dlcore.data._bounded_gzip import GzipReader
from dlcore.errors import CheckpointError, DataError
from dlcore.files import open_regular
from dlcore.train import _checkpoint
from dlcore.train._config import changes, make_config, read_arguments
from dlcore.train._first_look import NAME as LOOK
from dlcore.train._first_look import FirstLook
from dlcore.train._folder import CONFIG, read_config
from dlcore.train._saver import open_snapshot
from dlcore.train._store import Store
from experiments.fuzz_mutations import INTEGERS, damaged, damaged_json, damaged_npy, damaged_tar, in_gzip


class Reader(NamedTuple):
    """A reader under test.

    Attributes:
        name: what the table calls it.
        file: where its input is put, under the folder of the fuzzer.
        valid: files that it takes.
        damage: makes an input out of a valid file and the others.
        call: reads the file; an AssertionError says that what it gave is wrong.
        declared: the errors that its documentation names; every other one is a finding.
        prepare: what the folder needs once before the first input.
        whole: makes a valid input out of a valid file.
    """

    name: str
    file: str
    valid: Sequence[bytes]
    damage: Callable[[random.Random, bytes, Sequence[bytes]], bytes]
    call: Callable[[Path], Any]
    declared: tuple[type[Exception], ...]
    prepare: Callable[[Path], Any] = lambda folder: None
    whole: Callable[[bytes], bytes] = bytes


@functools.cache
def readers() -> dict[str, Reader]:
    """Returns all readers by name."""
    made = (
        _idx(),
        _idx_gz(),
        _gzip_stream(),
        _npy(),
        _npz(),
        _cifar(),
        _tokenizer(),
        _config(),
        _checkpoints(),
        _look(),
    )
    return {reader.name: reader for reader in made}


def _idx_files() -> list[bytes]:
    arrays = [np.arange(48, dtype=np.uint8).reshape(3, 4, 4), np.array([5, 0, 4], np.uint8), np.ones((2, 2), ">f8")]
    codes = {"u": 8, "f": 0x0E}
    return [
        struct.pack(f">HBB{array.ndim}I", 0, codes[array.dtype.kind], array.ndim, *array.shape) + array.tobytes()
        for array in arrays
    ]


def _idx_damage(rng: random.Random, data: bytes) -> bytes:
    if rng.random() < 0.6:
        return damaged(rng, data, _idx_files())
    axes = rng.choice((1, 1, 2, 3, 3, 64, 65, 255))
    lengths = [rng.choice((*range(4), rng.choice(INTEGERS) & 0xFFFFFFFF)) for _ in range(axes)]
    header = struct.pack(f">HBB{axes}I", 0, rng.choice((8, 9, 0x0B, 0x0C, 0x0D, 0x0E, 0, 255)), axes, *lengths)
    return header + bytes(rng.choice((0, 1, 2, 8, 100)))


def _read_idx(path: Path) -> None:
    array, content = dl.data.read_idx(path), path.read_bytes()
    content = gzip.decompress(content) if path.suffix == ".gz" else content
    code, axes = content[2:4]
    dtype = {8: "u1", 9: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}[code]
    assert array.shape == struct.unpack_from(f">{axes}I", content, 4)
    assert array.astype(dtype).tobytes() == content[4 + 4 * axes :], "the numbers are not those of the file"


def _idx() -> Reader:
    damage = lambda rng, data, others: _idx_damage(rng, data)
    return Reader("read_idx", "some.idx3-ubyte", _idx_files(), damage, _read_idx, (DataError,))


def _packed_or_damaged(rng: random.Random, data: bytes, inner: Callable[..., bytes], others: Sequence[bytes]) -> bytes:
    """Damage inside of gzip, or of gzip itself: else its checksum would stop all before it came to the reader."""
    if rng.random() < 0.7:
        return in_gzip(rng, inner(rng, data))
    return damaged(rng, gzip.compress(data, 1, mtime=0), [gzip.compress(one, 1, mtime=0) for one in others[:2]])


def _idx_gz() -> Reader:
    def damage(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
        data = data if rng.random() < 0.1 else others[0]  # the large one is slow to pack
        return _packed_or_damaged(rng, data, _idx_damage, others)

    valid = [*_idx_files(), struct.pack(">HBBI", 0, 8, 1, 1 << 20) + bytes(1 << 20)]  # a thousand times its size
    return Reader("read_idx, gzip", "some.idx3-ubyte.gz", valid, damage, _read_idx, (DataError,), whole=gzip.compress)


def _read_gzip(path: Path) -> None:
    with open_regular(path) as (stream, _):
        reader, found = GzipReader(path, stream, most=1 << 16), b""
        while more := reader.read(1000):
            found += more
        reader.finish()
    assert len(found) <= 1 << 16 and found == gzip.decompress(path.read_bytes())


def _gzip_stream() -> Reader:
    damage = lambda rng, data, others: _packed_or_damaged(rng, data, damaged, others)
    valid = [b"hello " * 200, random.Random(0).randbytes(3000), b"", bytes(1 << 16)]
    return Reader("bounded gzip", "some.gz", valid, damage, _read_gzip, (DataError,), whole=gzip.compress)


def _npy_of(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


_X, _Y = np.arange(12, dtype=np.float32).reshape(6, 2), np.array([0, 1, 2, 0, 1, 2])
_NPYS = [
    _npy_of(array) for array in (_X, _Y, np.asfortranarray(_X.astype(">f8")), _X.astype(np.int32), _Y[:, None] / 2)
]


def _check_dataset(dataset: Any) -> None:
    for arrays in dataset.splits.values():
        assert len(arrays["x"]) == len(arrays["y"]) > 0
        assert all(array.dtype in (np.float32, np.int32) for array in arrays.values())


def _npy() -> Reader:
    def call(path: Path) -> None:
        other = path.with_name("other.npy")
        _check_dataset(dl.data.load_arrays(path, other))
        _check_dataset(dl.data.load_arrays(other, path, name=str(path)))

    damage = lambda rng, data, others: damaged_npy(rng, data) if rng.random() < 0.6 else damaged(rng, data, others)
    prepare = lambda folder: (folder / "other.npy").write_bytes(_NPYS[1])
    return Reader("load_arrays .npy", "some.npy", _NPYS, damage, call, (DataError, TypeError, ValueError), prepare)


def _npz_of(save: Callable[..., None], **arrays: np.ndarray) -> bytes:
    out = io.BytesIO()
    save(out, **arrays)
    return out.getvalue()


def _npz() -> Reader:
    plain = _npz_of(np.savez, x=_X, y=_Y)
    splits = dict(x_train=_X, y_train=_Y, x_val=_X[:2], y_val=_Y[:2], x_test=_X[2:], y_test=_Y[2:])
    valid = [plain, _npz_of(np.savez, **splits), _npz_of(np.savez_compressed, x=_X, y=_Y)]
    npy = _npy_of(_X)

    def damage(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
        # Without its checksum, of which there are two, what is changed inside would never be read.
        if data != plain or rng.random() < 0.5:
            return damaged(rng, data, others)
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
            archive.writestr(rng.choice(("x.npy",) * 6 + ("x", "../x.npy", "z.npy")), damaged_npy(rng, npy), method)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # two of one name
                archive.writestr(rng.choice(("y.npy",) * 6 + ("x.npy", "y_test.npy")), damaged_npy(rng, _NPYS[1]))
        return out.getvalue() if rng.random() < 0.8 else damaged(rng, out.getvalue())

    call = lambda path: _check_dataset(dl.data.load_arrays(path))
    return Reader("load_arrays .npz", "some.npz", valid, damage, call, (DataError, TypeError, ValueError))


def _cifar() -> Reader:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for place in ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"):
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{place}.bin")
            member.size = 3073
            tar.addfile(member, io.BytesIO(bytes(3073)))
    inner = lambda rng, data: damaged_tar(rng, data) if rng.random() < 0.7 else damaged(rng, data)
    damage = lambda rng, data, others: _packed_or_damaged(rng, data, inner, others)

    def call(path: Path) -> None:
        _check_dataset(dl.data.cifar10(folder=path.parent, validation=1))

    return Reader(
        "cifar10", "cifar-10-binary.tar.gz", [out.getvalue()], damage, call, (DataError,), whole=gzip.compress
    )


def _json_damage(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    if rng.random() < 0.8:
        data = damaged_json(rng, data)
    return data if rng.random() < 0.8 else damaged(rng, data, others)


def _tokenizer() -> Reader:
    text = "low low low lower lowest, and the new ones are newer and newest"
    specials = ("<pad>", "<eos>")
    made = [
        dl.data.char_tokenizer(text, unknown="\ufffd", specials=specials),
        dl.data.byte_tokenizer(specials=specials),
        dl.data.bpe_tokenizer(text, 280, specials=specials),
    ]

    def call(path: Path) -> None:
        tokenizer = dl.data.Tokenizer.load(path)
        again = type(tokenizer).from_json(json.loads(json.dumps(tokenizer.to_json())))
        assert again == tokenizer and tokenizer.size > 0
        assert isinstance(tokenizer.decode(np.arange(tokenizer.size)), str)

    # Every merge doubles the token of the one before: in full, the last would have 2**61 bytes.
    bomb = made[2].to_json() | {"merges": [[97, 97], *([number, number] for number in range(256, 316))]}

    def damage(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
        return _json_damage(rng, json.dumps(bomb).encode() if rng.random() < 0.05 else data, others)

    valid = [json.dumps(one.to_json()).encode() for one in made]
    return Reader("Tokenizer.load", "tokenizer.json", valid, damage, call, (DataError,))


def _configuration() -> dict[str, Any]:
    inputs = types.SimpleNamespace(dataset=None, batch={"x": np.zeros((8, 4), np.float32), "y": np.zeros(8, np.int32)})
    setup: Any = types.SimpleNamespace(inputs=inputs, total=40, hparams={"learning_rate": 0.1})
    arguments = {
        "model": dl.models.mlp((6,), classes=3),
        "data": (_X, _Y),
        "optimizer": dl.optim.adamw(0.01, weight_decay=0.1),
        "loss": dl.losses.cross_entropy,
        "epochs": 2,
        "key": jax.random.key(3),
        "metrics": {"accuracy": dl.metrics.accuracy},
        "dtype": np.dtype(np.float32),
        "seeds": None,
    }
    return make_config(arguments, setup)


def _config() -> Reader:
    kept = _configuration()

    def call(path: Path) -> None:
        config = read_config(path.parent)
        assert config is not None
        assert all(map(_is_line, [*changes(config, kept), *changes(kept, config)]))
        assert set(read_arguments(config, {}, path.parent)) == set(config["arguments"])
        for shape, dtype in (config["batch"] or {}).values():
            np.zeros([min(length, 1) for length in shape], dtype)
        assert config["digests"]["params"] is None or isinstance(config["kind"], str)
        assert (config["total"] or 1) > 0

    return Reader("run configuration", CONFIG, [json.dumps(kept).encode()], _json_damage, call, (CheckpointError,))


def _checkpoints() -> Reader:
    arrays = {"carry/params/kernel": _X, "carry/step": np.asarray(3, np.int32), "lanes/done": np.array([3])}
    with tempfile.TemporaryDirectory() as folder:
        with Store(folder) as store:
            store.save(7, arrays, {"reasons": ["finished"]}, 0.5)
        metadata = (Path(folder) / "7" / _checkpoint.METADATA).read_bytes()
        pieces = _checkpoint._pieces(Path(folder) / "7")

    def damage(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
        if rng.random() < 0.3:
            return _json_damage(rng, data, others)
        # Somebody who writes the digests anew is not stopped by them.
        outer = json.loads(data)
        text = _json_damage(rng, outer["custom_metadata"][_checkpoint.KEY].encode(), others)
        said = text.decode("utf-8", "replace")
        outer["custom_metadata"] |= {_checkpoint.KEY: said, "digest": _checkpoint.digest(said.encode())}
        return json.dumps(outer).encode()

    def call(path: Path) -> None:
        # Orbax, some 20 ms a time, stands aside: what it gives is the same every time.
        with mock.patch.object(_checkpoint, "_pieces", lambda folder: pieces):
            snapshot = open_snapshot(path.parent.parent)
        assert snapshot is not None and all(isinstance(reason, str) for reason in snapshot.reasons)
        assert sum(array.nbytes for array in snapshot.arrays.values()) <= sum(map(len, pieces.values()))

    prepare = lambda folder: (folder / "checkpoints/7/commit_success.txt").touch()
    file = f"checkpoints/7/{_checkpoint.METADATA}"
    return Reader("checkpoint metadata", file, [metadata], damage, call, (CheckpointError,), prepare)


def _look() -> Reader:
    def call(path: Path) -> None:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            FirstLook(path.parent).look("digits", 3)
        assert len(said) == 1 and _is_line(str(said[0].message)), "one warning of one line"

    valid = [b"2026-01-31 12:00:00 UTC at step 440\n"]
    return Reader("first look at the test split", LOOK, valid, damaged, call, ())


def _is_line(text: str) -> bool:
    return len(text.splitlines()) == 1 and text.isprintable() and len(text) <= 2003
