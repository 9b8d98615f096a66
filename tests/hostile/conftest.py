"""Commands in a process of their own, and limits that end a test instead of letting it wait for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dlcore.cli import main

ROOT = Path(__file__).parent.parent.parent
Refused = Callable[..., str]


class TooLongError(AssertionError):
    """A test has waited for what does not come."""


@pytest.fixture
def at_most_a_minute() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TooLongError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], at_most_a_minute: None) -> Refused:
    """Runs a command that has to end with status 2 and one line on standard error, and gives that line."""

    def run(*arguments: object) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        err = capsys.readouterr().err
        assert caught.value.code == 2, err
        assert err.startswith("dlcore: ") and err.count("\n") == 1 and err[:-1].isprintable(), err
        return err

    return run


@pytest.fixture(scope="session")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run, in a folder whose name has a space, a newline and letters of two alphabets."""
    folder = tmp_path_factory.mktemp("hostile") / "a run\nof ирис ü"
    main(["train", "iris", "--epochs", "2", "--out", str(folder)])
    return folder


@pytest.fixture
def start() -> Callable[..., subprocess.Popen[bytes]]:
    """Starts `dlcore` in a process of its own, after some Python of the test's; `env` stands in place of this one's."""

    def run(
        *arguments: object, before: str = "", env: dict[str, str] | None = None, **options: object
    ) -> subprocess.Popen[bytes]:
        environment = {**(os.environ if env is None else env), "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
        command = [sys.executable, "-c", f"{before}\nfrom dlcore.cli import main; main()", *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, env=environment, **(pipes | options))  # pyright: ignore

    return run
