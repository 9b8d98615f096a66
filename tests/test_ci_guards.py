"""The guard of `tests/no_skips.py`, run on small suites in processes of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

SKIPPING = """
    import pytest

    def test_that_passes():
        pass

    def test_that_skips():
        pytest.skip("the oracle is missing")
"""
SKIPPING_MODULE = """
    import pytest

    pytest.importorskip("a_library_that_nobody_has")

    def test_never_reached():
        pass
"""
SKIPPING_DOCTEST = '''
    def double(x):
        """
        >>> double(2)  # doctest: +SKIP
        5
        """
        return 2 * x
'''
ALLOWED = """
    import pytest

    @pytest.mark.may_skip(reason="needs a second machine")
    def test_that_may_skip():
        pytest.skip("there is one machine")
"""
EXPECTED_FAILURE = """
    import pytest

    @pytest.mark.xfail(reason="known")
    def test_that_is_known_to_fail():
        assert False
"""
FORBIDDEN_HEADING = "*skips forbidden by DLCORE_NO_SKIPS=1*"


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """Run pytest, with the very plugin that guards this suite, on one file of the given source."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # they cost more than these suites
    monkeypatch.delenv("DLCORE_NO_SKIPS", raising=False)

    def run_pytest(source: str, *, no_skips: bool, workers: int = 0) -> pytest.RunResult:
        if no_skips:
            monkeypatch.setenv("DLCORE_NO_SKIPS", "1")
        pytester.makepyfile(test_suite=source)
        return pytester.runpytest_subprocess(
            "-p", "xdist", "-p", "tests.no_skips", "--doctest-modules", f"--numprocesses={workers}"
        )

    return run_pytest


@pytest.mark.parametrize("source", [SKIPPING, SKIPPING_DOCTEST], ids=["test", "doctest"])
def test_a_skip_passes_without_the_guard(run, source: str) -> None:
    result = run(source, no_skips=False)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.no_fnmatch_line(FORBIDDEN_HEADING)


@pytest.mark.few(3)
@pytest.mark.parametrize("workers", [0, 2], ids=["in one process", "under xdist"])
@pytest.mark.parametrize("source", [SKIPPING, SKIPPING_MODULE, SKIPPING_DOCTEST], ids=["test", "module", "doctest"])
def test_a_skip_fails_under_the_guard(run, source: str, workers: int) -> None:
    result = run(source, no_skips=True, workers=workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([FORBIDDEN_HEADING, "test_suite.py*: *"])


@pytest.mark.parametrize("workers", [0, 2], ids=["in one process", "under xdist"])
@pytest.mark.parametrize("source", [ALLOWED, EXPECTED_FAILURE], ids=["may_skip", "xfail"])
def test_the_guard_lets_through_what_is_declared(run, source: str, workers: int) -> None:
    result = run(source, no_skips=True, workers=workers)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.no_fnmatch_line(FORBIDDEN_HEADING)


def test_the_guard_leaves_a_real_failure_as_it_is(run) -> None:
    result = run("def test_that_fails():\n    assert False", no_skips=True)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.no_fnmatch_line(FORBIDDEN_HEADING)


def test_this_suite_runs_under_the_guard(request: pytest.FixtureRequest) -> None:
    assert request.config.pluginmanager.has_plugin("tests.no_skips")
