"""All checks over detector files; a new one is a function and a line here."""

from __future__ import annotations

from collections.abc import Sequence

from xmsec.content.detectors import DetectorFile
from xmsec.content.lint.fields import carried
from xmsec.content.lint.identity import described, named_by_file, unique_rules, well_named
from xmsec.content.lint.issue import Check, CheckAll, Issue, Known
from xmsec.content.lint.links import playbooks
from xmsec.content.lint.tested import both_ways, telling, timely

CHECKS: tuple[Check, ...] = (well_named, described, carried, telling, timely, playbooks)
CHECKS_OF_ALL: tuple[CheckAll, ...] = (named_by_file, unique_rules, both_ways)


def lint(files: Sequence[DetectorFile], known: Known) -> list[Issue]:
    """Return every issue of a set of detector files, by place."""
    alone = (found for file in files for check in CHECKS for found in check(file, known))
    together = (found for check in CHECKS_OF_ALL for found in check(files, known))
    return sorted((*alone, *together))
