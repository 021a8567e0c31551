"""Findings become incidents: one for each primary entity and local day, whatever order they come in.

Days, not gaps: a gap between findings is only known once all have come, so that incidents made by gaps would merge and change
their ids as findings arrive. What links the incidents of one entity is computed when they are read (`related`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, tzinfo

import msgspec

from xmsec.model.clock import DAY, window_of
from xmsec.model.ids import incident_id, intent_id
from xmsec.model.types import SEVERITIES, Entity, Finding, Incident, Intent, Key

LISTED = (
    256  # findings an incident names, those of the least ids; more do not help whoever decides, and a state stays below 48 KiB
)
KEPT = timedelta(days=62)  # a finding of a 30-day window may still grow two windows after its start


class Member(msgspec.Struct, frozen=True):
    """What an incident remembers of one of its findings, as it was last told: a share, and so a severity, may fall again."""

    final: bool
    detector: str
    system: str
    severity: int = 0
    risk: int = 0
    first: datetime | None = None


class Case(msgspec.Struct, frozen=True):
    """One day of one entity: its least findings by id, and what only grows. severity, risk: of findings beyond those.

    full: there were some; then `opened` only ever goes back.
    """

    members: dict[str, Member]
    opened: datetime
    severity: int
    risk: int
    playbooks: tuple[str, ...]
    full: bool = False


class Cases(msgspec.Struct, frozen=True):
    """The days of one entity that findings may still join."""

    by_day: dict[datetime, Case]


class ByEntityAndDay:
    """The Grouping seam: keyed by a finding's entity, one incident a local day of its window's start."""

    state = Cases

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone

    def step(
        self, states: Mapping[Key, Cases], findings: Sequence[Finding]
    ) -> tuple[Mapping[Key, Cases | None], Sequence[Incident], Sequence[Intent]]:
        """Fold findings into their entity's incidents; the same finding twice changes nothing."""
        after: dict[Key, Cases] = {}
        touched: dict[tuple[Key, datetime], Case] = {}
        for finding in findings:
            key = Key(finding.entity.type, finding.entity.id)
            day = window_of(finding.window.start, DAY, self._zone).start
            cases = after.get(key) or states.get(key) or Cases({})
            before = cases.by_day.get(day)
            case = _join(before, finding) if finding.exception is None else _leave(before, finding)
            if case is None:
                continue
            others = {one: other for one, other in cases.by_day.items() if one != day}
            after[key] = Cases({**others, day: case} if case.members else others)
            touched[key, day] = case
        told = [(key, day, touched[key, day]) for key, day in sorted(touched)]
        incidents = [_incident(key, day, case) for key, day, case in told]
        intents = [
            Intent(intent_id(playbook, incident.id), playbook, incident.id)
            for incident, (_, _, case) in zip(incidents, told, strict=True)
            if case.members
            for playbook in case.playbooks
        ]
        return {key: cases if cases.by_day else None for key, cases in after.items()}, incidents, intents

    def due(self, state: Cases) -> datetime | None:
        """Return when the oldest day may be forgotten."""
        return min(state.by_day) + KEPT if state.by_day else None

    def advance(self, state: Cases, watermark: datetime) -> Cases | None:
        """Forget days that no finding can join any more."""
        kept = {day: case for day, case in state.by_day.items() if day + KEPT > watermark}
        return Cases(kept) if kept else None


def _join(case: Case | None, finding: Finding) -> Case:
    severity = SEVERITIES.index(finding.severity)
    member = Member(finding.state == "final", finding.detector, finding.system, severity, finding.risk, finding.first_seen)
    if case is None or not case.members:
        return Case({finding.id: member}, finding.first_seen, 0, 0, tuple(sorted(set(finding.playbooks))))
    members = {**case.members, finding.id: member}
    beyond = [members.pop(one) for one in sorted(members)[LISTED:]] if len(members) > LISTED else []
    return Case(
        members,
        min(case.opened, finding.first_seen),
        max(case.severity, *(one.severity for one in beyond)) if beyond else case.severity,
        max(case.risk, *(one.risk for one in beyond)) if beyond else case.risk,
        tuple(sorted({*case.playbooks, *finding.playbooks})),
        case.full or bool(beyond),
    )


def _leave(case: Case | None, finding: Finding) -> Case | None:
    """Take out a finding that is covered by now; None when it was not in."""
    if case is None or finding.id not in case.members:
        return None
    members = {one: member for one, member in case.members.items() if one != finding.id}
    firsts = [case.opened if member.first is None else member.first for member in members.values()]
    opened = case.opened if case.full else min(firsts, default=case.opened)
    return msgspec.structs.replace(case, members=members, opened=opened)


def _incident(key: Key, day: datetime, case: Case) -> Incident:
    members = case.members.values()
    return Incident(
        id=incident_id(key, day),
        opened=case.opened,
        entity=Entity(key.kind, key.value),
        severity=SEVERITIES[max([case.severity, *(member.severity for member in members)])],
        risk=max([case.risk, *(member.risk for member in members)]),
        findings=tuple(sorted(case.members)),
        detectors=tuple(sorted({member.detector for member in members})),
        systems=tuple(sorted({member.system for member in members})),
        state="final" if all(member.final for member in members) else "open",
    )
