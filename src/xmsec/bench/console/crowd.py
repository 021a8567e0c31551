"""As many findings as years bring: spread over detectors, people and the days before a given time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import get_args

import msgspec

from xmsec.model.ids import digest
from xmsec.model.types import LEVELS, SEVERITIES, Entity, Explanation, Finding, Incident, Stage, Window

DAYS = 90
DETECTORS = 40  # each of one system and stage, as real ones are
SYSTEMS = 12
PEOPLE = 20_000
OF_AN_INCIDENT = 8  # findings of one person that need one decision
BATCH = 4_000
_STAGES: Sequence[Stage] = get_args(Stage)


class Some(msgspec.Struct, frozen=True):
    """A part of the crowd, as a store takes it."""

    findings: Sequence[Finding]
    incidents: Sequence[Incident]


def crowd(number: int, until: datetime) -> Iterator[Some]:
    """Yield so many findings, evenly over the days before `until`, each with its incident."""
    apart = timedelta(days=DAYS) / max(1, number)
    for start in range(0, number, BATCH):
        made = [finding(each, until - apart * (number - each)) for each in range(start, min(start + BATCH, number))]
        yield Some(made, [_incident(made[at : at + OF_AN_INCIDENT]) for at in range(0, len(made), OF_AN_INCIDENT)])


def finding(number: int, time: datetime, name: str = "crowd") -> Finding:
    """Make the finding of a number; neighbours share a person, so that they make one incident."""
    mixed = int(digest(name, str(number))[:8], 16)
    detector = mixed % DETECTORS
    system = f"system-{detector % SYSTEMS:02}"
    start = time.replace(minute=0, second=0, microsecond=0)
    return Finding(
        id=digest(name, "finding", str(number)),
        time=time,
        first_seen=start,
        detector=f"detector-{detector:02}",
        version="1",
        kind="sigma",
        title=f"异常访问 · unusual access {detector}",
        severity=SEVERITIES[(detector + (mixed >> 8) % 2) % len(SEVERITIES)],
        risk=mixed % 101,
        system=system,
        stream=f"{system}.access",
        entity=Entity("user", f"user-{number // OF_AN_INCIDENT % PEOPLE:05}"),
        count=1 + mixed % 500,
        window=Window(start, start + timedelta(hours=1)),
        state="final",
        stage=_STAGES[detector % len(_STAGES)],
        grade=LEVELS[(detector + (mixed >> 9) % 2) % len(LEVELS)],
        datasets=(f"dataset-{detector:02}",),
        explanation=(Explanation("rows in an hour", str(mixed % 5000), "< 60"),),
    )


def _incident(of: Sequence[Finding]) -> Incident:
    return Incident(
        id=digest("incident", of[0].id),
        opened=of[0].time,
        entity=of[0].entity,
        severity=max((one.severity for one in of), key=SEVERITIES.index),
        risk=max(one.risk for one in of),
        findings=tuple(sorted(one.id for one in of)),
        detectors=tuple(sorted({one.detector for one in of})),
        systems=tuple(sorted({one.system for one in of})),
        state="final",
    )
