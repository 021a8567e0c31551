"""The audit trail: who read graded data, who changed what; entries chained by hash, only ever appended."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256

import msgspec

from xmsec.console.keep import Keep
from xmsec.model.clock import rfc3339

GENESIS = "0" * 64


class Entry(msgspec.Struct, frozen=True):
    """One thing that somebody did. what: the id of what it was done to; body: plain facts; hash: over all before and itself."""

    number: int
    kind: str
    by: str
    what: str
    body: dict[str, str]
    at: str
    hash: str


def link(previous: str, entry: Entry) -> str:
    """Hash an entry onto the one before it (SHA-256 over canonical JSON)."""
    facts = [previous, entry.number, entry.kind, entry.by, entry.what, entry.body, entry.at]
    return sha256(json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


class Audit:
    """Appends and shows entries."""

    def __init__(self, keep: Keep, now: Callable[[], datetime]) -> None:
        self._keep, self._now = keep, now

    def note(self, kind: str, by: str, what: str = "", body: Mapping[str, str] | None = None) -> None:
        """Append one entry; in the transaction of the change that it tells of, where there is one."""
        with self._keep.writing() as connection:
            last = connection.execute("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1").fetchone() or (0, GENESIS)
            bare = Entry(last[0] + 1, kind, by, what, dict(body or {}), rfc3339(self._now()), "")
            facts = json.dumps(bare.body, ensure_ascii=False, sort_keys=True)
            row = (bare.number, kind, by, what, facts, bare.at, link(last[1], bare))
            connection.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def entries(self, before: int | None = None, limit: int = 100) -> Sequence[Entry]:
        """Return the latest entries, the newest first; before: older than this number."""
        with self._keep.reading() as connection:
            rows = connection.execute(
                "SELECT number, kind, by, what, body, at, hash FROM audit WHERE number < ? ORDER BY number DESC LIMIT ?",
                (2**62 if before is None else before, limit),
            ).fetchall()
        return [Entry(row[0], row[1], row[2], row[3], json.loads(row[4]), row[5], row[6]) for row in rows]

    def broken(self) -> int | None:
        """Return the number of the first entry that does not follow from those before it, or None when all do."""
        previous, expected = GENESIS, 1
        for entry in reversed(self.entries(limit=-1)):
            if entry.number != expected or entry.hash != link(previous, entry):
                return expected
            previous, expected = entry.hash, expected + 1
        return None
