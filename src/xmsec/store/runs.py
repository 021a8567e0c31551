"""The record of playbook runs in SQLite: a chain that is only ever appended to, each entry durable before it counts.

What the last entry is stands beside the chain too, so that an end that was cut off is missed.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime

from xmsec.model.clock import rfc3339
from xmsec.model.errors import ConfigError, PolicyError
from xmsec.respond.chain import GENESIS, Entry, Kind, Verdict, broken, link, linked
from xmsec.respond.drive import HeldError
from xmsec.store.transaction import transaction

_HEAD = "chain_head"  # entry of `meta`: number and hash of the last entry
_INCIDENT = "CASE WHEN json_valid(body) THEN json_extract(body, '$.incident') END"  # as the index chain_by_incident has it
_SELECT = "SELECT number, run, kind, step, body, by, at, hash FROM chain"


class Runs:
    """The record that a Driver writes. now: the edge's clock; lock: of the home, for whoever carries out playbooks there."""

    def __init__(
        self,
        connection: Callable[[], sqlite3.Connection],
        now: Callable[[], datetime],
        lock: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._connect, self._now, self._lock = connection, now, lock

    def entries(self, run: str) -> Sequence[Entry]:
        """Return what is recorded of a run, in order."""
        return [_entry(row) for row in self._connect().execute(f"{_SELECT} WHERE run = ? ORDER BY number", (run,))]

    def append(self, run: str, kind: Kind, step: str, body: Mapping[str, str], by: str) -> Entry:
        """Record one more thing; it is on disk when this returns. Raises PolicyError behind an end that was cut off."""
        connection = self._connect()
        connection.execute("PRAGMA synchronous = FULL")  # what a step does outside may not be repeatable
        with transaction(connection):
            row = connection.execute(f"{_SELECT} ORDER BY number DESC LIMIT 1").fetchone()
            previous = _entry(row) if row else None
            if _head(previous) != _noted(connection):
                raise PolicyError("the record of runs was altered", where="chain", remedy="see xmsec playbook verify")
            entry = linked(previous, run, kind, step, body, by, rfc3339(self._now()))
            columns = (entry.number, run, kind, step, json.dumps(entry.body, sort_keys=True), by, entry.at, entry.hash)
            connection.execute("INSERT INTO chain VALUES (?, ?, ?, ?, ?, ?, ?, ?)", columns)
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_HEAD, _head(entry)))
        return entry

    def runs(self) -> Sequence[str]:
        """Return the runs in the order in which they began."""
        return [run for (run,) in self._connect().execute("SELECT run FROM chain GROUP BY run ORDER BY min(number)")]

    def of(self, incidents: Sequence[str]) -> Mapping[str, Sequence[Entry]]:
        """Return the runs that began for these incidents, in the order in which they began, with what is recorded of them."""
        began = f"SELECT run FROM chain WHERE kind = 'started' AND {_INCIDENT} IN ({', '.join('?' * len(incidents))})"
        found: dict[str, list[Entry]] = {}
        for row in self._connect().execute(f"{_SELECT} WHERE run IN ({began}) ORDER BY number", tuple(incidents)):
            found.setdefault(row[1], []).append(_entry(row))
        return found

    def follows(self, run: str) -> bool:
        """Whether each entry of a run follows from the one before it, which may be of another run."""
        query = f"{_SELECT} WHERE run = ?1 OR number IN (SELECT number - 1 FROM chain WHERE run = ?1)"
        by_number = {entry.number: entry for entry in map(_entry, self._connect().execute(query, (run,)))}
        own = [entry for entry in by_number.values() if entry.run == run]
        before = [by_number[one.number - 1].hash if one.number - 1 in by_number else GENESIS for one in own]
        return bool(own) and all(one.hash == link(hash_, one) for one, hash_ in zip(own, before, strict=True))

    @contextmanager
    def hold(self, run: str, *, patient: bool = True) -> Iterator[None]:
        """Carry out playbooks here, alone. Raises HeldError when another process does, at once: a lock dies with its holder."""
        try:
            lock = self._lock()
        except ConfigError as error:
            raise HeldError(error.what, where=error.where, remedy=error.remedy) from error
        with lock:
            yield

    def abandoned(self) -> Iterable[str]:
        """Return nothing: here a person goes on with a run that was interrupted."""
        return ()

    def verify(self) -> Verdict:
        """Return how many entries there are, and the first that does not follow from those before it, or is not there."""
        entries = [_entry(row) for row in self._connect().execute(f"{_SELECT} ORDER BY number")]
        wrong = broken(entries)
        if wrong is None and _head(entries[-1] if entries else None) != _noted(self._connect()):
            wrong = len(entries) + 1
        return Verdict(len(entries), wrong)


def _entry(row: Sequence[str]) -> Entry:
    number, run, kind, step, body, by, at, found = row
    return Entry(int(number), run, kind, step, _body(body), by, at, found)  # type: ignore[arg-type]  # kind as it was written


def _noted(connection: sqlite3.Connection) -> str | None:
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (_HEAD,)).fetchone()
    return None if row is None else str(row[0])


def _head(last: Entry | None) -> str | None:
    return None if last is None else f"{last.number} {last.hash}"


def _body(text: str) -> dict[str, str]:
    """Read an entry's facts; what was altered into something else is kept as text, so that its hash does not fit."""
    try:
        found = json.loads(text)
    except (TypeError, ValueError):
        found = None
    return found if isinstance(found, dict) else {"": str(text)}
