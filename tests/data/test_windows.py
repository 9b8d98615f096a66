"""Token windows: aligned to the token, disjoint in an epoch, the same for (key, n), and read from disk by the page."""

from __future__ import annotations

import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

from dlcore.data import MappedWindows, Windows, write_tokens
from dlcore.errors import DataError

KEY = jax.random.key(0)
TOKENS = np.arange(1000, dtype=np.uint16)  # every token tells its own place


def epoch(source, number, key=KEY):
    first = number * source.steps_per_epoch
    batches = [source(key, first + step) for step in range(source.steps_per_epoch)]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in "xy"}


@pytest.mark.few(2)
@pytest.mark.parametrize(("length", "batch_size"), [(1, 10), (7, 4), (50, 19), (333, 2), (999, 1)])
def test_every_target_is_the_token_after_its_input(length, batch_size):
    batch = Windows(TOKENS, length, batch_size)(KEY, 11)
    assert batch["x"].shape == batch["y"].shape == (batch_size, length)
    assert batch["x"].dtype == batch["y"].dtype == jnp.int32
    np.testing.assert_array_equal(batch["y"], batch["x"] + 1)
    np.testing.assert_array_equal(batch["x"][:, 1:], batch["y"][:, :-1])


def test_in_an_epoch_each_token_is_predicted_once_but_for_less_than_a_window_at_either_end():
    source = Windows(TOKENS, 10, 9)  # 99 windows, 11 whole batches
    for number in range(12):
        predicted = np.sort(epoch(source, number)["y"].ravel())
        np.testing.assert_array_equal(predicted, np.arange(predicted[0], predicted[0] + 990))
        assert 1 <= predicted[0] <= 10 and predicted[-1] >= 990


def test_the_remainder_of_a_batch_is_dropped():
    source = Windows(TOKENS, 10, 10)
    assert source.steps_per_epoch == 9
    assert len(np.unique(epoch(source, 3)["y"])) == 900


def test_every_offset_has_its_turn_and_so_each_token_is_predicted_over_the_epochs():
    source = Windows(TOKENS, 10, 9)
    firsts = [int(epoch(source, number)["x"].min()) for number in range(20)]
    assert sorted(firsts[:10]) == sorted(firsts[10:]) == list(range(10))
    assert firsts[:10] != firsts[10:]
    everything = np.concatenate([epoch(source, number)["y"].ravel() for number in range(10)])
    np.testing.assert_array_equal(np.unique(everything), np.arange(1, 1000))


def test_the_offset_tells_nothing_of_the_order():
    """Ten offsets and ten windows: drawn from one permutation, the first window would be the offset."""
    firsts = [int(Windows(TOKENS, 10, 1, size=110)(jax.random.key(seed), 0)["x"][0, 0]) for seed in range(8)]
    assert any(first // 10 != first % 10 for first in firsts)


def test_epochs_and_keys_differ_and_the_same_key_and_step_give_the_same_bits():
    source = Windows(TOKENS, 10, 9)
    np.testing.assert_array_equal(source(KEY, 5)["x"], source(KEY, 5)["x"])
    assert not np.array_equal(epoch(source, 0)["x"] // 10, epoch(source, 1)["x"] // 10)
    assert not np.array_equal(source(KEY, 5)["x"], source(jax.random.key(1), 5)["x"])


@pytest.mark.slow
def test_a_step_is_the_same_alone_compiled_and_under_vmap():
    source, steps = Windows(jnp.asarray(TOKENS), 10, 9), jnp.arange(30)
    alone = np.stack([source(KEY, int(n))["y"] for n in steps])
    compiled = jax.jit(lambda source, n: source(KEY, n)["y"])
    np.testing.assert_array_equal(alone, np.stack([compiled(source, n) for n in steps]))
    np.testing.assert_array_equal(alone, jax.vmap(lambda n: source(KEY, n)["y"])(steps))


@pytest.mark.slow
def test_validation_and_train_windows_of_one_array_share_no_token():
    train, validation = Windows(TOKENS, 16, 4, size=800), Windows(TOKENS, 16, 4, start=800)
    for number in range(16):
        seen, held_out = epoch(train, number), epoch(validation, number)
        assert max(seen["x"].max(), seen["y"].max()) <= 799
        assert min(held_out["x"].min(), held_out["y"].min()) >= 800


def equations(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from equations(inner)


def test_a_step_makes_nothing_of_the_size_of_the_text():
    source = Windows(jnp.zeros(100_000, jnp.uint16), 32, 4)
    step = jax.jit(lambda source, key, n: source(key, n))
    for equation in equations(jax.make_jaxpr(step)(source, KEY, 0).jaxpr):
        assert all(variable.aval.size <= 4 * 33 for variable in equation.outvars), equation
    compiled = str(step.lower(source, KEY, 0).compile().as_text())
    entry = compiled[compiled.index("ENTRY") :]
    assert not re.search(r"= \w+\[100000\]\S* (?!parameter)", entry), entry


@pytest.mark.parametrize(
    ("tokens", "options", "error", "message"),
    [
        (TOKENS, {"length": 0}, ValueError, "length: expected at least 1, found 0"),
        (TOKENS, {"batch_size": 2.0}, TypeError, "batch_size: expected an int, found float"),
        (TOKENS, {"start": -1}, ValueError, "start: expected at least 0"),
        (TOKENS, {"size": 0}, ValueError, "size: expected at least 1"),
        (TOKENS, {"size": 1001}, ValueError, r"start \+ size = 1001 tokens .* found 1000"),
        (TOKENS, {"start": 2000}, ValueError, "at least"),
        (TOKENS, {"length": 1000}, ValueError, r"at least length \+ 1 = 1001 tokens, found 1000"),
        (TOKENS, {"batch_size": 100}, ValueError, "at most the 99 windows of 10 tokens"),
        (TOKENS[:0], {}, ValueError, "found 0"),
        (TOKENS.astype(np.float32), {}, TypeError, r"expected integer ids of shape \(N,\), found float32"),
        (TOKENS[None], {}, TypeError, r"found uint16 \(1, 1000\)"),
    ],
)
def test_windows_that_cannot_be_are_refused(tokens, options, error, message):
    with pytest.raises(error, match=message):
        Windows(tokens, **{"length": 10, "batch_size": 3, **options})(KEY, 0)


def test_batches_of_a_file_are_taken_up_where_they_were_left(tmp_path):
    write_tokens(tmp_path / "a.bin", TOKENS, "uint16")
    mapped = MappedWindows(tmp_path / "a.bin", 10, 9)
    first, second = iter(mapped), iter(mapped)
    for _ in range(5):
        next(first)
    second.set_state(first.get_state())
    np.testing.assert_array_equal(next(first)["x"], next(second)["x"])


@pytest.mark.slow
def test_each_of_several_processes_reads_its_rows(tmp_path, monkeypatch):
    write_tokens(tmp_path / "a.bin", TOKENS, "uint16")
    mapped = MappedWindows(tmp_path / "a.bin", 10, 8)
    whole = mapped.batch(0)
    monkeypatch.setattr(jax, "process_count", lambda: 4)
    for process in range(4):
        monkeypatch.setattr(jax, "process_index", lambda process=process: process)
        own = next(iter(mapped))
        for part in "xy":
            np.testing.assert_array_equal(own[part], whole[part][2 * process : 2 * process + 2])


@pytest.mark.parametrize("name", ["a.npy", "a.bin"])
@pytest.mark.parametrize("dtype", ["uint16", "int32"])
def test_a_file_gives_the_very_batches_of_memory(tmp_path, name, dtype):
    write_tokens(tmp_path / name, TOKENS, dtype)
    mapped = MappedWindows(tmp_path / name, 10, 9, key=3, dtype=dtype, start=100, size=800)
    source = Windows(TOKENS, 10, 9, start=100, size=800)
    assert mapped.steps_per_epoch == source.steps_per_epoch
    for n, found in zip(range(20), mapped, strict=False):
        expected = source(jax.random.key(3), n)
        for part in "xy":
            assert found[part].dtype == np.int32
            np.testing.assert_array_equal(found[part], expected[part])
    np.testing.assert_array_equal(mapped.batch(17)["x"], source(jax.random.key(3), 17)["x"])


def test_tokens_are_written_as_numpy_reads_them_and_piece_by_piece(tmp_path):
    write_tokens(tmp_path / "whole.npy", TOKENS)
    write_tokens(tmp_path / "pieces.npy", iter(np.split(TOKENS, [10, 10, 500])))
    write_tokens(tmp_path / "pieces.bin", iter(np.split(TOKENS, [10, 10, 500])))
    np.testing.assert_array_equal(np.load(tmp_path / "whole.npy"), TOKENS)
    assert (tmp_path / "whole.npy").read_bytes() == (tmp_path / "pieces.npy").read_bytes()
    np.testing.assert_array_equal(np.fromfile(tmp_path / "pieces.bin", "<u2"), TOKENS)
    assert len(list(tmp_path.iterdir())) == 3  # nothing temporary is left


@pytest.mark.parametrize(
    ("name", "ids", "dtype", "error", "message"),
    [
        ("a.bin", [1, 70_000], "uint16", ValueError, "from 0 to 65535 for uint16, found 1 to 70000; give a wider"),
        ("a.bin", [-1], "uint32", ValueError, "found -1 to -1"),
        ("a.bin", [0.5], "uint16", TypeError, "expected integer ids"),
        ("a.bin", [[1]], "uint16", TypeError, "expected integer ids"),
        ("a.bin", [], "uint16", ValueError, "at least one token, found none"),
        ("a.txt", [1], "uint16", ValueError, "ends in .bin or .npy, found 'a.txt'"),
        ("a.bin", [1], "unit16", ValueError, "did you mean 'uint16'"),
    ],
)
def test_ids_that_a_file_cannot_hold_are_refused_and_leave_nothing(tmp_path, name, ids, dtype, error, message):
    with pytest.raises(error, match=message):
        write_tokens(tmp_path / name, ids, dtype)
    assert not list(tmp_path.iterdir())


def test_damaged_files_of_tokens_are_refused(tmp_path):
    path = tmp_path / "a.npy"
    write_tokens(path, TOKENS)
    content = path.read_bytes()
    for damaged, message in [
        (content[:-1], "expected 2128 bytes for the 1000 ids that its header tells of, found 2127"),
        (content + b"\0", "found 2129"),
        (content[:50], "found no header of one"),
        (b"", "found no header of one"),
        (content.replace(b"<u2", b"<f2"), "expected integer ids of shape"),
        (content.replace(b"(1000,)", b"(25,40)"), "expected integer ids of shape"),
        (content.replace(b"(1000,), }        ", b"(9999999999999,), "), "found"),
    ]:
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=message):
            MappedWindows(path, 10, 9)
    odd = tmp_path / "a.bin"
    odd.write_bytes(b"123")
    with pytest.raises(DataError, match=r"positive multiple of 2 bytes \(uint16\), found 3"):
        MappedWindows(odd, 1, 1)
    with pytest.raises(DataError, match="found nothing there"):
        MappedWindows(tmp_path / "absent.bin", 1, 1)
    (tmp_path / "folder.bin").mkdir()
    with pytest.raises(DataError, match="found a folder"):
        MappedWindows(tmp_path / "folder.bin", 1, 1)


def test_an_id_out_of_the_vocabulary_is_named_where_it_is_read(tmp_path):
    path = tmp_path / "a.bin"
    write_tokens(path, np.where(TOKENS == 500, 9999, 5))
    mapped = MappedWindows(path, 10, 9, vocabulary=100)
    with pytest.raises(DataError, match=r"a\.bin: expected ids from 0 to 99, found 9999 at token 500"):
        [mapped.batch(n) for n in range(mapped.steps_per_epoch)]
    with pytest.raises(ValueError, match="found -1"):
        mapped.batch(-1)
    with pytest.raises(ValueError, match="at most the 99 windows"):
        MappedWindows(path, 10, 100)
    with pytest.raises(ValueError, match=r"start \+ size = 1001 tokens, found 1000"):
        MappedWindows(path, 10, 1, start=1, size=1000)


@pytest.mark.slow
def test_a_file_far_larger_than_what_is_read_of_it_takes_no_memory(tmp_path):
    resource = pytest.importorskip("resource")  # not on Windows
    path = tmp_path / "sparse.bin"
    with open(path, "wb") as file:
        file.truncate(8 << 30)  # 4 Gi tokens, more than int32 counts; no room on disk
    mapped = MappedWindows(path, 128, 8)
    mapped.batch(0)
    unit = 1 if sys.platform == "darwin" else 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    for n in range(20):
        assert not mapped.batch(n)["x"].any()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before < 100 << 20


def test_tokens_behind_what_int32_counts_are_the_right_ones(tmp_path):
    path, start = tmp_path / "sparse.bin", 2**31 + 5
    with open(path, "wb") as file:
        file.seek(2 * start)
        file.write(TOKENS.tobytes())
    found = MappedWindows(path, 10, 9, start=start).batch(7)
    np.testing.assert_array_equal(found["x"], Windows(TOKENS, 10, 9)(KEY, 7)["x"])


@pytest.mark.slow
def test_fit_trains_on_windows_in_memory_and_on_disk_alike(tmp_path):
    import dlcore as dl
    from dlcore.layers import embed

    tokens = TOKENS % 7
    write_tokens(tmp_path / "a.npy", tokens)
    model = dl.serial(embed(7, 8), dl.dense(7))
    losses = []
    for data in (Windows(tokens, 10, 9), MappedWindows(tmp_path / "a.npy", 10, 9)):
        run = dl.fit(model, data, loss=dl.losses.cross_entropy, optimizer=dl.optim.adam(0.1), steps=40)
        losses.append(float(run.metrics["loss"][-1]))
    assert max(losses) < 0.1  # the next token follows from the last
