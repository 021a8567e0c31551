"""The statements that write, and the rows they are given."""

from __future__ import annotations

from typing import Any

import msgspec

from xmsec.model.types import SEVERITIES, Finding, Incident, Rejected
from xmsec.store.states import micros


def _upsert(table: str, *columns: str, also: str = "", looked_up: str = "") -> str:
    """Write a statement that replaces a row by its id; unlike REPLACE it leaves alone the indices of columns that stay.

    also: columns that a new row has from elsewhere, and that stay; looked_up: their values, and where those are.
    """
    places = ", ".join(f"?{number}" for number in range(1, len(columns) + 2))
    news = ", ".join(f"{column} = excluded.{column}" for column in columns)
    return (
        f"INSERT INTO {table} (id, {', '.join(columns)}{also}) SELECT {places}{looked_up} WHERE true"
        f" ON CONFLICT (id) DO UPDATE SET {news}"
    )


ADD_COUNT = (
    "INSERT INTO counts VALUES (?, ?, ?, ?) ON CONFLICT (what, stream, detail) DO UPDATE SET total = total + excluded.total"
)
ADD_PROPOSAL = (
    "INSERT INTO proposals VALUES (?, ?, ?, ?) ON CONFLICT (dataset, field, type) DO UPDATE SET total = total + excluded.total"
)
PUT_STATE = (
    "INSERT INTO states VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (hash) DO UPDATE SET due = excluded.due, body = excluded.body"
)
DROP_DEAD = "DELETE FROM dead WHERE stream = ? AND leg = ? AND reason = ? AND partition = ? AND offset = ? AND part = ?"
PUT_CHANGE = "INSERT OR REPLACE INTO changes (finding) VALUES (?)"
PUT_DEAD = "INSERT OR IGNORE INTO dead VALUES (?, ?, ?, ?, ?, ?, ?)"
PUT_FINDING = _upsert(
    "findings",
    "time",
    "first_seen",
    "detector",
    "kind",
    "severity",
    "risk",
    "system",
    "stream",
    "entity_type",
    "entity_id",
    "state",
    "window_start",
    "window_end",
    "count",
    "exception",
    "body",
    "title",
    "stage",
    "grade",
    # as the view `shown` has it: a row that was written without, and then again, costs twice
    also=", incident, status, assignee",
    looked_up=", COALESCE(m.incident, ''), COALESCE(t.status, c.status, 'new')"
    ", COALESCE(NULLIF(t.assignee, ''), c.assignee, '') FROM (SELECT 1) LEFT JOIN incident_findings m ON m.finding = ?1"
    " LEFT JOIN triage t ON t.subject = ?1 LEFT JOIN triage c ON c.subject = m.incident",
)
PUT_INCIDENT = _upsert("incidents", "opened", "severity", "risk", "entity_type", "entity_id", "state", "body")


def finding_columns(finding: Finding) -> tuple[Any, ...]:
    """Return the row of a finding."""
    return (
        finding.id,
        micros(finding.time),
        micros(finding.first_seen),
        finding.detector,
        finding.kind,
        SEVERITIES.index(finding.severity),
        finding.risk,
        finding.system,
        finding.stream,
        finding.entity.type,
        finding.entity.id,
        finding.state,
        micros(finding.window.start),
        micros(finding.window.end),
        finding.count,
        finding.exception or "",
        msgspec.json.encode(finding),
        finding.title,
        finding.stage or "",
        finding.grade or "",
    )


def incident_columns(incident: Incident) -> tuple[Any, ...]:
    """Return the row of an incident."""
    return (
        incident.id,
        micros(incident.opened),
        SEVERITIES.index(incident.severity),
        incident.risk,
        incident.entity.type,
        incident.entity.id,
        incident.state,
        msgspec.json.encode(incident),
    )


def dead_columns(rejected: Rejected) -> tuple[Any, ...]:
    """Return the row of a dead letter; its key without the last column."""
    position = rejected.position
    return (
        position.stream,
        rejected.leg,
        rejected.reason,
        position.partition,
        position.offset,
        position.part,
        micros(rejected.at),
    )
