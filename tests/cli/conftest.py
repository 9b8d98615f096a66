"""Trained runs that the tests of the commands share; no test may change them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dlcore.cli import main


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with short runs: iris, mlp (on digits) and diabetes (two seeds)."""
    folder = tmp_path_factory.mktemp("runs")
    main(["train", "iris", "--epochs", "60", "--out", str(folder / "iris")])
    main(["train", "mlp", "--epochs", "1", "--out", str(folder / "mlp")])
    main(["train", "diabetes", "--epochs", "2", "--seeds", "2", "--out", str(folder / "diabetes")])
    return folder


@pytest.fixture
def own(runs: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Gives a copy of a run, which the test may change."""
    return lambda name: Path(shutil.copytree(runs / name, tmp_path / name))


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that has to end with status 2 and one line on standard error, and gives that line."""

    def run(*arguments: object) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        err = capsys.readouterr().err
        assert caught.value.code == 2, err
        assert err.startswith("dlcore: ") and err.count("\n") == 1, err
        return err

    return run
