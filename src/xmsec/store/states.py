"""What a deployment remembers, read from SQLite as it is asked for, with what was touched since the last commit on top.

Memory is bounded by the cache and by what one commit's batches touch, not by how many keys there are.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from hashlib import blake2b
from itertools import count
from typing import Any

import msgspec

from xmsec.model.clock import EPOCH
from xmsec.model.errors import ConfigError
from xmsec.model.ports import Held, Owned
from xmsec.model.types import Clock, Key, Source

CACHED = 50_000  # decoded states, some 50 MB at 1 KiB each; more hits than this brings are rare in a day of city traffic

_MICROSECOND = timedelta(microseconds=1)
_GET = "SELECT due, body FROM states WHERE hash = ?"
_DUE = "SELECT owner, kind, value FROM states WHERE due > ? AND due <= ?"
_EVER = 1 << 62
_Due = tuple[datetime, int, Owned]  # the number in the middle settles ties without comparing keys


def micros(time: datetime) -> int:
    """Return microseconds since 1970."""
    return (time - EPOCH) // _MICROSECOND


def from_micros(value: int) -> datetime:
    """Return the time of microseconds since 1970."""
    return EPOCH + timedelta(microseconds=value)


def state_hash(owner: str, key: Key) -> bytes:
    """Return what a state is found by: 128 bits, so that two keys never share one."""
    return blake2b(f"{owner}\0{key.kind}\0{key.value}".encode(), digest_size=16).digest()


class SqliteStates:
    """The States seam over a connection; `absorb` lays a batch's states on top, `settle` says that they are committed.

    codecs: the type of each owner's states.
    """

    def __init__(self, connection: sqlite3.Connection, codecs: Mapping[str, type[Any]], cached: int = CACHED) -> None:
        self._connection = connection
        self._decoders = {owner: msgspec.msgpack.Decoder(kind) for owner, kind in codecs.items()}
        self._cache = _Cache(cached)
        self._stored = _Filter(row[0] for row in connection.execute("SELECT hash FROM states"))
        self._touched: dict[Owned, Held | None] = {}
        self._dues: list[_Due] = []  # of touched states; an entry is stale when the state has another due now
        self._order = count()
        self._passed = -_EVER  # every stored key that was due until here is touched already
        self._asked: tuple[int, list[Owned]] | None = None
        decode = msgspec.msgpack.Decoder(Clock).decode
        rows = connection.execute("SELECT stream, partition, body FROM clocks")
        self.committed: dict[Source, Clock] = {(stream, partition): decode(body) for stream, partition, body in rows}
        self.clocks: dict[Source, Clock] = dict(self.committed)

    def get(self, owner: str, key: Key) -> Held | None:
        """Return the state of one owner's key, or None."""
        owned = (owner, key)
        if owned in self._touched:
            return self._touched[owned]
        held = self._cache.get(owned)
        if held is None and owner in self._decoders and (found := state_hash(owner, key)) in self._stored:
            row = self._connection.execute(_GET, (found,)).fetchone()
            if row is not None:
                held = self._decoded(owner, *row)
                self._cache.put(owned, held)
        return held

    def _decoded(self, owner: str, due: int | None, body: bytes) -> Held:
        try:
            state = self._decoders[owner].decode(body)
        except msgspec.DecodeError as error:
            raise ConfigError(
                "the state that another version wrote cannot be read", where=owner, remedy="run that version, or a new home"
            ) from error
        return Held(state, None if due is None else from_micros(due))

    def due(self, watermark: datetime | None) -> Iterable[Owned]:
        """Return the keys whose state wants time to pass up to `watermark` (None: any time), each once."""
        yield from self._touched_due(watermark)
        until = _EVER if watermark is None else micros(watermark)
        if until <= self._passed:
            return
        rows = self._connection.execute(_DUE, (self._passed, until)).fetchall()
        found = [(owner, Key(kind, value)) for owner, kind, value in rows if owner in self._decoders]  # others left the content
        if watermark is not None:
            self._asked = (until, found)
        yield from (owned for owned in found if owned not in self._touched)

    def _touched_due(self, watermark: datetime | None) -> Iterator[Owned]:
        if watermark is None:
            yield from [owned for owned, held in self._touched.items() if held is not None and held.due is not None]
            return
        found: dict[Owned, _Due] = {}
        while self._dues and self._dues[0][0] <= watermark:
            entry = heapq.heappop(self._dues)
            held = self._touched.get(entry[2])
            if held is not None and held.due == entry[0]:
                found[entry[2]] = entry
        for entry in found.values():
            heapq.heappush(self._dues, entry)
        yield from found

    def absorb(self, states: Mapping[Owned, Held | None], clocks: Mapping[Source, Clock]) -> None:
        """Lay what a batch touched on top; None hides an evicted state."""
        self.clocks.update(clocks)
        for owned, held in states.items():
            before = self._touched.get(owned)
            self._touched[owned] = held
            if held is not None and held.due is not None and (before is None or before.due != held.due):
                heapq.heappush(self._dues, (held.due, next(self._order), owned))
        if self._asked is not None:
            until, found = self._asked
            if all(owned in self._touched for owned in found):
                self._passed = max(self._passed, until)
            self._asked = None

    def settle(self, states: Mapping[Owned, Held | None], clocks: Mapping[Source, Clock]) -> None:
        """Take over what was committed: states that were touched no more since then leave the upper layer."""
        self.committed.update(clocks)
        for owned, held in states.items():
            if self._touched.get(owned, held) is held:
                self._touched.pop(owned, None)
            if held is None:
                self._cache.drop(owned)
            else:
                self._stored.add(state_hash(*owned))
                self._cache.put(owned, held)
        self._dues = [entry for entry in self._dues if entry[2] in self._touched]
        heapq.heapify(self._dues)
        self._passed, self._asked = -_EVER, None


class _Cache:
    """The most recently used states, in two generations: the younger becomes the elder when it holds half of all."""

    def __init__(self, size: int) -> None:
        self._half = max(size // 2, 1)
        self._young: dict[Owned, Held] = {}
        self._old: dict[Owned, Held] = {}

    def get(self, owned: Owned) -> Held | None:
        held = self._young.get(owned)
        if held is None:
            held = self._old.get(owned)
            if held is not None:
                self.put(owned, held)
        return held

    def put(self, owned: Owned, held: Held) -> None:
        self._young[owned] = held
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}

    def drop(self, owned: Owned) -> None:
        self._young.pop(owned, None)
        self._old.pop(owned, None)


class _Filter:
    """Says of a hash that it was surely never stored, or that it may be (a Bloom filter of 4 MiB, two bits a hash).

    Traffic that brings a new key with every event asks for nothing else: a query that finds nothing costs 5 µs, this 0.5. At a
    million keys it is wrong once in 300.
    """

    def __init__(self, hashes: Iterable[bytes]) -> None:
        self._bits = bytearray(1 << 22)
        for found in hashes:
            self.add(found)

    def add(self, found: bytes) -> None:
        for place in (int.from_bytes(found[:4]) >> 7, int.from_bytes(found[4:8]) >> 7):
            self._bits[place >> 3] |= 1 << (place & 7)

    def __contains__(self, found: bytes) -> bool:
        first, second = int.from_bytes(found[:4]) >> 7, int.from_bytes(found[4:8]) >> 7
        bits = self._bits
        return bool(bits[first >> 3] >> (first & 7) & bits[second >> 3] >> (second & 7) & 1)
