"""A pytest plugin: under `DLCORE_NO_SKIPS=1` a skipped test fails the session.

Where everything is installed, as in CI, a skip means that a check has silently gone missing. The reports reach the
main process from every xdist worker, so counting them there covers tests, doctests and whole modules
(`pytest.importorskip` at the top of one). A skip that is right is marked `@pytest.mark.may_skip(reason="...")`.
"""

from __future__ import annotations

import os

import pytest

_UNEXPECTED = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "may_skip(reason): may be skipped even under DLCORE_NO_SKIPS=1")
    config.stash[_UNEXPECTED] = []
    is_xdist_worker = hasattr(config, "workerinput")
    if os.environ.get("DLCORE_NO_SKIPS") == "1" and not is_xdist_worker:
        config.pluginmanager.register(_NoSkips(config.stash[_UNEXPECTED]), "dlcore-no-skips")


class _NoSkips:
    def __init__(self, unexpected: list[str]) -> None:
        self.unexpected = unexpected

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        expected_failure = hasattr(report, "wasxfail")  # pytest reports those as skipped too
        if report.skipped and not expected_failure and "may_skip" not in report.keywords:
            self._remember(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._remember(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        # Worse endings (an interrupt, a usage error) keep their own status.
        if self.unexpected and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.unexpected:
            terminalreporter.section("skips forbidden by DLCORE_NO_SKIPS=1", red=True)
            for line in self.unexpected:
                terminalreporter.write_line(line)

    def _remember(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        self.unexpected.append(f"{report.nodeid}: {reason}")
