"""What people decide of incidents, in the embedded store: one transaction an act, together with what it changes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

import msgspec

from xmsec.model.types import Act, Finding
from xmsec.store.incidents import place
from xmsec.store.statements import PUT_FINDING, finding_columns
from xmsec.store.states import micros
from xmsec.store.transaction import transaction

_act = msgspec.json.Decoder(Act)
AT_ONCE = 500  # findings that one transaction marks: some 400 ms
_finding = msgspec.json.Decoder(Finding)
_STATUS = (
    "INSERT INTO triage VALUES (?1, ?2, COALESCE(?3, '')) ON CONFLICT (subject) DO UPDATE"
    " SET status = excluded.status, assignee = COALESCE(?3, assignee)"
)


class SqliteActs:
    """The Acts seam over the connection of the thread that asks; waits some seconds for the engine's own commit."""

    def __init__(self, connection: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connection

    def put(self, act: Act) -> bool:
        """Record an act and shape the incidents that it speaks of; false when it was recorded before. Raises ServiceError."""
        with transaction(self._connect()) as connection:
            return _record(connection, act)

    def cover(self, findings: Sequence[str], exception: str) -> None:
        """Let an exception cover findings that none covers, in steps: the engine commits between them. Raises ServiceError."""
        for start in range(0, len(findings), AT_ONCE):
            with transaction(self._connect()) as connection:
                _cover(connection, findings[start : start + AT_ONCE], exception)

    def of(self, incident: str) -> Sequence[Act]:
        """Return the acts that speak of an incident, or of one that was merged into it, in the order of their time."""
        query = "SELECT DISTINCT a.at, a.id, a.body FROM act_incidents i JOIN acts a ON a.id = i.act WHERE i.incident = ?"
        connection = self._connect()
        rows = {row for part in self.parts(incident) for row in connection.execute(query, (part,))}
        return [_act.decode(body) for _, _, body in sorted(rows)]

    def parts(self, incident: str) -> Sequence[str]:
        """Return an incident's id, and those that were merged into it."""
        rows = self._connect().execute("SELECT part FROM shaped WHERE root = ?", (incident,))
        return sorted({incident, *(part for (part,) in rows)})


def _cover(connection: sqlite3.Connection, findings: Sequence[str], exception: str) -> None:
    for one in findings:
        row = connection.execute("SELECT body FROM findings WHERE id = ? AND exception = ''", (one,)).fetchone()
        if row is not None:
            covered = msgspec.structs.replace(_finding.decode(row[0]), exception=exception)
            connection.execute(PUT_FINDING, finding_columns(covered))


def _record(connection: sqlite3.Connection, act: Act) -> bool:
    row = (act.id, micros(act.at), act.kind, msgspec.json.encode(act))
    if not connection.execute("INSERT OR IGNORE INTO acts VALUES (?, ?, ?, ?)", row).rowcount:
        return False
    connection.executemany("INSERT INTO act_incidents VALUES (?, ?)", [(one, act.id) for one in act.about])
    if act.kind == "status":
        connection.executemany(_STATUS, [(one, act.status, act.assignee) for one in act.findings or (act.incident,)])
    elif act.kind != "comment":
        place(connection, act)
    return True
