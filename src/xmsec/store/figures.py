"""Figures of the embedded store: how much there is of what. Each is one statement over a connection of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from xmsec.model.ports import Flow
from xmsec.model.types import SEVERITIES, Clock, Proposals, Source
from xmsec.store.recording import ENTRY
from xmsec.store.states import micros

OBSERVED = 5_000  # fields with their types that are looked at together
CAME = ("parsed", "blank", "rejected")  # each record is one of them

_clock = msgspec.msgpack.Decoder(Clock)


def counts(connection: sqlite3.Connection) -> Mapping[tuple[str, str, str], int]:
    """Return what the road has counted since the home began: (what, stream, detail) → total."""
    rows = connection.execute("SELECT what, stream, detail, total FROM counts")
    return {(what, stream, detail): total for what, stream, detail, total in rows}


def findings(connection: sqlite3.Connection) -> Mapping[tuple[str, ...], float]:
    """Return how many findings there are: (severity, state) → count."""
    rows = connection.execute("SELECT severity, state, count(*) FROM findings WHERE exception = '' GROUP BY severity, state")
    return {(SEVERITIES[rank], state): count for rank, state, count in rows}


def incidents(connection: sqlite3.Connection) -> Mapping[tuple[str, ...], float]:
    """Return how many incidents there are: (severity, status) → count."""
    rows = connection.execute(
        "SELECT i.severity, COALESCE(t.status, 'new'), count(*) FROM incidents i"
        " LEFT JOIN triage t ON t.subject = i.id GROUP BY 1, 2"
    )
    return {(SEVERITIES[rank], status): count for rank, status, count in rows}


def told_since(connection: sqlite3.Connection, start: datetime) -> Mapping[str, int]:
    """Return how many entities each detector told for events since `start`: detector → entities."""
    entity = "entity_type || ' ' || entity_id"
    query = f"SELECT detector, count(DISTINCT {entity}) FROM findings WHERE time >= ? AND exception = '' GROUP BY detector"
    rows = connection.execute(query, (micros(start),))
    return dict(rows)


def states(connection: sqlite3.Connection) -> Mapping[tuple[str, ...], tuple[int, int]]:
    """Return how many states each detector keeps and their bytes: (owner,) → (states, bytes). Reads the whole table."""
    rows = connection.execute("SELECT owner, count(*), sum(length(body)) FROM states GROUP BY owner")
    return {(owner,): (count, size) for owner, count, size in rows}


def event_times(connection: sqlite3.Connection) -> Mapping[Source, datetime | None]:
    """Return the latest event time of each partition."""
    rows = connection.execute("SELECT stream, partition, body FROM clocks")
    return {(stream, partition): _clock.decode(body).maximum for stream, partition, body in rows}


def flows(connection: sqlite3.Connection) -> Mapping[str, Flow]:
    """Return what each stream brought. Reads what is counted by stream, not records."""
    by: dict[str, dict[str, int]] = {}
    for (what, stream, _), total in counts(connection).items():
        of = by.setdefault(stream, {})
        of[what] = of.get(what, 0) + total
    refused: dict[str, dict[tuple[str, str], int]] = {}
    for (stream, leg, reason), total in dead_totals(connection).items():
        refused.setdefault(stream, {})[leg, reason] = total
    clocks: dict[str, list[Clock]] = {}
    for stream, body in connection.execute("SELECT stream, body FROM clocks"):
        clocks.setdefault(stream, []).append(_clock.decode(body))
    return {
        name: Flow(
            sum(by.get(name, {}).get(what, 0) for what in CAME),
            by.get(name, {}),
            refused.get(name, {}),
            _latest(one.maximum for one in clocks.get(name, ())),
            _latest(one.received for one in clocks.get(name, ())),
        )
        for name in {*by, *refused, *clocks}
    }


def dead_totals(connection: sqlite3.Connection) -> Mapping[tuple[str, str, str], int]:
    """Return how many records were refused, listed or not: (stream, leg, reason) → total."""
    rows = connection.execute("SELECT stream, leg, reason, total FROM dead_totals ORDER BY stream, leg, reason")
    return {(stream, leg, reason): total for stream, leg, reason, total in rows}


def _latest(moments: Iterable[datetime | None]) -> datetime | None:
    return max((one for one in moments if one is not None), default=None)


def observed(connection: sqlite3.Connection, datasets: Sequence[str]) -> Proposals:
    """Return what was seen in which field of these datasets: (dataset, field, type) → spans."""
    places = ", ".join("?" * len(datasets))
    query = f"SELECT dataset, field, type, total FROM proposals WHERE dataset IN ({places}) LIMIT {OBSERVED}"
    return {(dataset, field, kind): total for dataset, field, kind, total in connection.execute(query, datasets)}


def observed_datasets(connection: sqlite3.Connection, limit: int) -> Sequence[str]:
    """Return the first datasets in which something was seen; each is one step in an index."""
    rows = connection.execute(
        "WITH RECURSIVE each(one) AS (SELECT min(dataset) FROM proposals UNION ALL"
        " SELECT (SELECT min(dataset) FROM proposals WHERE dataset > one) FROM each WHERE one IS NOT NULL)"
        " SELECT one FROM each WHERE one IS NOT NULL LIMIT ?",
        (limit,),
    )
    return [one for (one,) in rows]


def recorded(connection: sqlite3.Connection) -> str | None:
    """Return how far the home's own recording was written, with what was committed; None where there is none."""
    found: tuple[str] | None = connection.execute("SELECT value FROM meta WHERE key = ?", (ENTRY,)).fetchone()
    return None if found is None else found[0]


def size_bytes(connection: sqlite3.Connection) -> int:
    """Return the size of the database file."""
    (pages,), (page,) = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    return int(pages) * int(page)
