"""What people do with incidents, for the shell and for a console: one function a decision, checked before it is recorded.

Each takes the key that its request bears: said again under the same key, it is the same decision, recorded once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from xmsec.findings.scope import Scope, scope
from xmsec.model.errors import ConfigError
from xmsec.model.ids import act_id, split_id
from xmsec.model.ports import Acts, Query, Reader
from xmsec.model.types import Act, Incident, Status
from xmsec.respond.chain import Entry
from xmsec.respond.drive import Runs
from xmsec.respond.timeline import Moment, timeline

_ALL = 10_000  # findings of an incident that are looked at: what Elasticsearch gives at once
LONGEST = 4_000  # characters of a comment


class Said(msgspec.Struct, frozen=True):
    """Who decides, when, and under which key: of a request, or made for this one time."""

    by: str
    at: datetime
    key: str


class Place(msgspec.Struct, frozen=True):
    """Where incidents are read, and where decisions on them are recorded."""

    reader: Reader
    acts: Acts


class Course(msgspec.Struct, frozen=True):
    """An incident as a whole: its record, its findings, how far it reaches, what happened in which order, its playbook runs."""

    incident: dict[str, Any]
    findings: Sequence[dict[str, Any]]
    scope: Scope | None
    timeline: Sequence[Moment]
    runs: Mapping[str, Sequence[Entry]]


def course(place: Place, runs: Runs, incident: str, most: int = _ALL) -> Course:
    """Put together what is known of an incident. most: findings that are looked at, the first ones.

    Raises ConfigError when there is none, or it is part of another one.
    """
    row = shown(place.reader, incident)
    ids = tuple(row["findings"][:most])
    findings = place.reader.page(Query("findings", {"id": ids}, order="time", limit=most)).rows
    begun = runs.of(place.acts.parts(incident))
    entries = [entry for entries in begun.values() for entry in entries]
    return Course(row, findings, scope(findings), timeline(findings, place.acts.of(incident), entries), begun)


def comment(place: Place, said: Said, incident: str, text: str) -> Act:
    """Say something of an incident. Raises ConfigError."""
    if not text.strip() or len(text) > LONGEST:
        raise ConfigError("no comment", where=incident, remedy=f"write 1 to {LONGEST} characters")
    shown(place.reader, incident)
    return _put(place, Act(id=act_id(said.key), kind="comment", incident=incident, by=said.by, at=said.at, text=text))


def triage(place: Place, said: Said, incident: str, status: Status, assignee: str | None) -> Act:
    """Give an incident a status and an assignee (None: the one it has), and keep who did so. Raises ConfigError."""
    shown(place.reader, incident)
    act = Act(id=act_id(said.key), kind="status", incident=incident, by=said.by, at=said.at, status=status, assignee=assignee)
    return _put(place, act)


def triage_findings(
    place: Place, said: Said, findings: Sequence[str], status: Status, assignee: str | None = None
) -> Sequence[str]:
    """Give findings a status of their own, and keep who did so at their incidents; return those that are there."""
    names = list(dict.fromkeys(findings))
    rows = place.reader.page(Query("findings", {"id": tuple(names)}, limit=len(names))).rows if names else ()
    known = {row["id"]: row["incident"] or "" for row in rows}
    found = tuple(one for one in names if one in known)
    if found:
        first, *others = sorted({known[one] for one in found} - {""}) or [""]
        act = Act(id=act_id(said.key), kind="status", incident=first, by=said.by, at=said.at, status=status, assignee=assignee)
        _put(place, msgspec.structs.replace(act, incidents=tuple(others), findings=found))
    return found


def merge(place: Place, said: Said, incident: str, others: Sequence[str]) -> Act:
    """Make other incidents part of one, with all their findings that still come. Raises ConfigError."""
    again = _again(place, said, incident)
    if again is not None:
        return again
    names = tuple(sorted({*others} - {incident}))
    if not names:
        raise ConfigError("nothing to merge", where=incident, remedy="name other incidents")
    for name in (incident, *names):
        shown(place.reader, name)
    return _put(place, Act(id=act_id(said.key), kind="merge", incident=incident, by=said.by, at=said.at, incidents=names))


def split(place: Place, said: Said, incident: str, findings: Sequence[str]) -> Act:
    """Make some of an incident's findings an incident of their own (`into`), for good. Raises ConfigError."""
    again = _again(place, said, incident)
    if again is not None:
        return again
    names = tuple(sorted({*findings}))
    held = {*shown(place.reader, incident)["findings"]}
    if not names or not held.issuperset(names) or len(names) == len(held):
        raise ConfigError("cannot be split so", where=incident, remedy="name some of its findings, not all")
    act = act_id(said.key)
    into = split_id(act)
    return _put(place, Act(id=act, kind="split", incident=incident, by=said.by, at=said.at, findings=names, into=into))


def move(place: Place, said: Said, findings: Sequence[str], incident: str) -> Act:
    """Put findings into an incident by hand, for good. Raises ConfigError."""
    again = _again(place, said, incident)
    if again is not None:
        return again
    shown(place.reader, incident)
    names = tuple(sorted({*findings}))
    rows = place.reader.page(Query("findings", {"id": names}, limit=max(1, len(names)))).rows if names else ()
    if not names or len(rows) != len(names) or any(row["exception"] for row in rows):
        raise ConfigError("no such findings", where=incident, remedy="name whole ids, of findings that no exception covers")
    sources = tuple(sorted({row["incident"] for row in rows if row["incident"]} - {incident}))
    if not sources and all(row["incident"] == incident for row in rows):
        raise ConfigError("they are there already", where=incident, remedy="see xmsec incidents show")
    act = Act(id=act_id(said.key), kind="move", incident=incident, by=said.by, at=said.at, incidents=sources, findings=names)
    return _put(place, act)


def shown(reader: Reader, incident: str) -> dict[str, Any]:
    """Return an incident's record. Raises ConfigError when there is none, or it is part of another one."""
    rows = reader.page(Query("incidents", {"id": (incident,)}, limit=1)).rows
    if not rows:
        raise ConfigError(f'no incident "{incident}"', remedy="see xmsec incidents list; it may be merged into another one")
    return rows[0]


def told_of(reader: Reader, incident: str) -> Incident:
    """Return an incident as playbooks are told of it. Raises ConfigError."""
    return msgspec.convert(shown(reader, incident), Incident)


def _again(place: Place, said: Said, incident: str) -> Act | None:
    """Return the act that this request made before: what it asks for may not be possible any more. What it left is done."""
    found = next((act for act in place.acts.of(incident) if act.id == act_id(said.key)), None)
    if found is not None:
        place.acts.put(found)
    return found


def _put(place: Place, act: Act) -> Act:
    place.acts.put(act)
    return act
