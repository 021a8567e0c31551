"""What one partition remembers: states of its keys and clocks of its sources, as rows of bytes.

A row is about 30 bytes and its state (at most 64 KiB, as its detector says). Frames are taken in, several if several wait, and
their rows are written together: states first, then clocks, so that a crash in between leaves rows that say of themselves which
frames they know. An evicted state leaves an empty row, which is deleted behind the clocks of its frame: were it deleted before,
a crash would give its events to a new state.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush
from typing import Any, cast

import msgspec

from xmsec.model import clock as event_time
from xmsec.model.ports import Held, Owned
from xmsec.model.types import Clock, Key, KeyKind, Source

Rows = Sequence[tuple[bytes, bytes | None]]  # what frames write, in this order; None deletes
_STATE, _CLOCK = b"s", b"c"
_encode = msgspec.msgpack.Encoder().encode


class Row(msgspec.Struct, frozen=True, array_like=True):
    """A state as it is kept; frame: offset of the frame that wrote it; without a state it was evicted."""

    frame: int
    due: datetime | None
    state: bytes | None


class Heard(msgspec.Struct, frozen=True, array_like=True):
    """The last frame of a source, and how its clock stood."""

    number: int
    clock: Clock


_row = msgspec.msgpack.Decoder(Row)
_heard = msgspec.msgpack.Decoder(Heard)


class Kept(msgspec.Struct, frozen=True):
    """What a kind of partition keeps.

    types: of each owner's states, more of them as releases come; participants: who takes part from the start; lateness: of a
    stream; initial: states that exist before any event.
    """

    types: Mapping[str, Any]
    participants: Collection[Source]
    lateness: Callable[[str], timedelta]
    initial: Mapping[Owned, Held]


class Share:
    """The `States` of one partition, over rows that someone else keeps; made anew when a partition comes to a worker."""

    def __init__(self, number: int, kept: Kept, rows: Mapping[bytes, bytes]) -> None:
        self.number = number
        self._kept, self._rows = kept, rows
        self._head = number.to_bytes(2, "big")
        self._heard = {source: Heard(-1, Clock()) for source in kept.participants}
        self._dues: dict[Owned, datetime] = {}
        self._evicted: dict[bytes, int] = {}  # empty rows, and the frame that emptied them
        self._last = -1  # the last frame taken in
        self._read: dict[Owned, Row | None] = {}  # rows as they are, with what is not yet durable
        self._fresh: dict[Owned, None] = {}  # whose rows are not yet durable, in their order
        self._spoke: dict[Source, None] = {}
        self._decoders: dict[str, msgspec.msgpack.Decoder[Any]] = {}
        self.owners: set[str] = set()  # whose states there are
        for name in rows:
            if name.startswith(self._head):
                self._recall(name)
        for owned, held in kept.initial.items():
            if held.due is not None and self._row(owned) is None:
                self._dues[owned] = held.due
        self._turns = [(due, owned) for owned, due in self._dues.items()]
        heapify(self._turns)

    def _recall(self, name: bytes) -> None:
        parts = name[3:].decode("utf-8", "surrogatepass").split("\0", 2)
        if name[2:3] == _CLOCK:
            self._heard[parts[0], parts[1]] = _heard.decode(self._rows[name])
            return
        row = _row.decode(self._rows[name])
        self.owners.add(parts[0])
        if row.state is None:
            self._evicted[name] = row.frame
        elif row.due is not None:
            self._dues[parts[0], Key(cast(KeyKind, parts[1]), parts[2])] = row.due

    @property
    def clocks(self) -> Mapping[Source, Clock]:
        """The clocks of all that take part, as they were last heard."""
        return {source: heard.clock for source, heard in self._heard.items()}

    def get(self, owner: str, key: Key) -> Held | None:
        """Return the state of one owner's key, or None."""
        row = self._row((owner, key))
        if row is None:
            return self._kept.initial.get((owner, key))
        return None if row.state is None else Held(self._decoder(owner).decode(row.state), row.due)

    def _decoder(self, owner: str) -> msgspec.msgpack.Decoder[Any]:
        decoder = self._decoders.get(owner)
        if decoder is None:
            decoder = self._decoders[owner] = msgspec.msgpack.Decoder(self._kept.types[owner])
        return decoder

    def due(self, watermark: datetime | None) -> Iterable[Owned]:
        """Return the keys whose state wants time to pass up to `watermark` (None: any time)."""
        if watermark is None:
            return list(self._dues)
        found: dict[Owned, datetime] = {}
        while self._turns and self._turns[0][0] <= watermark:
            due, owned = heappop(self._turns)
            if self._dues.get(owned) == due:
                found[owned] = due
        for owned, due in found.items():  # it only looks: what is done about them is written later
            heappush(self._turns, (due, owned))
        return list(found)

    def frame(self, owner: str, key: Key) -> int:
        """Return the offset of the frame that wrote a key's row, -1 when there is none."""
        row = self._row((owner, key))
        return -1 if row is None else row.frame

    def _row(self, owned: Owned) -> Row | None:
        if owned not in self._read:
            value = self._rows.get(self._name(owned))
            self._read[owned] = None if value is None else _row.decode(value)
        return self._read[owned]

    def _name(self, owned: Owned) -> bytes:
        owner, key = owned
        return self._head + _STATE + f"{owner}\0{key.kind}\0{key.value}".encode("utf-8", "surrogatepass")

    def heard(self, source: Source) -> Heard:
        """Return the last frame of a source, and its clock."""
        return self._heard.get(source) or Heard(-1, Clock())

    def watermark(self, clocks: Mapping[Source, Clock]) -> datetime | None:
        """Return how far event time has come; None while someone who takes part is awaited."""
        lateness = self._kept.lateness
        return event_time.watermark((clock, lateness(source[0])) for source, clock in clocks.items())

    def take_in(self, source: Source, heard: Heard, touched: Mapping[Owned, Held | None], frame: int) -> None:
        """Remember a frame, not yet durably."""
        for owned, held in touched.items():
            before = self._dues.pop(owned, None)
            self._fresh[owned] = None
            if held is None:
                self._read[owned] = Row(frame, None, None)
                self._evicted[self._name(owned)] = frame
                continue
            self._read[owned] = Row(frame, held.due, _encode(held.state))
            self._evicted.pop(self._name(owned), None)
            if held.due is not None:
                self._dues[owned] = held.due
                if held.due != before:
                    heappush(self._turns, (held.due, owned))
        self._last = frame
        self._heard[source] = heard
        self._spoke[source] = None

    def pending(self) -> Rows:
        """Return the rows that make durable what was taken in since `settle`, in the order in which they must be written."""
        states = [(self._name(owned), _encode(self._read[owned])) for owned in self._fresh]
        clocks = [(self._head + _CLOCK + "\0".join(source).encode(), _encode(self._heard[source])) for source in self._spoke]
        return [*states, *clocks, *((name, None) for name, frame in self._evicted.items() if frame <= self._last)]

    def settle(self) -> None:
        """What was pending is durable, and in the rows."""
        self._evicted = {name: frame for name, frame in self._evicted.items() if frame > self._last}
        self._read, self._fresh, self._spoke = {}, {}, {}
