"""An iterator is read ahead in a thread, its cursor is in the checkpoint, and a loader that stalls is seen."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from typing import Any

import jax
import numpy as np
import pytest

import dlcore as dl
from dlcore.errors import CheckpointError
from dlcore.train import _progress, _shortage
from dlcore.train._prefetch import Prefetcher
from dlcore.train._snapshot import Snapshot
from dlcore.train._store import Store
from dlcore.train._stream import STACK, STATE, Stream
from tests.compiles import counting

LINE = dl.models.linear()


def batch_of(n, size=4):
    x = np.random.default_rng(n).normal(size=(size, 2)).astype(np.float32)
    return x, x[:, :1]


def batches(count, start=0):
    return (batch_of(n) for n in range(start, count))


def fit(data, **options):
    return dl.fit(LINE, data, **({"progress": False, "optimizer": dl.optim.adam(0.01)} | options))


def assert_same_run(one, other):
    jax.tree.map(np.testing.assert_array_equal, (one.params, one.state), (other.params, other.state))
    plain = [
        jax.tree.map(np.asarray, run.final.replace(key=jax.random.key_data(run.final.key))) for run in (one, other)
    ]
    jax.tree.map(np.testing.assert_array_equal, *plain)
    np.testing.assert_array_equal(one.metrics["loss"], other.metrics["loss"])


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "dlcore-prefetch"]


class Loader:
    """As Grain's: gives iterators whose state is the number of batches that they have given."""

    def __init__(self, count=1000, break_at=None):
        self.count, self.break_at, self.given = count, break_at, []

    def __iter__(self):
        return Cursor(self)


class Cursor:
    def __init__(self, loader):
        self.loader, self.next_index = loader, 0

    def __iter__(self):
        return self

    def __next__(self):
        if self.next_index == self.loader.break_at:
            raise OSError("the disk is gone")
        if self.next_index >= self.loader.count:
            raise StopIteration
        self.next_index += 1
        self.loader.given.append(self.next_index - 1)
        return batch_of(self.next_index - 1)

    def get_state(self):
        return {"next": self.next_index}

    def set_state(self, state):
        self.next_index = state["next"]


# --- reading ahead ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefetch", [0, 1, 2, 5])
def test_reading_ahead_changes_no_bit(prefetch):
    x, y = (np.stack(parts) for parts in zip(*batches(100), strict=True))
    source = dl.data.Stacked({"x": x, "y": y})
    whole = fit(source, steps=100)
    assert_same_run(fit(batches(1000), steps=100, prefetch=prefetch), whole)
    assert_same_run(fit(batches(100), prefetch=prefetch), whole)
    dicts = (dict(zip("xy", batch, strict=True)) for batch in batches(100))
    assert_same_run(fit(dicts, prefetch=prefetch), whole)


def test_a_loader_works_while_the_chunks_do():
    asleep, given = 0.0, 0

    def slow():
        nonlocal asleep, given
        for n in range(5 * STACK):
            began = time.perf_counter()
            time.sleep(0.005)
            asleep += time.perf_counter() - began
            given += 1
            yield batch_of(n)

    class Busy(_progress.Silent):
        def update(self, step, values):
            wait_until(lambda: given >= min(step + STACK, 5 * STACK))  # a chunk as long as a stack takes to load
            time.sleep(0.01)

    loop = train_with(slow(), Busy())
    assert loop.done == 5 * STACK
    assert 0 < loop.wait_seconds < asleep / 2  # the first of five stacks has nothing to hide behind


def train_with(data, show, **options):
    """Returns the loop of a run with a display of the test's own."""
    from dlcore.train._session import DEFAULTS, make_ready
    from dlcore.train._signals import Interrupt

    ready = make_ready({**DEFAULTS, "model": LINE, "data": data, **options})
    with Interrupt() as interrupt:
        loop = ready.loop(show, interrupt)
        loop.begin(ready.keys, ready.values)
        loop.train()
    return loop


def test_no_batch_after_the_end_of_the_run_is_asked_for():
    loader = Loader()
    assert fit(loader, steps=70).final.step == 70
    assert loader.given == list(range(70))


def test_no_more_than_the_stacks_asked_for_are_read_ahead():
    loader = Loader()
    ahead = Prefetcher(Stream(loader), jax.device_put, 0, None, 2)
    try:
        wait_until(lambda: len(loader.given) == 2 * STACK)
        time.sleep(0.1)
        assert len(loader.given) == 2 * STACK
        assert ahead.take() is not None
        wait_until(lambda: len(loader.given) == 3 * STACK)
    finally:
        ahead.close()


def test_what_is_read_ahead_is_on_the_device():
    ahead = Prefetcher(Stream(Loader(STACK)), jax.device_put, 0, None, 2)
    taken = [ahead.take() for _ in range(3)]
    ahead.close()
    assert [one and one.count for one in taken] == [STACK, 0, 0]  # and so for ever
    x = taken[0] and taken[0].source.arrays["x"]
    assert isinstance(x, jax.Array) and x.shape == (STACK, 4, 2)


def test_the_thread_reads_under_the_settings_of_the_one_that_trains():
    seen = set()
    config: Any = jax.config

    def watched():
        for n in range(70):
            seen.add((config.jax_enable_x64, config.jax_default_device))
            yield batch_of(n)

    with jax.enable_x64(True), jax.default_device(jax.devices()[0]):
        fit(watched())
    assert seen == {(True, jax.devices()[0])}


def rows_of_one_thread():
    with sqlite3.connect(":memory:") as connection:
        connection.execute("create table numbers (x real)")
        connection.executemany("insert into numbers values (?)", [(float(n),) for n in range(4 * 40)])
        cursor = connection.execute("select x from numbers")
        while found := cursor.fetchmany(4):
            yield np.array(found, np.float32), np.array(found, np.float32)
    connection.close()


def test_an_iterator_that_belongs_to_its_thread_is_read_there():
    assert fit(rows_of_one_thread(), prefetch=0).final.step == 40
    run = fit(rows_of_one_thread(), steps=10, prefetch=0).resume(steps=20, prefetch=0)
    assert run.final.step == 20 and run.fork(steps=40, prefetch=0).final.step == 40


@pytest.mark.parametrize("prefetch", [-1, 1.5, True, "two", None])
def test_a_prefetch_that_is_no_number_of_stacks_is_refused(prefetch):
    with pytest.raises(ValueError, match="prefetch: expected a whole number from 0 on"):
        fit(batches(3), prefetch=prefetch)


def test_another_iterator_and_a_short_last_stack_compile_nothing():
    fit(batches(64))
    with counting() as compiles:
        for count, prefetch in ((3, 2), (64, 0), (70, 1)):
            fit(batches(count), prefetch=prefetch)
    assert compiles.traces == compiles.backend == 0, compiles


# --- errors, interrupts, the end -------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("at", [0, 1, 40, 64])
def test_an_error_of_the_loader_comes_out_with_the_number_of_the_batch(at, prefetch):
    with pytest.raises(OSError, match="the disk is gone") as caught:
        fit(Loader(break_at=at), prefetch=prefetch)
    assert caught.value.__notes__ == [f"raised by the iterator of `data`, when it was asked for batch {at}"]


def test_an_exit_in_the_loader_is_an_exit():
    def leaves():
        yield batch_of(0)
        raise SystemExit(3)

    with pytest.raises(SystemExit, match="3"):
        fit(leaves())


def test_a_run_that_stops_by_itself_leaves_no_thread():
    def poisoned():
        for n in range(1000):
            x, y = batch_of(n)
            yield (x * np.float32(np.nan) if n == 40 else x), y

    assert fit(poisoned()).stopped == "non-finite at step 40"


def test_an_error_in_the_middle_of_a_run_leaves_no_thread(monkeypatch):
    def update(self, step, values):
        raise RuntimeError("the display is gone")

    monkeypatch.setattr(_progress.Silent, "update", update)
    with pytest.raises(RuntimeError, match="the display is gone"):
        fit(batches(1000))


def test_an_interrupt_ends_a_run_whose_loader_hangs():
    go, began = threading.Event(), []

    def hangs():
        yield from batches(70)
        began.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)
        go.wait(20)

    try:
        run = fit(hangs())
        took = time.monotonic() - began[0]
    finally:
        go.set()
        wait_until(lambda: not any(thread.name == "dlcore-prefetch" for thread in threading.enumerate()))
    assert run.stopped == "interrupted" and took < 3  # a second, but for what a busy machine adds
    assert run.final.step in (0, 32, 64)  # whole stacks that had come before
    if run.final.step:
        np.testing.assert_array_equal(run.metrics["loss"], fit(batches(int(run.final.step))).metrics["loss"])


# --- waiting is seen -------------------------------------------------------------------------------------------------


def test_a_loader_that_stalls_is_seen_while_it_does(monkeypatch, capsys):
    monkeypatch.setattr(_shortage, "STALL", 0.2)
    monkeypatch.setattr(_progress, "REPEAT", 0.3)

    def stalls():
        yield from batches(32)
        time.sleep(0.8)
        yield from batches(40, 32)

    run = fit(stalls(), progress="lines")
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("waiting for data, ")]
    assert 1 <= len(lines) <= 3 and lines[0] in ("waiting for data, 0 s", "waiting for data, 1 s")
    assert run.wait_seconds > 0.5 and "waiting for data)" in run.headline()


def test_a_loader_that_is_quick_is_not_spoken_of(capsys):
    run = fit(iter(list(batches(64))), progress="lines")
    assert "waiting" not in capsys.readouterr().out and run.wait_seconds < run.run_seconds


def test_waiting_is_told_as_a_share_of_the_time_since_the_last_report():
    now = 0.0
    shortage = _shortage.Shortage(lambda: now)
    shortage.add(0.35)
    now = 0.5
    assert shortage.said() == ""  # too early to tell
    now = 1.0
    assert shortage.said() == "waiting for data 35 %"
    now = 1.5
    assert shortage.said() == "waiting for data 35 %"
    now = 3.0
    shortage.add(0.2)
    assert shortage.said() == ""  # a tenth is not worth a word
    shortage.add(9.0)
    shortage.restart()
    now = 4.0
    assert shortage.said() == ""


def test_plain_lines_tell_the_share_and_a_stall_every_ten_seconds(monkeypatch, capsys):
    clock = iter([0.0, 0.0, *np.arange(1, 100.0)])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    lines = _progress.Lines()
    lines._shortage = _shortage.Shortage(time.perf_counter)
    lines.start(64, None)
    for seconds in np.arange(0, 27, 0.05):
        lines.stalled(seconds)
    lines.waited(27.0)
    for seconds in (1.0, 6.0):
        lines.stalled(seconds)
    lines.update(32, {})
    told = capsys.readouterr().out.splitlines()
    assert [line for line in told if line.startswith("waiting for data, ")] == [
        "waiting for data, 5 s",
        "waiting for data, 15 s",
        "waiting for data, 25 s",
        "waiting for data, 6 s",
    ]
    assert told[-1].startswith("step 32/64") and told[-1].endswith("waiting for data 100 %")


def test_a_bar_says_that_nothing_comes():
    bar = _progress.Bar()
    with bar:
        bar.start(64, None)
        bar.stalled(4.0)
        assert bar._bar.tasks[0].fields["text"] == ""
        bar.stalled(12.3)
        assert bar._bar.tasks[0].fields["text"] == "waiting for data, 12 s"


def test_a_notebook_cell_says_that_nothing_comes(monkeypatch):
    shown = []
    cell = _progress.Cell()
    monkeypatch.setattr(
        cell, "_line", type("Line", (), {"update": lambda self, data, raw: shown.extend(data.values())})()
    )
    with cell:
        cell.start(64, None)
        for seconds in (1.0, 12.2, 12.3, 13.0):
            cell.stalled(seconds)
    assert shown == ["compiling ...", "waiting for data, 12 s", "waiting for data, 13 s", ""]


def test_the_time_is_in_the_results(tmp_path):
    import json

    run = fit(batches(40), out=tmp_path / "run")
    found = json.loads((tmp_path / "run" / "results.json").read_text())
    assert found["wait_seconds"] == run.wait_seconds > 0


# --- cursors ---------------------------------------------------------------------------------------------------------


class Again:
    """Batches that can be read any number of times, without a state."""

    def __init__(self, break_at=None):
        self.break_at = break_at

    def __iter__(self):
        for n in range(1000):
            if n == self.break_at:
                raise OSError("the disk is gone")
            yield batch_of(n)


def generator(break_at=None):
    return iter(Again(break_at))


class Examples:
    """A source of Grain: records by number."""

    def __init__(self, break_at=None):
        self.break_at, self.left = break_at, 0

    def __len__(self):
        return 60

    def __getitem__(self, n):
        if self.break_at is not None:
            self.left += 1
            if self.left > self.break_at * 2:
                raise OSError("the disk is gone")
        x = np.random.default_rng(int(n)).normal(size=2).astype(np.float32)
        return {"x": x, "y": x[:1]}

    def __repr__(self):
        return "Examples()"  # Grain compares it with that of the state


def grain_loader(break_at=None):
    grain = pytest.importorskip("grain")
    sampler = grain.samplers.IndexSampler(60, shuffle=True, seed=0, num_epochs=None)
    operations = [grain.transforms.Batch(2, drop_remainder=True)]
    return grain.DataLoader(
        data_source=Examples(break_at),
        sampler=sampler,
        operations=operations,
        worker_count=0,
        read_options=grain.ReadOptions(num_threads=0),  # or it meets the break long before it is due
    )


def grain_pipeline(break_at=None):
    grain = pytest.importorskip("grain")
    data = grain.MapDataset.source(Examples(break_at)).seed(0).shuffle().repeat().batch(2)
    return data.to_iter_dataset(grain.ReadOptions(num_threads=0))


def grain_iterator(break_at=None):
    return iter(grain_pipeline(break_at))


def grain_windows(break_at=None):
    """A pipeline whose state is nested: shuffled in a window, batched afterwards."""
    grain = pytest.importorskip("grain")
    data = grain.MapDataset.source(Examples(break_at)).repeat().to_iter_dataset(grain.ReadOptions(num_threads=0))
    return grain.experimental.WindowShuffleIterDataset(data, window_size=20, seed=1).batch(2)


def loader(break_at=None):
    return Loader(break_at=break_at)


KINDS = [loader, Again, generator, grain_loader, grain_pipeline, grain_iterator, grain_windows]


@pytest.mark.slow
@pytest.mark.parametrize("make", KINDS)
def test_a_run_whose_loader_broke_goes_on_to_the_same_bits(make, tmp_path):
    whole = fit(make(), steps=320)
    with pytest.raises(OSError, match="the disk is gone"):
        fit(make(break_at=300), steps=320, out=tmp_path / "run", save_every=1)
    assert Store(tmp_path / "run" / "checkpoints").steps() == [256]
    run = fit(make(), steps=320, out=tmp_path / "run", resume=True)
    assert run.stopped == "finished"
    assert_same_run(run, whole)


@pytest.mark.parametrize("make", KINDS)
def test_a_run_goes_on_in_the_same_process(make):
    whole, data = fit(make(), steps=100), make()
    assert_same_run(fit(data, steps=40).resume(steps=100), whole)


@pytest.mark.slow
def test_the_cursor_is_that_of_the_last_batch_which_was_trained_on(tmp_path):
    """Not that of the batches which were read ahead."""
    data = Loader()

    def update(self, step, values):
        wait_until(lambda: len(data.given) >= step + 2 * STACK)  # the thread is ahead by now
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_progress.Silent, "update", update)
        run = fit(data, steps=1000, out=tmp_path / "run")
    assert run.stopped == "interrupted" and run.final.step == STACK and len(data.given) >= 3 * STACK
    cursor = Store(tmp_path / "run" / "checkpoints").load().arrays[STATE]
    assert cursor.tobytes() == b'json:{"next": 32}'
    later = Loader()
    assert_same_run(fit(later, steps=100, out=tmp_path / "run", resume=True), fit(Loader(), steps=100))
    assert later.given == [0, *range(32, 100)]  # the first, for its shapes; and no batch that was trained on


def test_a_run_that_was_interrupted_before_its_first_step_goes_on_from_where_its_iterator_was():
    data = iter(Loader())
    for _ in range(7):
        next(data)

    class Stops(_progress.Silent):
        def start(self, total, steps_per_epoch, done=0):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_progress.Silent, "start", Stops.start)
        run = fit(data, steps=40)
    assert run.stopped == "interrupted" and run.final.step == 0
    assert_same_run(run.resume(), fit(batches(1000, 7), steps=40))


def test_a_generator_that_was_read_too_far_cannot_go_back():
    def update(self, step, values):
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_progress.Silent, "update", update)
        run = fit(batches(1000), steps=1000)
        same = fit(batches(1000), steps=1000, prefetch=0)
    with pytest.raises(ValueError, match="batches have been read already, and the run goes on after 32.*give it anew"):
        run.resume()
    assert_same_run(same.resume(steps=100), fit(batches(100)))


def test_a_state_that_json_cannot_say_is_not_kept_and_the_batches_are_counted(tmp_path):
    class Odd(Cursor):
        def get_state(self):
            return {0: self.next_index}

    class Loads(Loader):
        def __iter__(self):
            return Odd(self)

    fit(Loads(), steps=40, out=tmp_path / "run")
    assert STATE not in Store(tmp_path / "run" / "checkpoints").load().arrays
    run = fit(Loads(), steps=80, out=tmp_path / "run", resume=True)
    assert_same_run(run, fit(Loads(), steps=80))


def test_a_state_of_bytes_is_kept_as_it_is(tmp_path):
    class Binary(Cursor):
        def get_state(self):
            return b"\x00\xff" + bytes([self.next_index])

        def set_state(self, state):
            assert isinstance(state, bytes) and state[:2] == b"\x00\xff"
            self.next_index = state[2]

    class Loads(Loader):
        def __iter__(self):
            return Binary(self)

    fit(Loads(), steps=40, out=tmp_path / "run")
    later = Loads()
    assert_same_run(fit(later, steps=80, out=tmp_path / "run", resume=True), fit(Loads(), steps=80))
    assert later.given == [0, *range(40, 80)]


def test_a_state_that_the_iterator_refuses_is_an_error_that_says_whose(tmp_path):
    class Strict(Cursor):
        def set_state(self, state):
            raise ValueError("another sampler")

    class Loads(Loader):
        def __iter__(self):
            return Strict(self)

    fit(Loads(), steps=40, out=tmp_path / "run")
    with pytest.raises(ValueError, match="another sampler") as caught:
        fit(Loads(), steps=80, out=tmp_path / "run", resume=True)
    assert caught.value.__notes__ == ["raised by `set_state` of `data`, with the state that the checkpoint holds"]


def test_a_damaged_cursor_is_an_error():
    with pytest.raises(CheckpointError, match="stream/state is damaged"):
        Stream(Loader()).seek(3, np.frombuffer(b"nothing", np.uint8))


def test_a_run_of_a_state_goes_on_with_batches_that_have_none(tmp_path):
    fit(Loader(), steps=40, out=tmp_path / "run")
    run = fit(batches(1000), steps=80, out=tmp_path / "run", resume=True, allow_changes=True)
    assert_same_run(run, fit(batches(80)))
    assert STATE not in Store(tmp_path / "run" / "checkpoints").load().arrays


def test_lanes_share_the_cursor():
    runs, whole = fit(Loader(), steps=40, seeds=2), fit(Loader(), steps=80, seeds=2)
    assert_same_run(runs.resume(steps=80), whole)
    assert_same_run(runs.lane(1).resume(steps=80), whole.lane(1))


def test_a_lane_that_stopped_early_has_no_cursor_as_its_batches_are_earlier_ones():
    rows = {"lanes/done": np.array([10, 4]), "lanes/finite": np.array([True, True])}
    cursor = {STATE: np.frombuffer(b'json:{"next": 10}', np.uint8)}
    snapshot = Snapshot(10, rows | cursor, ("", "patience"))
    running, stopped = (snapshot.lanes(np.array([lane]), lone=True) for lane in (0, 1))
    assert running.step == 10 and running.arrays[STATE].tobytes() == cursor[STATE].tobytes()
    assert stopped.step == 4 and STATE not in stopped.arrays


def test_a_checked_run_is_verified_from_its_cursors(tmp_path):
    fit(Loader(), steps=600, out=tmp_path / "run", save_every=1)
    for data in (Loader(), Again()):
        found = dl.verify(tmp_path / "run", data=data)
        assert len(found.intervals) == 3
        assert found.ok, found


def wait_until(is_so, seconds=10):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)
