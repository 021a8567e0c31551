"""What did not run is said at the end, with its reason; `make test-long` ends with the table that docs/long-tests.md keeps."""

from __future__ import annotations

import signal
from datetime import UTC, datetime

import pytest


def pytest_configure() -> None:
    """What a shell starts in the background ignores Ctrl-C, and so would every process that a test starts and interrupts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    _what_did_not_run(terminalreporter)
    if seed := getattr(config.option, "randomly_seed", None):
        terminalreporter.line(f"order of the tests: --randomly-seed={seed}")
    if config.option.markexpr == "long":
        _table(terminalreporter)


def _table(terminalreporter: pytest.TerminalReporter) -> None:
    ran = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, []) if report.when == "call"]
    terminalreporter.section(datetime.now(UTC).date().isoformat())
    for line in ("| test | result | seconds |", "|---|---|---|"):
        terminalreporter.line(line)
    for report in sorted(ran, key=lambda report: report.nodeid):
        terminalreporter.line(f"| `{report.nodeid}` | {report.outcome} | {report.duration:.0f} |")


def _what_did_not_run(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if not skipped:
        return
    terminalreporter.section("did not run, and why")
    reasons: dict[str, list[str]] = {}
    for report in skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons.setdefault(reason.removeprefix("Skipped: "), []).append(report.nodeid)
    for reason, nodes in sorted(reasons.items()):
        terminalreporter.line(f"{len(nodes)} × {reason}")
        for node in sorted(nodes):
            terminalreporter.line(f"    {node}")


@pytest.fixture(scope="session")
def golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be rewritten."""
    return bool(request.config.getoption("--golden"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", action="store_true", help="rewrite the golden files")
