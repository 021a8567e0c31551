"""What people decide of incidents, in the embedded store: one transaction an act, together with what it changes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from xmsec.model.types import Act
from xmsec.store.incidents import place
from xmsec.store.sqlite import SqliteStore
from xmsec.store.states import micros

_act = msgspec.json.Decoder(Act)


class SqliteActs:
    """The Acts seam over the embedded store."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    def put(self, act: Act) -> bool:
        """Record an act and shape the incidents that it speaks of; false when it was recorded before."""
        with self._store.transaction() as connection:
            row = (act.id, micros(act.at), act.kind, msgspec.json.encode(act))
            if not connection.execute("INSERT OR IGNORE INTO acts VALUES (?, ?, ?, ?)", row).rowcount:
                return False
            connection.executemany("INSERT INTO act_incidents VALUES (?, ?)", [(one, act.id) for one in act.about])
            if act.kind == "status":
                connection.execute("INSERT OR REPLACE INTO triage VALUES (?, ?, ?)", (act.incident, act.status, act.assignee))
            elif act.kind != "comment":
                place(connection, act)
        return True

    def of(self, incident: str) -> Sequence[Act]:
        """Return the acts that speak of an incident, or of one that was merged into it, in the order of their time."""
        query = "SELECT DISTINCT a.at, a.id, a.body FROM act_incidents i JOIN acts a ON a.id = i.act WHERE i.incident = ?"
        rows = {row for part in self.parts(incident) for row in self._store.connection.execute(query, (part,))}
        return [_act.decode(body) for _, _, body in sorted(rows)]

    def parts(self, incident: str) -> Sequence[str]:
        """Return an incident's id, and those that were merged into it."""
        rows = self._store.connection.execute("SELECT part FROM shaped WHERE root = ?", (incident,))
        return sorted({incident, *(part for (part,) in rows)})
