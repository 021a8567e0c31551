"""What people decide of incidents, in the embedded store: one transaction an act, together with what it changes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

import msgspec

from xmsec.model.errors import ServiceError
from xmsec.model.types import Act
from xmsec.store.incidents import place
from xmsec.store.states import micros

_act = msgspec.json.Decoder(Act)
_STATUS = "INSERT OR REPLACE INTO triage VALUES (?, ?, ?)"


class SqliteActs:
    """The Acts seam over the connection of the thread that asks; waits some seconds for the engine's own commit."""

    def __init__(self, connection: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connection

    def put(self, act: Act) -> bool:
        """Record an act and shape the incidents that it speaks of; false when it was recorded before. Raises ServiceError."""
        connection = self._connect()
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                fresh = _record(connection, act)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise ServiceError(f"the store cannot be written: {error}", where="store", remedy="check the disk") from error
        return fresh

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


def _record(connection: sqlite3.Connection, act: Act) -> bool:
    row = (act.id, micros(act.at), act.kind, msgspec.json.encode(act))
    if not connection.execute("INSERT OR IGNORE INTO acts VALUES (?, ?, ?, ?)", row).rowcount:
        return False
    connection.executemany("INSERT INTO act_incidents VALUES (?, ?)", [(one, act.id) for one in act.about])
    if act.kind == "status":
        connection.execute(_STATUS, (act.incident, act.status, act.assignee))
    elif act.kind != "comment":
        place(connection, act)
    return True
