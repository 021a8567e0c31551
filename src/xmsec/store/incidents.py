"""Incidents in SQLite: what the engine says, and over it what people decided."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence

import msgspec

from xmsec.findings.shape import Fact, placement, shaped
from xmsec.model.types import Act, Incident
from xmsec.store.statements import PUT_INCIDENT, incident_columns

_VALUES = 500  # values in one statement; SQLite takes 32,766
_incident = msgspec.json.Decoder(Incident)
_fact = msgspec.json.Decoder(Fact)
_act = msgspec.json.Decoder(Act)


def write_incidents(connection: sqlite3.Connection, incidents: Iterable[Incident]) -> Collection[str]:
    """Write what the engine says, before its findings, so that each is written with its incident.

    Returns those that people shaped: they are to be shaped anew when the findings are there, within the same transaction.
    """
    plain: list[Incident] = []
    roots: set[str] = set()
    for incident in incidents:
        row = connection.execute("SELECT root FROM shaped WHERE part = ?", (incident.id,)).fetchone()
        if row is None:
            plain.append(incident)
        else:
            roots.add(row[0])
            roots.update(_put_elsewhere(connection, incident.findings))
            _keep(connection, incident.id, msgspec.json.encode(incident))
    for incident in plain:
        _show(connection, incident.id, incident if incident.findings else None)
    return roots


def shape(connection: sqlite3.Connection, roots: Iterable[str]) -> None:
    """Show incidents as they follow from the engine's word on their parts, and from where findings were put."""
    for root in sorted(roots):
        _shape(connection, root)


def place(connection: sqlite3.Connection, act: Act) -> None:
    """Write down anew where things are put, and shape what the act speaks of."""
    before: dict[str, str] = dict(connection.execute("SELECT part, root FROM shaped"))
    acts = connection.execute("SELECT body FROM acts WHERE kind IN ('merge', 'split', 'move')")
    now = placement(_act.decode(body) for (body,) in acts)
    connection.execute("DELETE FROM shaped")
    connection.execute("DELETE FROM placed")
    rows = [(part, root, now.base_by_made.get(root, root)) for part, root in now.root_by_part.items()]
    connection.executemany("INSERT INTO shaped VALUES (?, ?, ?)", rows)
    connection.executemany("INSERT INTO placed VALUES (?, ?)", list(now.placed.items()))
    for part in sorted(now.root_by_part.keys() - before.keys()):
        for (body,) in connection.execute("SELECT body FROM incidents WHERE id = ?", (part,)).fetchall():
            _keep(connection, part, body)
    moved = {part for part, root in now.root_by_part.items() if before.get(part) != root}  # with what was merged into a part
    for part in sorted(moved):
        if now.root_by_part[part] != part:
            _show(connection, part, None)
    shape(connection, {now.root_by_part[part] for part in {*act.about, *moved}})


def _put_elsewhere(connection: sqlite3.Connection, findings: Sequence[str]) -> set[str]:
    """Return the incidents into which people put findings of one: there they have grown, too."""
    rows = (connection.execute("SELECT incident FROM placed WHERE finding = ?", (one,)).fetchone() for one in findings)
    return {row[0] for row in rows if row is not None}


def _keep(connection: sqlite3.Connection, name: str, body: bytes) -> None:
    connection.execute("INSERT OR REPLACE INTO own_incidents VALUES (?, ?)", (name, body))


def _shape(connection: sqlite3.Connection, root: str) -> None:
    own = {
        part: _incident.decode(body)
        for part, body in connection.execute(
            "SELECT s.part, o.body FROM shaped s JOIN own_incidents o ON o.id = s.part WHERE s.root = ?", (root,)
        )
    }
    (base,) = connection.execute("SELECT base FROM shaped WHERE part = ?", (root,)).fetchone()
    row = connection.execute("SELECT body FROM own_incidents WHERE id = ?", (base,)).fetchone()
    if row is None:
        return
    members = {finding for incident in own.values() for finding in incident.findings}
    elsewhere = connection.execute("SELECT finding FROM placed WHERE incident <> ?", (root,))
    members -= {finding for (finding,) in elsewhere}
    members |= {finding for (finding,) in connection.execute("SELECT finding FROM placed WHERE incident = ?", (root,))}
    _show(connection, root, shaped(root, _incident.decode(row[0]), _facts(connection, sorted(members))))


def _facts(connection: sqlite3.Connection, members: Sequence[str]) -> Iterable[Fact]:
    for start in range(0, len(members), _VALUES):
        some = members[start : start + _VALUES]
        query = f"SELECT body FROM findings WHERE exception = '' AND id IN ({', '.join('?' * len(some))})"
        yield from (_fact.decode(body) for (body,) in connection.execute(query, some).fetchall())


def _show(connection: sqlite3.Connection, name: str, incident: Incident | None) -> None:
    """Write what is shown of an incident, or that it is not; a finding that somebody put elsewhere is not taken back.

    Of many findings the engine names the least: one that is no longer among them must leave, or commits would have a say.
    """
    members = [] if incident is None else incident.findings
    connection.execute(
        "DELETE FROM incident_findings WHERE incident = ? AND finding NOT IN (SELECT value FROM json_each(?))",
        (name, msgspec.json.encode(members).decode()),
    )
    if incident is None:
        connection.execute("DELETE FROM incidents WHERE id = ?", (name,))
        return
    connection.execute(PUT_INCIDENT, incident_columns(incident))
    connection.executemany(
        "INSERT INTO incident_findings SELECT ?1, ?2"
        " WHERE NOT EXISTS (SELECT 1 FROM placed WHERE finding = ?1 AND incident <> ?2)"
        " ON CONFLICT (finding) DO UPDATE SET incident = excluded.incident WHERE incident <> excluded.incident",
        [(finding, name) for finding in members],
    )
