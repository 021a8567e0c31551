"""What goes in the place of a message that a topic does not take for its size: its halves, and in the end a word about it.

Topics made by `topics ensure` take eight times what a frame is cut at; one that somebody else made may take less.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from xmsec.model.types import Position, Rejected, Tick
from xmsec.pipeline.tokenise import stand_in
from xmsec.runtime.faust import frames
from xmsec.runtime.faust.post import TOO_LARGE, Smaller
from xmsec.runtime.faust.roads import Roads

CLASSIFY, ENRICH, GROUP = "classify", "enrich", "group"


def of_tokened(roads: Roads) -> Smaller:
    """Cut frames of tokened records; one record that is too large is refused, and stands as such in its source."""

    def smaller(value: bytes) -> tuple[Sequence[bytes], Sequence[Rejected]]:
        frame = frames.unpack(value, frames.Tokened)
        if len(frame.items) > 1:
            return [frames.pack(half) for half in frames.halves(frame)], ()
        (item,) = frame.items
        if isinstance(item, Tick) or "rejected" in item[0].flags:
            return (), ()
        event = item[0]
        place = stand_in(event, roads.of(frame.revisions), CLASSIFY, TOO_LARGE)
        letter = Rejected(event.position, CLASSIFY, TOO_LARGE, event.received)
        return [frames.pack(msgspec.structs.replace(frame, items=((place, ()),)))], [letter]

    return smaller


def without_the_largest(value: bytes) -> tuple[Sequence[bytes], Sequence[Rejected]]:
    """Take the larger half of its events from a frame of contexts, whose number none but itself may have; its clock goes on."""
    frame = frames.unpack(value, frames.Contexts)
    sizes = [(len(msgspec.msgpack.encode(copy)), place) for place, copy in enumerate(frame.copies)]
    gone = {place for _, place in sorted(sizes)[len(sizes) // 2 :]}
    if not gone:
        return (), [Rejected(Position(*frame.source, -1), ENRICH, TOO_LARGE, datetime.now(UTC))]
    events = [frame.copies[place].event for place in sorted(gone)]
    copies = tuple(copy for place, copy in enumerate(frame.copies) if place not in gone)
    known = frame.known if copies else ()
    letters = [Rejected(event.position, ENRICH, TOO_LARGE, event.received) for event in events]
    return [frames.pack(msgspec.structs.replace(frame, known=known, copies=copies))], letters


def of_cases(at: Position) -> Smaller:
    """Cut what group tells, which is known by its ids; one thing that is too large is refused where it was made."""

    def smaller(value: bytes) -> tuple[Sequence[bytes], Sequence[Rejected]]:
        told = frames.unpack(value, frames.Cases)
        some = [frames.Cases((one,), (), ()) for one in told.findings]
        some += [frames.Cases((), (one,), ()) for one in told.incidents]
        some += [frames.Cases((), (), (one,)) for one in told.intents]
        if len(some) > 1:
            return [frames.pack(_together(half)) for half in (some[: len(some) // 2], some[len(some) // 2 :])], ()
        return (), [Rejected(at, GROUP, TOO_LARGE, datetime.now(UTC))]

    return smaller


def _together(some: Sequence[frames.Cases]) -> frames.Cases:
    return frames.Cases(
        tuple(finding for one in some for finding in one.findings),
        tuple(incident for one in some for incident in one.incidents),
        tuple(intent for one in some for intent in one.intents),
    )
