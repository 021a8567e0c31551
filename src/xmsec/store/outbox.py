"""What goes out, durably: how far each destination has come, what waits for it, and what it was told.

One file of a home, `outbox.sqlite`. In production it is the feed too: a worker puts findings here before it acknowledges them,
and they stay until every destination has come past them. Every write is synced: what was told is not told again after a crash,
except for what was on its way at that very moment.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from threading import RLock

import msgspec

from xmsec.model.errors import ConfigError, ServiceError
from xmsec.model.types import Finding
from xmsec.store.feed import Placed
from xmsec.store.states import from_micros, micros

NAME = "outbox.sqlite"
REMEMBERED = timedelta(days=40)  # a finding's window is a week at most; and Kafka says again what it keeps for one
LOG_FINDINGS = 1_000_000  # that wait for the slowest destination; some GB
_IDS = 500
_SCHEMA = """
CREATE TABLE IF NOT EXISTS destinations (
    name TEXT PRIMARY KEY,
    begun INTEGER NOT NULL,
    place INTEGER NOT NULL,
    state BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS told (
    destination TEXT NOT NULL,
    finding TEXT NOT NULL,
    mark TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (destination, finding)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS told_by_time ON told (at);
CREATE TABLE IF NOT EXISTS log (seq INTEGER PRIMARY KEY AUTOINCREMENT, finding TEXT NOT NULL UNIQUE, body BLOB NOT NULL);
"""


class Outbox:
    """Several threads and processes may use it; who delivers holds the home's lock for that (`lock.DELIVERIES`)."""

    def __init__(self, home: Path) -> None:
        self._path, self._turn = home / NAME, RLock()
        home.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=10.0)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.executescript(_SCHEMA)
        except sqlite3.Error as error:
            what = f"the outbox cannot be opened: {error}"
            raise ConfigError(what, where=str(self._path), remedy="check path and disk") from error

    def close(self) -> None:
        """Give the file back."""
        with self._turn:
            self._connection.close()

    def begin(self, name: str, place: int, now: datetime) -> int:
        """Return how far a destination has come; one that is new begins at `place`, now."""
        with self._writing():
            self._connection.execute("INSERT OR IGNORE INTO destinations VALUES (?, ?, ?, X'')", (name, micros(now), place))
            return int(self._one("SELECT place FROM destinations WHERE name = ?", name))

    def begun(self) -> datetime:
        """Return when the first destination began: what happened before is nobody's news."""
        return from_micros(int(self._one("SELECT coalesce(min(begun), 0) FROM destinations")))

    def state(self, name: str) -> bytes:
        """Return what waits for a destination, as it was saved; nothing at first."""
        return bytes(self._one("SELECT state FROM destinations WHERE name = ?", name) or b"")

    def told(self, name: str, findings: Sequence[str]) -> Mapping[str, str]:
        """Return the marks of those findings that a destination was told of."""
        known: dict[str, str] = {}
        for start in range(0, len(findings), _IDS):
            some = findings[start : start + _IDS]
            query = f"SELECT finding, mark FROM told WHERE destination = ? AND finding IN ({', '.join('?' * len(some))})"
            with self._turn:
                known.update(self._connection.execute(query, (name, *some)).fetchall())
        return known

    def count(self, name: str) -> int:
        """Return of how many findings a destination was told."""
        return int(self._one("SELECT count(*) FROM told WHERE destination = ?", name))

    def save(self, name: str, place: int, state: bytes, marks: Mapping[str, str], at: datetime) -> None:
        """Note how far a destination has come, what waits for it and what it was told, in one transaction."""
        rows = [(name, finding, mark, micros(at)) for finding, mark in marks.items()]
        with self._writing():
            self._connection.execute("UPDATE destinations SET place = ?, state = ? WHERE name = ?", (place, state, name))
            self._connection.executemany("INSERT OR REPLACE INTO told VALUES (?, ?, ?, ?)", rows)

    def put(self, findings: Iterable[Finding]) -> None:
        """Take findings into the log, each at its end. Raises ServiceError when the slowest destination is too far behind."""
        rows = [(one.id, msgspec.json.encode(one)) for one in findings]
        if self._one("SELECT count(*) FROM log") >= LOG_FINDINGS:
            raise ServiceError("the outbox is full", where=str(self._path), remedy="see xmsec notify list")
        with self._writing():
            self._connection.executemany("INSERT OR REPLACE INTO log (finding, body) VALUES (?, ?)", rows)

    def head(self) -> int:
        """Return the last place of the log, also after it was emptied."""
        return int(self._one("SELECT seq FROM sqlite_sequence WHERE name = 'log'") or 0)

    def after(self, place: int, limit: int) -> Sequence[Placed]:
        """Return what the log holds after a place, in order."""
        with self._turn:
            rows = self._connection.execute(
                "SELECT seq, body FROM log WHERE seq > ? ORDER BY seq LIMIT ?", (place, limit)
            ).fetchall()
        return [(seq, msgspec.json.decode(body, type=Finding)) for seq, body in rows]

    def behind(self, place: int) -> int:
        """Return how many findings the log holds after a place."""
        return int(self._one("SELECT count(*) FROM log WHERE seq > ?", place))

    def prune(self, names: Sequence[str], now: datetime) -> None:
        """Forget what every one of these destinations has come past, and what was told long ago."""
        marks = ", ".join("?" * len(names))
        with self._writing():
            past = f"DELETE FROM log WHERE seq <= (SELECT min(place) FROM destinations WHERE name IN ({marks}))"
            self._connection.execute(past, names)
            self._connection.execute("DELETE FROM told WHERE at < ?", (micros(now - REMEMBERED),))

    def _one(self, query: str, *values: object) -> int:
        with self._turn:
            row = self._connection.execute(query, values).fetchone()
        return row[0] if row else 0

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold a transaction. Raises ServiceError when the disk does not take it."""
        with self._turn:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield
                except BaseException:
                    self._connection.execute("ROLLBACK")
                    raise
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                what = f"the outbox cannot be written: {error}"
                raise ServiceError(what, where=str(self._path), remedy="check the disk") from error
