"""Records as CONTRACT writes them: plain documents with every field, nested ECS, RFC 3339 times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from xmsec.model.clock import rfc3339
from xmsec.model.ports import Query
from xmsec.model.types import Event, Finding, Incident, Position, Rejected, Span

TEXT_CHARACTERS, TEXT_WORDS = 400, 8  # of a search: each word is looked for in every row that the filters leave
UNTOUCHED = "new"  # the status of what nobody has looked at


def nested(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Nest flat ECS names; a name that is a value and a parent at once stays flat beside it.

    >>> nested({"source.ip": "192.0.2.1", "source.port": 80})
    {'source': {'ip': '192.0.2.1', 'port': 80}}
    """
    found: dict[str, Any] = {}
    for name in sorted(fields):
        below = found
        *parents, last = name.split(".")
        for parent in parents:
            child = below.setdefault(parent, {})
            if not isinstance(child, dict):
                below, last = found, name
                break
            below = child
        below[last] = fields[name]
    return found


def _position(position: Position) -> dict[str, Any]:
    row: dict[str, Any] = {"stream": position.stream, "partition": position.partition, "offset": position.offset}
    return row if not position.part else {**row, "part": position.part}


def event_row(event: Event) -> dict[str, Any]:
    """Write an event."""
    return {
        "id": event.id,
        "time": rfc3339(event.time),
        "received": rfc3339(event.received),
        "position": _position(event.position),
        "system": event.system,
        "stream": event.stream,
        "datasets": list(event.datasets),
        "stage": event.stage,
        "fields": nested(event.fields),
        "flags": list(event.flags),
    }


def span_row(span: Span) -> dict[str, Any]:
    """Write a span; a link stands there only after a rotation."""
    return {name: getattr(span, name) for name in span.__struct_fields__ if name != "link" or span.link}


def words(query: Query) -> list[str]:
    """Return what is searched for, a word each; of a long text the first ones.

    >>> words(Query("findings", text=" night  export "))
    ['night', 'export']
    """
    return query.text[:TEXT_CHARACTERS].split()[:TEXT_WORDS]


def finding_row(finding: Finding, incident: str | None = None, status: str = UNTOUCHED, assignee: str = "") -> dict[str, Any]:
    """Write a finding with what people and grouping say of it."""
    row = {name: getattr(finding, name) for name in finding.__struct_fields__}
    plain: dict[str, Any] = {
        **row,
        "time": rfc3339(finding.time),
        "first_seen": rfc3339(finding.first_seen),
        "entity": {"type": finding.entity.type, "id": finding.entity.id},
        "window": {"start": rfc3339(finding.window.start), "end": rfc3339(finding.window.end)},
        "evidence": [event_row(event) for event in finding.evidence],
        "explanation": [msgspec.to_builtins(one) for one in finding.explanation],
    }
    for name in ("labels", "datasets", "events", "controls", "playbooks"):
        plain[name] = list(row[name])
    return {**plain, "incident": incident, "status": status, "assignee": assignee or None}


def incident_row(
    incident: Incident, related: Sequence[str] = (), status: str = UNTOUCHED, assignee: str = ""
) -> dict[str, Any]:
    """Write an incident; related: the other incidents of its entity."""
    return {
        "id": incident.id,
        "opened": rfc3339(incident.opened),
        "state": incident.state,
        "entity": {"type": incident.entity.type, "id": incident.entity.id},
        "severity": incident.severity,
        "risk": incident.risk,
        "related": list(related),
        "findings": list(incident.findings),
        "detectors": list(incident.detectors),
        "systems": list(incident.systems),
        "levels": dict(incident.levels),
        "due": None if incident.due is None else rfc3339(incident.due),
        "status": status,
        "assignee": assignee or None,
    }


def dead_row(rejected: Rejected) -> dict[str, Any]:
    """Write a dead letter."""
    return {
        "stream": rejected.position.stream,
        "position": _position(rejected.position),
        "leg": rejected.leg,
        "reason": rejected.reason,
        "at": rfc3339(rejected.at),
    }
