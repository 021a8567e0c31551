"""Incidents as people shaped them, merged, split, with findings put elsewhere: a function of the acts and of the engine's word.

A merged incident takes the later findings of all its parts; what was split off or moved stays where it was put. Shaped anew at
each act and each time the engine speaks of a part, so that neither order nor repetition changes what is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from xmsec.model.types import SEVERITIES, Act, Incident, Severity


class Fact(msgspec.Struct, frozen=True):
    """What an incident needs to know of one of its findings."""

    id: str
    first_seen: datetime
    detector: str
    severity: Severity
    risk: int
    system: str
    state: str


class Placement(msgspec.Struct, frozen=True):
    """Where people put things.

    root_by_part: incident that an act speaks of → the one that shows it; placed: finding → incident; base_by_made: incident
    that a split made → the one whose entity it has.
    """

    root_by_part: dict[str, str]
    placed: dict[str, str]
    base_by_made: dict[str, str]

    def parts(self, root: str) -> list[str]:
        """Return the incidents that one shows."""
        return sorted(part for part, of in self.root_by_part.items() if of == root)

    def members(self, root: str, own: Mapping[str, Iterable[str]]) -> list[str]:
        """Return the findings of a root. own: incident → the findings that the engine says it has."""
        engines = {finding for part in self.parts(root) for finding in own.get(part, ())}
        here = {finding for finding in engines if self.placed.get(finding, root) == root}
        return sorted(here | {finding for finding, incident in self.placed.items() if incident == root})


def placement(acts: Iterable[Act]) -> Placement:
    """Read acts in the order of their time (and id); those that would merge an incident into itself change nothing."""
    merged: dict[str, str] = {}
    placed: dict[str, str] = {}
    bases: dict[str, str] = {}
    parts: set[str] = set()

    def root(incident: str) -> str:
        while incident in merged:
            incident = merged[incident]
        return incident

    for act in sorted(acts, key=lambda one: (one.at, one.id)):
        if act.kind == "merge":
            merged.update((root(one), root(act.incident)) for one in act.incidents if root(one) != root(act.incident))
        elif act.kind in ("split", "move"):
            placed.update(dict.fromkeys(act.findings, act.into or act.incident))
            if act.into:
                bases[act.into] = bases.get(act.incident, act.incident)
        else:
            continue
        parts.update(act.about)
    return Placement({part: root(part) for part in parts}, {one: root(at) for one, at in placed.items()}, bases)


def shaped(root: str, base: Incident, facts: Iterable[Fact]) -> Incident | None:
    """Make the incident that is shown; base: whose entity, levels and deadline it has. None when no finding is left."""
    found = sorted(facts, key=lambda fact: fact.id)
    if not found:
        return None
    return msgspec.structs.replace(
        base,
        id=root,
        opened=min(fact.first_seen for fact in found),
        severity=max((fact.severity for fact in found), key=SEVERITIES.index),
        risk=max(fact.risk for fact in found),
        findings=tuple(fact.id for fact in found),
        detectors=tuple(sorted({fact.detector for fact in found})),
        systems=tuple(sorted({fact.system for fact in found})),
        state="final" if all(fact.state == "final" for fact in found) else "open",
    )
