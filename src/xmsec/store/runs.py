"""The record of playbook runs in SQLite: a chain that is only ever appended to, each entry durable before it counts.

What the last entry is stands beside the chain too, so that an end that was cut off is missed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime

from xmsec.model.clock import rfc3339
from xmsec.model.errors import ConfigError, PolicyError
from xmsec.respond.chain import Entry, Kind, Verdict, broken, linked
from xmsec.respond.drive import HeldError
from xmsec.store.sqlite import SqliteStore

_HEAD = "chain_head"  # entry of `meta`: number and hash of the last entry
_SELECT = "SELECT number, run, kind, step, body, by, at, hash FROM chain"


class Runs:
    """The record that a Driver writes. now: the edge's clock; lock: of the home, for whoever carries out playbooks there."""

    def __init__(
        self,
        store: SqliteStore,
        now: Callable[[], datetime],
        lock: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._store, self._now, self._lock = store, now, lock
        store.connection.execute("PRAGMA synchronous = FULL")  # what a step does outside may not be repeatable

    def entries(self, run: str) -> Sequence[Entry]:
        """Return what is recorded of a run, in order."""
        return [_entry(row) for row in self._store.connection.execute(f"{_SELECT} WHERE run = ? ORDER BY number", (run,))]

    def append(self, run: str, kind: Kind, step: str, body: Mapping[str, str], by: str) -> Entry:
        """Record one more thing; it is on disk when this returns. Raises PolicyError behind an end that was cut off."""
        with self._store.transaction() as connection:
            row = connection.execute(f"{_SELECT} ORDER BY number DESC LIMIT 1").fetchone()
            previous = _entry(row) if row else None
            if _head(previous) != self._store.meta().get(_HEAD):
                raise PolicyError("the record of runs was altered", where="chain", remedy="see xmsec playbook verify")
            entry = linked(previous, run, kind, step, body, by, rfc3339(self._now()))
            columns = (entry.number, run, kind, step, json.dumps(entry.body, sort_keys=True), by, entry.at, entry.hash)
            connection.execute("INSERT INTO chain VALUES (?, ?, ?, ?, ?, ?, ?, ?)", columns)
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_HEAD, _head(entry)))
        return entry

    def runs(self) -> Sequence[str]:
        """Return the runs in the order in which they began."""
        return [run for (run,) in self._store.connection.execute("SELECT run FROM chain GROUP BY run ORDER BY min(number)")]

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
        entries = [_entry(row) for row in self._store.connection.execute(f"{_SELECT} ORDER BY number")]
        wrong = broken(entries)
        if wrong is None and _head(entries[-1] if entries else None) != self._store.meta().get(_HEAD):
            wrong = len(entries) + 1
        return Verdict(len(entries), wrong)


def _entry(row: Sequence[str]) -> Entry:
    number, run, kind, step, body, by, at, found = row
    return Entry(int(number), run, kind, step, _body(body), by, at, found)  # type: ignore[arg-type]  # kind as it was written


def _head(last: Entry | None) -> str | None:
    return None if last is None else f"{last.number} {last.hash}"


def _body(text: str) -> dict[str, str]:
    """Read an entry's facts; what was altered into something else is kept as text, so that its hash does not fit."""
    try:
        found = json.loads(text)
    except (TypeError, ValueError):
        found = None
    return found if isinstance(found, dict) else {"": str(text)}
