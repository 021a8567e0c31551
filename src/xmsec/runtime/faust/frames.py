"""What travels between hops: many records in one Kafka message, and which partition a thing belongs to.

A frame is msgpack in zstd. What the ledger knows is written once a frame, not once an event: events of one account and dataset
share it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar
from zlib import crc32

import cramjam
import msgspec

from xmsec.model.types import (
    Clock,
    Context,
    Event,
    Finding,
    Grade,
    Grant,
    Incident,
    Intent,
    Key,
    Label,
    Person,
    Revisions,
    Source,
    Span,
    Tick,
)

F = TypeVar("F", bound=msgspec.Struct)
MESSAGE_BYTES = 16 << 20  # what our topics take: a frame, and what detectors and the ledger add to it
FRAME_BYTES = 2 << 20  # before compression; a frame of more is cut in two, so that its copies stay far below what topics take
_encoder = msgspec.msgpack.Encoder()


class Tokened(msgspec.Struct, frozen=True):
    """Classify to enrich: what one source partition brought, in its order."""

    source: Source
    items: tuple[tuple[Event, tuple[Span, ...]] | Tick, ...]
    revisions: Revisions


class Known(msgspec.Struct, frozen=True, array_like=True):
    """What the ledger knows of some events of a frame."""

    labels: tuple[Label, ...]
    grants: tuple[Grant, ...]
    person: Person | None


class Copy(msgspec.Struct, frozen=True, array_like=True):
    """One event as a detector reads it; known: which of the frame's `Known` holds for it."""

    event: Event
    spans: tuple[Span, ...]
    grade: Grade | None
    matches: tuple[str, ...]
    late: bool
    known: int


class Contexts(msgspec.Struct, frozen=True):
    """Enrich to detect: one source's clock, and those of its events that touch a key of this partition (none is a frame too).

    number: offset of the frame that it was made from; grows with each frame of a source.
    """

    source: Source
    number: int
    clock: Clock
    known: tuple[Known, ...]
    copies: tuple[Copy, ...]
    revisions: Revisions


class Findings(msgspec.Struct, frozen=True):
    """Detect to group: what one partition said of entities of another, and its event time.

    number: as in Contexts. What is too much for one message comes in several of one number, told apart by part; event time is
    that of the last, which has no more behind it.
    """

    origin: int
    number: int
    watermark: datetime | None
    findings: tuple[Finding, ...]
    part: int = 0
    more: bool = False


class Cases(msgspec.Struct, frozen=True):
    """Group to index and respond: what changed."""

    findings: tuple[Finding, ...]
    incidents: tuple[Incident, ...]
    intents: tuple[Intent, ...]


def pack(frame: msgspec.Struct) -> bytes:
    """Write a frame as a message's value."""
    return bytes(cramjam.zstd.compress(_encoder.encode(frame)))


def packs(frame: Tokened) -> list[bytes]:
    """Write a frame as one message or, when it is big, as several in its order."""
    encoded = _encoder.encode(frame)
    if len(encoded) <= FRAME_BYTES or len(frame.items) == 1:
        return [bytes(cramjam.zstd.compress(encoded))]
    return [value for half in halves(frame) for value in packs(half)]


def halves(frame: Tokened) -> tuple[Tokened, Tokened]:
    """Cut a frame of several records in two, in their order."""
    half = len(frame.items) // 2
    return (
        Tokened(frame.source, frame.items[:half], frame.revisions),
        Tokened(frame.source, frame.items[half:], frame.revisions),
    )


def unpack(value: bytes, kind: type[F]) -> F:
    """Read a message's value as a frame of this kind."""
    return msgspec.msgpack.decode(bytes(cramjam.zstd.decompress(value)), type=kind)


def copies(contexts: Sequence[Context]) -> tuple[tuple[Known, ...], tuple[Copy, ...]]:
    """Take contexts apart into what is known and what is each event's own.

    The same entries of the ledger are the same objects (a revision is immutable), so that identity tells them apart cheaply.
    """
    known: dict[tuple[int, ...], tuple[int, Known]] = {}
    out: list[Copy] = []
    for context in contexts:
        same = (*map(id, context.labels), 0, *map(id, context.grants), 0, id(context.person))
        if same not in known:
            known[same] = (len(known), Known(context.labels, context.grants, context.person))
        out.append(Copy(context.event, context.spans, context.grade, context.matches, context.late, known[same][0]))
    return tuple(one for _, one in known.values()), tuple(out)


def contexts(frame: Contexts) -> list[Context]:
    """Put contexts together again."""
    out: list[Context] = []
    for copy in frame.copies:
        known = frame.known[copy.known]
        out.append(
            Context(copy.event, copy.spans, known.labels, copy.grade, known.grants, known.person, copy.matches, copy.late)
        )
    return out


def partition_of_source(source: Source, count: int) -> int:
    """Return the partition that carries a source's frames: always the same, so that its order is kept."""
    return _partition("\0".join(source), count)


def partition_of_key(key: Key, count: int) -> int:
    """Return the partition that looks after a key."""
    return _partition(f"{key.kind}\0{key.value}", count)


def _partition(text: str, count: int) -> int:
    return crc32(text.encode("utf-8", "surrogatepass")) % count
