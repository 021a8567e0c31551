"""The record of all runs: entries chained by hash, so that none can be altered, left out or put in between unseen."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Literal

import msgspec

GENESIS = "0" * 64
Kind = Literal["started", "approved", "refused", "applying", "applied", "unknown", "failed", "ended"]


class Entry(msgspec.Struct, frozen=True):
    """One thing that happened to a run. at: RFC 3339; by: who; body: plain facts; hash: over all before it and itself."""

    number: int
    run: str
    kind: Kind
    step: str
    body: dict[str, str]
    by: str
    at: str
    hash: str


def link(previous: str, entry: Entry) -> str:
    """Hash an entry onto the one before it (SHA-256 over canonical JSON)."""
    facts = [previous, entry.number, entry.run, entry.kind, entry.step, entry.body, entry.by, entry.at]
    return sha256(json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def linked(
    previous: Entry | None, run: str, kind: Kind, step: str, body: Mapping[str, str], by: str, at: str
) -> Entry:  # the seven facts of an entry
    """Make the entry that follows `previous`."""
    number = 1 if previous is None else previous.number + 1
    bare = Entry(number, run, kind, step, dict(body), by, at, "")
    return msgspec.structs.replace(bare, hash=link(GENESIS if previous is None else previous.hash, bare))


class Verdict(msgspec.Struct, frozen=True):
    """How many entries were checked; wrong: the number of the first that does not follow or is missing, run: of which run."""

    count: int
    wrong: int | None = None
    run: str = ""


def broken(entries: Iterable[Entry]) -> int | None:
    """Return the number of the first entry that does not follow from those before it, or None when all do."""
    previous, expected = GENESIS, 1
    for entry in entries:
        if entry.number != expected or entry.hash != link(previous, entry):
            return expected
        previous, expected = entry.hash, expected + 1
    return None
