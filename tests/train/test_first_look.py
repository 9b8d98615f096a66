"""The test split is looked at once; whoever looks again is told when the first look was."""

from __future__ import annotations

import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest

import dlcore as dl
from dlcore.train._first_look import NAME, FirstLook

AGAIN = r"test split of iris was looked at before, first on \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC at step 3;"


@pytest.fixture(scope="module")
def data():
    return dl.data.iris()


def trained(data, **options):
    return dl.fit(dl.models.softmax_regression(3), data, steps=3, batch_size=32, progress=False, **options)


def test_the_second_look_is_reported_and_what_is_no_test_split_is_not(data):
    run = trained(data)
    run.evaluate("validation")
    run.evaluate("train")
    run.evaluate("test")
    run.evaluate("validation")
    run.evaluate((data.test["x"], data.test["y"]))
    for _ in range(2):
        with pytest.warns(UserWarning, match=AGAIN) as caught:
            run.evaluate()
        assert Path(caught[0].filename).name == Path(__file__).name  # it names the line that looked


@pytest.mark.slow
def test_lanes_and_what_a_run_becomes_share_its_first_look(data):
    run = trained(data, seeds=2)
    run.lane(0).evaluate()
    for later in (run, run.lane(1), run.resume(steps=4), run.fork(epochs=None, steps=4, learning_rate=0.1)):
        with pytest.warns(UserWarning, match=AGAIN):
            later.evaluate()


def test_other_runs_have_looks_of_their_own(data):
    trained(data).evaluate()
    trained(data).evaluate()


def test_a_folder_remembers_the_look_until_it_is_overwritten(data, tmp_path):
    trained(data, out=tmp_path / "run").evaluate()
    assert [one.name for one in (tmp_path / "run").iterdir() if NAME in one.name] == [NAME]
    with pytest.warns(UserWarning, match=AGAIN):
        dl.load(tmp_path / "run", data=data).evaluate()
    trained(data, out=tmp_path / "run", overwrite=True).evaluate()


def test_a_second_process_reports_the_look_of_the_first(tmp_path):
    FirstLook(tmp_path).look("iris", 3)
    look = f"from pathlib import Path; FirstLook(Path({str(tmp_path)!r})).look('iris', 3)"
    code = f"from dlcore.train._first_look import FirstLook; {look}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "was looked at before, first on" in done.stderr, done.stderr


def test_of_many_at_once_one_is_the_first(tmp_path):
    told, start = [], threading.Barrier(8)

    def look(step):
        start.wait()
        told.append(FirstLook(tmp_path)._claim(f"a day at step {step}"))

    threads = [threading.Thread(target=look, args=(step,)) for step in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first = (tmp_path / NAME).read_text().strip()
    assert sorted(told) == ["", *[first] * 7]
    assert [one.name for one in tmp_path.iterdir()] == [NAME]


def test_a_file_system_without_links_remembers_too(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError("no links here")

    monkeypatch.setattr("os.link", refuse)
    FirstLook(tmp_path).look("iris", 3)
    with pytest.warns(UserWarning, match=AGAIN):
        FirstLook(tmp_path).look("iris", 4)
    assert [one.name for one in tmp_path.iterdir()] == [NAME]


def test_a_folder_that_is_gone_or_damaged_does_not_stop_an_evaluation(tmp_path):
    (tmp_path / NAME).write_text("")
    with pytest.warns(UserWarning, match="first on an unknown day"):
        FirstLook(tmp_path).look("iris", 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FirstLook(tmp_path / "gone").look("iris", 3)
    assert not (tmp_path / "gone").exists()
