"""What a detector's file fixes of its findings."""

from __future__ import annotations

from xmsec.content.detectors import DetectorFile
from xmsec.detect.fold import About
from xmsec.model.types import Severity


def about_of(
    file: DetectorFile, *, name: str | None = None, title: str | None = None, severity: Severity | None = None
) -> About:
    """Return the fixed part of a file's findings; a file that tells several things names each, with title and severity."""
    return About(
        name or file.id, file.version, file.type, title or file.title, severity or file.severity, file.controls, file.playbooks
    )
