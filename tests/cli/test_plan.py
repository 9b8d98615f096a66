"""`dlcore plan` prints what a preset needs, and refuses in one line."""

from __future__ import annotations

import pytest

from dlcore.cli import main
from dlcore.train import plan


def test_it_prints_a_table(capsys):
    main(["plan", "iris", "--on", "cpu", "--batch-size", "25"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "cpu: fits" and any("25 examples" in line for line in lines)


def test_it_says_what_it_wants_in_a_line(refused):
    assert "there is no 'v6f'" in refused("plan", "iris", "--on", "v6f:2x2")
    assert "expected an axis and its size, as in data=4" in refused("plan", "iris", "--mesh", "data:4")
    assert "expected each axis once" in refused("plan", "iris", "--mesh", "data=4", "data=2")
    assert "give its size too: --mesh data=4" in refused("plan", "iris", "--shard-params")
    said = refused("plan", "iris", "--mesh", "data=7", "--batch-size", "32")
    assert "a multiple of the 7 devices along 'data'" in said


@pytest.mark.slow
def test_training_takes_the_same_mesh(refused, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(["train", "iris", "--mesh", "data=1", "--epochs", "1", "--out", "run"])
    assert "report" in capsys.readouterr().out
    assert "expected at most 1 devices" in refused("train", "iris", "--mesh", "data=8")


def test_what_does_not_fit_ends_with_status_1(monkeypatch, capsys):
    monkeypatch.setitem(plan.__globals__, "_memory", lambda on: 1024)
    with pytest.raises(SystemExit) as ended:
        main(["plan", "iris"])
    said = capsys.readouterr().out
    assert ended.value.code == 1 and "DOES NOT FIT" in said and "too much" in said
