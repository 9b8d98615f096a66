"""Each of several processes reads its own examples, and all of them as many."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from dlcore.data import share

WRONG: Any = "a"


@pytest.mark.parametrize("n", [1, 7, 8, 9, 1437])
@pytest.mark.parametrize("processes", [1, 2, 3, 7])
def test_the_shares_are_equal_and_disjoint_and_leave_out_the_remainder(n, processes):
    if n < processes:
        with pytest.raises(ValueError, match=f"each of {processes} processes, found {n}"):
            share(n, 0, processes)
        return
    rows = [np.arange(n)[share(n, process, processes)] for process in range(processes)]
    assert {len(own) for own in rows} == {n // processes}
    assert np.concatenate(rows).tolist() == list(range(n - n % processes))


@pytest.mark.parametrize("n", [8, 9, 100])
def test_grain_cuts_alike(n):
    grain = pytest.importorskip("grain")
    for process in range(4):
        options = grain.sharding.ShardOptions(shard_index=process, shard_count=4, drop_remainder=True)
        own = share(n, process, 4)
        assert (own.start, own.stop) == grain._src.core.sharding.even_split(n, options)
        assert list(grain.MapDataset.range(n)[own]) == list(range(n))[own]


def test_one_process_reads_all_and_several_are_those_of_jax(monkeypatch):
    assert share(10) == slice(0, 10)
    monkeypatch.setattr(jax, "process_index", lambda: 2)
    monkeypatch.setattr(jax, "process_count", lambda: 4)
    assert share(10) == slice(4, 6)
    assert share(10, process=0) == slice(0, 2)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"n": 10, "process": 3, "processes": 3}, ValueError, "process: expected 0 to 2"),
        ({"n": 10, "process": -1, "processes": 3}, ValueError, "process: expected 0 to 2"),
        ({"n": 10, "process": 0, "processes": 0}, ValueError, "processes: expected 1 or more"),
        ({"n": 10.0}, TypeError, "share n: expected a whole number"),
        ({"n": 10, "process": WRONG}, TypeError, "share process: expected a whole number"),
        ({"n": True}, TypeError, "share n: expected a whole number"),
    ],
)
def test_what_is_no_share_is_refused(options, error, said):
    with pytest.raises(error, match=said):
        share(**options)
