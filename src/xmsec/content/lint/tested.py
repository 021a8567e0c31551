"""Tests inside: at least one that fires and one near miss that does not; and tests that prove what they seem to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from xmsec.content.detectors import Case, DetectorFile
from xmsec.content.expect import inline_events
from xmsec.content.lint.issue import Issue, Known, issue
from xmsec.model.errors import InputError

LATENESS = timedelta(minutes=5)  # a stream's, unless its file says otherwise


def both_ways(files: Sequence[DetectorFile], _known: Known) -> Iterator[Issue]:
    """A file has both; of a file with several documents (a correlation and its rules) one is enough to hold them."""
    tests: dict[Path, list[Case]] = {}
    for file in files:
        tests.setdefault(file.path, []).extend(file.tests)
    for file in {file.path: file for file in reversed(files)}.values():
        cases = tests[file.path]
        if not any(case.findings for case in cases):
            yield issue(file, "no test that fires", "$.tests", "add one with the findings it must give")
        if all(case.findings for case in cases):
            yield issue(file, "no near miss", "$.tests", "add a test with `findings: []`")


def telling(file: DetectorFile, _known: Known) -> Iterator[Issue]:
    """An expected finding names entity and severity."""
    for place, case in enumerate(file.tests):
        for wanted in case.findings:
            if wanted.entity is None or wanted.severity is None:
                what = f'test "{case.name}" names no entity or severity'
                yield issue(file, what, f"$.tests[{place}]", "add both to its findings", "warning")


def timely(file: DetectorFile, _known: Known) -> Iterator[Issue]:
    """No event of a test is late: windows would leave it, and a near miss would prove nothing."""
    for place, case in enumerate(file.tests):
        late = _late(case)
        if late:
            what = f'test "{case.name}": {late} events stand after later ones, and windows leave them as late'
            yield issue(file, what, f"$.tests[{place}]", "write its events in the order of their time", "warning")


def _late(case: Case) -> int:
    late = 0
    latest: dict[str, datetime] = {}
    try:
        events = [event for event, _ in inline_events(case)]
    except InputError:
        return 0  # running the test says so
    for event in events:
        newest = latest[event.stream] = max(event.time, latest.get(event.stream, event.time))
        late += event.time < newest - LATENESS
    return late
