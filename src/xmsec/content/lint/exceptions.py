"""Exceptions: made for detectors that there are, no wider than meant, and tested both ways."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set

from xmsec.content.detectors import DetectorFile
from xmsec.content.exceptions import Placed
from xmsec.content.lint.issue import Issue

SORTS = ("rejected", "untokenised", "missing_field")  # of a coverage file, each of which speaks under a name of its own


def names(files: Sequence[DetectorFile]) -> set[str]:
    """Return the names under which detectors speak in findings."""
    own = {file.id for file in files}
    sorts = {f"{file.id}-{sort.replace('_', '-')}" for file in files for sort in SORTS if sort in file.body}
    return own | sorts


def excepting(placed: Placed, known: Set[str]) -> Iterator[Issue]:
    """Judge one exception. known: the names under which detectors speak."""
    file = placed.file
    for detector in file.wanted("detector"):
        if detector not in known:
            yield _issue(placed, f'no detector "{detector}"', "$.when.detector", "correct the name; it covers nothing")
    if file.when.keys() <= {"detector"}:
        remedy = "name entity.id, system, stream or dataset as well, or change the detector"
        yield _issue(placed, "covers all that its detectors say", "$.when", remedy, error=False)
    if not any(trial.covered for trial in file.tests):
        yield _issue(placed, "no test of a finding that is covered", "$.tests", "add one with `covered: true`")
    if all(trial.covered for trial in file.tests):
        yield _issue(placed, "no near miss", "$.tests", "add a test with `covered: false`")


def _issue(placed: Placed, what: str, at: str, remedy: str, *, error: bool = True) -> Issue:
    return Issue(placed.document.error("", at).where, what, remedy, "error" if error else "warning")
