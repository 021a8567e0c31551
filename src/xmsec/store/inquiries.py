"""Who asked whose trail, and why: a file that is only appended to, its lines chained by hash, each on disk before it counts."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import IO

import msgspec

from xmsec.model.clock import rfc3339
from xmsec.model.errors import PolicyError
from xmsec.respond.chain import GENESIS
from xmsec.store.durable import sync_folder

NAME = "trail.jsonl"
LATEST_BYTES = 256 << 10  # how far back somebody's latest questions are looked for


class Inquiry(msgspec.Struct, frozen=True):
    """One line. what: `asked` before anything is read, `answered` after; body: plain facts; hash: over all up to itself."""

    number: int
    what: str
    by: str
    at: str
    body: dict[str, str]
    hash: str


class Inquiries:
    """The record of a home. Raises PolicyError when it was altered: then nothing is answered."""

    def __init__(self, home: Path) -> None:
        self._path = home / NAME

    def append(self, what: str, by: str, body: Mapping[str, str], now: datetime) -> Inquiry:
        """Record one more thing; it is on disk when this returns."""
        with self._alone() as file:
            last = self._last(file)
            number = 1 if last is None else last.number + 1
            bare = Inquiry(number, what, by, rfc3339(now), dict(body), "")
            entry = msgspec.structs.replace(bare, hash=chained(GENESIS if last is None else last.hash, bare))
            file.seek(0, os.SEEK_END)
            file.write(msgspec.json.encode(entry) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return entry

    def entries(self) -> list[Inquiry]:
        """Return every line, in order; one that is none is a line whose hash does not fit."""
        if not self._path.exists():
            return []
        return [_read(line) for line in self._path.read_bytes().splitlines()]

    def latest(self, by: str, limit: int) -> list[tuple[Inquiry, Inquiry | None]]:
        """Return what somebody asked last, the newest first, each with its answer's line; None: it was not answered."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            start = max(0, file.seek(0, os.SEEK_END) - LATEST_BYTES)
            file.seek(start)
            lines = file.read().splitlines()[1 if start else 0 :]
        mine = [one for one in map(_read, lines) if one.by == by]
        answers = {one.body.get("asked"): one for one in mine if one.what == "answered"}
        asked = [one for one in reversed(mine) if one.what == "asked"]
        return [(one, answers.get(str(one.number))) for one in asked[:limit]]

    def broken(self) -> int | None:
        """Return the number of the first line that does not follow from those before it; None when all do."""
        previous = GENESIS
        for number, entry in enumerate(self.entries(), 1):
            if entry.number != number or entry.hash != chained(previous, entry):
                return number
            previous = entry.hash
        return None

    def _last(self, file: IO[bytes]) -> Inquiry | None:
        """Check the chain and return its end: it is short, a line an inquiry."""
        wrong = self.broken()
        if wrong is not None:
            what = f"the record of inquiries was altered at line {wrong}"
            raise PolicyError(what, where=str(self._path), remedy="keep it as evidence, move it away, and say so")
        entries = self.entries()
        return entries[-1] if entries else None

    @contextmanager
    def _alone(self) -> Iterator[IO[bytes]]:
        new = not self._path.exists()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if new:
                sync_folder(self._path.parent)
            yield file


def chained(previous: str, entry: Inquiry) -> str:
    """Hash a line onto the one before it (SHA-256 over canonical JSON)."""
    facts = [previous, entry.number, entry.what, entry.by, entry.at, entry.body]
    return sha256(json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def _read(line: bytes) -> Inquiry:
    try:
        return msgspec.json.decode(line, type=Inquiry)
    except msgspec.DecodeError:
        return Inquiry(0, "", "", "", {}, "")
