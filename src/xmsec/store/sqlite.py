"""The embedded store: all that batches gave is written in one SQLite transaction, or nothing of it.

Write-ahead log with synchronous=NORMAL: a killed process loses nothing that was committed; a power cut may lose the last
commits but never half of one, and since positions are in the same transaction, what was lost is read again.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from xmsec.model.clock import EPOCH
from xmsec.model.errors import ConfigError
from xmsec.model.ids import digest
from xmsec.model.ports import Held, Outcome, Owned
from xmsec.model.types import Clock, Finding, Intent, Position, Rejected, Source
from xmsec.store.claim import agrees
from xmsec.store.incidents import shape, write_incidents
from xmsec.store.migrate import migrate
from xmsec.store.statements import (
    ADD_COUNT,
    ADD_PROPOSAL,
    DROP_DEAD,
    PUT_CHANGE,
    PUT_DEAD,
    PUT_FINDING,
    PUT_STATE,
    dead_columns,
    finding_columns,
)
from xmsec.store.states import SqliteStates, from_micros, micros, state_hash
from xmsec.store.transaction import transaction

DEAD_ROWS = 1_000  # kept of one stream, leg and reason: enough to see a pattern; the total stays exact

_PRAGMAS = (
    "PRAGMA busy_timeout = 5000",
    "PRAGMA page_size = 8192",  # a state or finding of some KiB fits into a page; half the writes of 4096
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA cache_size = -65536",  # KiB; the states touched by a second of traffic stay in memory
    "PRAGMA wal_autocheckpoint = 8000",  # pages, 64 MB: a checkpoint waits for the disk, so not at every commit
)


def connect(path: Path) -> sqlite3.Connection:
    """Open a database at the newest schema version. Raises ConfigError."""
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            for pragma in _PRAGMAS:
                connection.execute(pragma)
            migrate(connection, str(path))
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise ConfigError(f"the store cannot be opened: {error}", where=str(path), remedy="check path and disk") from error
    return connection


class SqliteStore:
    """The Store seam; one thread at a time. Whoever writes holds the home's lock, so that memory and disk agree.

    codecs: the type of each owner's states. `states` lays what `absorb` hands it on top of what is committed.
    """

    def __init__(self, path: Path, codecs: Mapping[str, type[Any]]) -> None:
        self._path = path
        self.connection = connect(path)
        self.connection.execute("PRAGMA temp_store = MEMORY")  # what undoes a row with its triggers is else a file for each row
        self._states = SqliteStates(self.connection, codecs)
        self._encode = msgspec.msgpack.Encoder().encode

    def close(self) -> None:
        """Give the file back."""
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Hold a transaction that is committed at the end, or undone when an error leaves it. Raises ServiceError."""
        with transaction(self.connection, str(self._path)) as connection:
            yield connection

    def sync_commits(self) -> None:
        """Make every commit survive a power cut, for sources whose records are gone once they are committed."""
        self.connection.execute("PRAGMA synchronous = FULL")

    def states(self) -> SqliteStates:
        """Return what is committed, with what was absorbed since on top."""
        return self._states

    def positions(self, stream: str) -> Mapping[str, Position]:
        """Return the last committed position of each partition; offset -1 of one that has opened but gave no record."""
        return {
            partition: Position(stream, partition, clock.offset, clock.part)
            for (of, partition), clock in self._states.committed.items()
            if of == stream
        }

    def commit(
        self,
        outcomes: Sequence[Outcome],
        *,
        scan: Collection[Source] = (),
        meta: Mapping[str, str] | None = None,
        retried: Collection[Rejected] = (),
    ) -> None:
        """Write what batches gave, in one transaction; an outcome whose clocks have all passed already is left out.

        scan: the partitions that one scan reads, to whose input the findings belong; meta: entries that go with it; retried:
        dead letters whose records were taken this time, and which leave.
        """
        fresh, clocks = self._fresh(outcomes)
        states: dict[Owned, Held | None] = {}
        for outcome in fresh:
            states.update(outcome.states)
        with self.transaction():
            self._write_clocks(clocks)
            self._write_states(states)
            incidents = {incident.id: incident for outcome in fresh for incident in outcome.incidents}
            shaped = write_incidents(self.connection, incidents.values())
            findings = {finding.id: finding for outcome in fresh for finding in outcome.findings}
            self._write_findings(findings.values())
            shape(self.connection, shaped)
            self._write_scan(scan, findings)
            self._write_intents(intent for outcome in fresh for intent in outcome.intents)
            self._write_dead([rejected for outcome in fresh for rejected in outcome.rejected])
            self._write_counts(fresh)
            self._settle_dead(retried)
            self._write_meta(meta or {})
        self._states.settle(states, clocks)

    def reject(self, rejected: Iterable[Rejected]) -> int:
        """Write what is wrong with whole inputs, such as a truncated file; return how many were not known before."""
        known = "SELECT 1 FROM dead WHERE stream = ? AND leg = ? AND reason = ? AND partition = ? AND offset = ? AND part = ?"
        fresh = [one for one in rejected if self.connection.execute(known, dead_columns(one)[:6]).fetchone() is None]
        with self.transaction():
            self._write_dead(fresh)
            totals = Counter(("rejected", one.position.stream, f"{one.leg}:{one.reason}") for one in fresh)
            self.connection.executemany(ADD_COUNT, ((*names, total) for names, total in totals.items()))
        return len(fresh)

    def dead(self, stream: str | None = None) -> Sequence[Rejected]:
        """Return the dead letters that are kept, of one stream or of all, in the order of their positions."""
        query = "SELECT stream, partition, offset, part, leg, reason, at FROM dead ORDER BY stream, partition, offset, part"
        return [
            Rejected(Position(*row[:4]), row[4], row[5], from_micros(row[6]))
            for row in self.connection.execute(query)
            if stream in (None, row[0])
        ]

    def claim(self, key_check: str) -> None:
        """Make sure that this store's tokens were made with these keys, and note newer ones. Raises ConfigError."""
        present = self.meta().get("key_check")
        if present is None or not agrees(present, key_check, str(self._path)):
            with self.transaction():
                self._write_meta({"key_check": key_check})

    def meta(self) -> Mapping[str, str]:
        """Return the entries that were committed with outcomes."""
        return dict(self.connection.execute("SELECT key, value FROM meta"))

    def counts(self) -> Mapping[tuple[str, str, str], int]:
        """Return how often what was seen: (what, stream, detail) → total."""
        rows = self.connection.execute("SELECT what, stream, detail, total FROM counts ORDER BY what, stream, detail")
        return {(what, stream, detail): total for what, stream, detail, total in rows}

    def proposals(self) -> Mapping[tuple[str, str, str], int]:
        """Return which types were seen in which fields: (dataset, field, type) → spans."""
        rows = self.connection.execute("SELECT dataset, field, type, total FROM proposals ORDER BY dataset, field, type")
        return {(dataset, field, kind): total for dataset, field, kind, total in rows}

    def intents(self) -> Sequence[Intent]:
        """Return every wish that a playbook run, in the order of their ids."""
        return [Intent(*row) for row in self.connection.execute("SELECT id, playbook, incident FROM intents ORDER BY id")]

    def _fresh(self, outcomes: Sequence[Outcome]) -> tuple[list[Outcome], dict[Source, Clock]]:
        """Leave out what is committed: the same outcome twice changes nothing, its counts included."""
        clocks: dict[Source, Clock] = {}
        fresh: list[Outcome] = []
        for outcome in outcomes:
            news = [
                source
                for source, clock in outcome.clocks.items()
                if not _passed(clock, clocks.get(source) or self._states.committed.get(source))
            ]
            if news or not outcome.clocks:
                fresh.append(outcome)
                clocks.update(outcome.clocks)
        return fresh, clocks

    def _write_clocks(self, clocks: Mapping[Source, Clock]) -> None:
        self.connection.executemany(
            "INSERT OR REPLACE INTO clocks VALUES (?, ?, ?)",
            [(*source, self._encode(clock)) for source, clock in clocks.items()],
        )

    def _write_states(self, states: Mapping[Owned, Held | None]) -> None:
        encode = self._encode
        rows = [
            (
                state_hash(owner, key),
                owner,
                key.kind,
                key.value,
                None if held.due is None else micros(held.due),
                encode(held.state),
            )
            for (owner, key), held in states.items()
            if held is not None
        ]
        self.connection.executemany(PUT_STATE, rows)
        gone = [(state_hash(owner, key),) for (owner, key), held in states.items() if held is None]
        self.connection.executemany("DELETE FROM states WHERE hash = ?", gone)

    def _write_findings(self, findings: Iterable[Finding]) -> None:
        """Write findings by id; the last word counts, because a record that came late opens a final one again."""
        rows = [finding_columns(finding) for finding in findings]
        self.connection.executemany(PUT_FINDING, rows)
        self.connection.executemany(PUT_CHANGE, [row[:1] for row in rows])

    def _write_scan(self, scan: Collection[Source], findings: Iterable[str]) -> None:
        if scan:
            name = scan_id(scan)
            self.connection.executemany("INSERT OR IGNORE INTO scans VALUES (?, ?, ?)", [(*source, name) for source in scan])
            rows = [(name, finding) for finding in findings]
            self.connection.executemany("INSERT OR IGNORE INTO scan_findings VALUES (?, ?)", rows)

    def _write_intents(self, intents: Iterable[Intent]) -> None:
        rows = [(intent.id, intent.playbook, intent.incident) for intent in intents]
        self.connection.executemany("INSERT OR IGNORE INTO intents VALUES (?, ?, ?)", rows)

    def _write_dead(self, rejected: Sequence[Rejected]) -> None:
        """Keep the first letters of each stream, leg and reason, and the total of all."""
        totals: dict[tuple[str, str, str], int] = {}
        for one in rejected:
            names = (one.position.stream, one.leg, one.reason)
            if names not in totals:
                query = "SELECT total FROM dead_totals WHERE stream = ? AND leg = ? AND reason = ?"
                row = self.connection.execute(query, names).fetchone()
                totals[names] = row[0] if row else 0
            totals[names] += 1
            if totals[names] <= DEAD_ROWS:
                self.connection.execute(PUT_DEAD, dead_columns(one))
        rows = [(*names, total) for names, total in totals.items()]
        self.connection.executemany("INSERT OR REPLACE INTO dead_totals VALUES (?, ?, ?, ?)", rows)

    def _settle_dead(self, retried: Collection[Rejected]) -> None:
        """Take dead letters away whose records were taken after all."""
        for one in retried:
            columns = dead_columns(one)[:6]
            self.connection.execute(DROP_DEAD, columns)
            self.connection.execute(
                "UPDATE dead_totals SET total = total - 1 WHERE stream = ? AND leg = ? AND reason = ?", columns[:3]
            )
        self.connection.execute("DELETE FROM dead_totals WHERE total <= 0")

    def _write_counts(self, outcomes: Sequence[Outcome]) -> None:
        counts: Counter[tuple[str, str, str]] = Counter()
        proposals: Counter[tuple[str, str, str]] = Counter()
        for outcome in outcomes:
            counts.update(outcome.counts)
            proposals.update(outcome.proposals)
        self.connection.executemany(ADD_COUNT, [(*names, total) for names, total in counts.items()])
        self.connection.executemany(ADD_PROPOSAL, [(*names, total) for names, total in proposals.items()])

    def _write_meta(self, entries: Mapping[str, str]) -> None:
        self.connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(entries.items()))


def scan_id(scan: Collection[Source]) -> str:
    """Name a set of partitions."""
    return digest("scan", *(part for source in sorted(scan) for part in source))


def _passed(clock: Clock, committed: Clock | None) -> bool:
    """Whether a clock stands where the committed one already was; a tick moves `received`, or the state alone."""
    if committed is None:
        return False
    here, there = _place(clock), _place(committed)
    return clock == committed if here == there else here < there


def _place(clock: Clock) -> tuple[int, int, datetime]:
    return (clock.offset, clock.part, clock.received or EPOCH)
