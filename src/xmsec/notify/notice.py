"""What people are told of a finding: few facts, and tokens only, because a finding holds no value."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from xmsec.model.types import SEVERITIES, UNIT_SEPARATOR, Finding, Severity

REASONS = 3  # explanations that a message shows
REASON_CHARACTERS = 200


class Notice(msgspec.Struct, frozen=True, omit_defaults=True):
    """One finding in a message. why: what was seen against what is usual."""

    id: str
    detector: str
    title: str
    severity: Severity
    risk: int
    system: str
    entity: str
    count: int
    first_seen: datetime
    time: datetime
    grade: str | None = None
    why: tuple[str, ...] = ()

    @property
    def rank(self) -> int:
        """Rank of its severity, 0 to 4."""
        return SEVERITIES.index(self.severity)


class Gathered(msgspec.Struct, frozen=True, omit_defaults=True):
    """Notices that become one message. due: when it is sent; counts: by detector; severities: by severity; all exact."""

    why: Literal["storm", "quiet"]
    since: datetime
    due: datetime
    counts: dict[str, int] = {}
    severities: dict[str, int] = {}
    gravest: tuple[Notice, ...] = ()

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(self.counts.values())

    @property
    def critical(self) -> bool:
        """Whether quiet hours do not hold it."""
        return "critical" in self.severities


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is sent at once: one notice, or what was gathered. id: the same however often it is sent."""

    id: str
    at: datetime
    notice: Notice | None = None
    gathered: Gathered | None = None
    test: bool = False

    @property
    def critical(self) -> bool:
        """Whether quiet hours do not hold it."""
        if self.notice is not None:
            return self.notice.severity == "critical"
        return self.gathered is None or self.gathered.critical


def notice_of(finding: Finding) -> Notice:
    """Make a notice of a finding."""
    reasons = (f"{one.what}: {one.value}" + (f" ({one.usual})" if one.usual else "") for one in finding.explanation[:REASONS])
    return Notice(
        finding.id,
        finding.detector,
        finding.title,
        finding.severity,
        finding.risk,
        finding.system,
        f"{finding.entity.type} {finding.entity.id.replace(UNIT_SEPARATOR, ' / ')}",
        finding.count,
        finding.first_seen,
        finding.time,
        finding.grade,
        tuple(reason[:REASON_CHARACTERS] for reason in reasons),
    )
