"""What a detector points to is there."""

from __future__ import annotations

from collections.abc import Iterator

from xmsec.content.detectors import DetectorFile
from xmsec.content.lint.issue import Issue, Known, issue


def playbooks(file: DetectorFile, known: Known) -> Iterator[Issue]:
    """Every playbook that a file names is loaded."""
    for name in file.playbooks:
        if name not in known.playbooks:
            yield issue(file, f'playbook "{name}" is not there', "$.playbooks", "correct it or add it under playbooks/")
