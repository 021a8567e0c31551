"""Every shipped detector passes its own tests and the lint."""

from __future__ import annotations

import pytest
from tests.rules import ROOT, loaded, runner

from xmsec.content.detectors import DetectorFile, load_detectors
from xmsec.content.expect import check
from xmsec.content.lint.every import lint
from xmsec.content.lint.issue import Known

FILES, PROBLEMS = load_detectors([ROOT])
WEB = [file for file in FILES if file.path.parent.name == "web"]
MADE = loaded(WEB)


def test_every_file_loads() -> None:
    assert [str(problem) for problem in (*PROBLEMS, *MADE.problems)] == []


def test_the_lint_has_nothing_to_say() -> None:
    assert [str(issue) for issue in lint(WEB, Known())] == []


@pytest.mark.parametrize("file", [file for file in WEB if file.tests], ids=lambda file: file.id)
def test_its_own_tests_hold(file: DetectorFile) -> None:
    assert [str(failure) for failure in check(file, runner(MADE))] == []
