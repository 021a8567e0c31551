"""The audit trail: who read graded data, who changed what; entries chained by hash, only ever appended."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, Literal

import msgspec

from xmsec.console.keep import Keep
from xmsec.model.clock import rfc3339

GENESIS = "0" * 64
_END = 2**62
_AT_ONCE = 5_000  # entries that are checked while nobody else can write


class Entry(msgspec.Struct, frozen=True):
    """One thing that somebody did. what: the id of what it was done to; body: plain facts; hash: over all before and itself."""

    number: int
    kind: str
    by: str
    what: str
    body: dict[str, str]
    at: str
    hash: str


class Wanted(msgspec.Struct, frozen=True):
    """Which entries are meant; what is empty asks for nothing."""

    kind: str = ""
    by: str = ""
    what: str = ""
    since: datetime | None = None
    until: datetime | None = None


ANY = Wanted()


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

    def entries(self, before: int | None = None, limit: int = 100, wanted: Wanted = ANY) -> Sequence[Entry]:
        """Return the latest entries, the newest first; before: older than this number."""
        terms: list[str] = ["number < ?"]
        bound: list[int | str] = [_END if before is None else before]
        for term, value in (("kind = ?", wanted.kind), ("by = ?", wanted.by), ("what = ?", wanted.what)):
            if value:
                terms.append(term)
                bound.append(value)
        for term, at in (("at >= ?", wanted.since), ("at < ?", wanted.until)):
            if at is not None:
                terms.append(term)
                bound.append(rfc3339(at))
        return self._read(f"{' AND '.join(terms)} ORDER BY number DESC LIMIT ?", (*bound, limit))

    def told_of(self, name: str, limit: int) -> Sequence[Entry]:
        """Return the latest that was done by somebody, or to them."""
        both = {one.number: one for wanted in (Wanted(by=name), Wanted(what=name)) for one in self.entries(None, limit, wanted)}
        return [both[number] for number in sorted(both, reverse=True)[:limit]]

    def named(self, column: Literal["kind", "by"]) -> Sequence[str]:
        """Return the kinds that there are, or those who did something; each is one step in an index."""
        with self._keep.reading() as connection:
            rows = connection.execute(
                f"WITH RECURSIVE each(one) AS (SELECT min({column}) FROM audit UNION ALL"
                f" SELECT (SELECT min({column}) FROM audit WHERE {column} > one) FROM each WHERE one IS NOT NULL)"
                " SELECT one FROM each WHERE one <> ''"
            ).fetchall()
        return [one for (one,) in rows]

    def broken(self) -> int | None:
        """Return the number of the first entry that does not follow from those before it, or None when all do. Reads all."""
        previous, expected = GENESIS, 1
        while some := self._read("number >= ? ORDER BY number LIMIT ?", (expected, _AT_ONCE)):
            for entry in some:
                if entry.number != expected or entry.hash != link(previous, entry):
                    return expected
                previous, expected = entry.hash, expected + 1
        return None

    def _read(self, where: str, bound: Sequence[Any]) -> list[Entry]:
        query = f"SELECT number, kind, by, what, body, at, hash FROM audit WHERE {where}"
        with self._keep.reading() as connection:
            rows = connection.execute(query, bound).fetchall()
        return [Entry(row[0], row[1], row[2], row[3], json.loads(row[4]), row[5], row[6]) for row in rows]
