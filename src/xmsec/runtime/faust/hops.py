"""The road cut into hops, each a pure function: what a frame gives, and which rows remember it.

Whoever calls a hop first sends what it gave, acknowledged, and only then writes the share's pending rows. A frame that comes
again is known by its number and gives nothing. One whose rows were written in part (a crash between two rows) finds in each
row the offset of the frame that wrote it last, and is taken by the others alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import msgspec

from xmsec.model.clock import EPOCH, HOUR, quiet
from xmsec.model.ports import FedByRules, Held, Owned
from xmsec.model.states import Layered, Memory
from xmsec.model.types import Clock, Context, Counts, Finding, Key, Position, Raw, Rejected, Source, Tick
from xmsec.pipeline.detect import advance, detect
from xmsec.pipeline.enrich import enrich
from xmsec.pipeline.group import INCIDENTS, group
from xmsec.pipeline.road import Road, Taken, Tokened
from xmsec.runtime.faust import frames
from xmsec.runtime.faust.roads import Roads
from xmsec.runtime.faust.share import Heard, Kept, Share
from xmsec.sources.lines import Found

AT_ONCE = 500  # findings of a frame: each at most some 20 KB with its evidence, before compression
ID_HEADER = "xmsec-id"  # of a raw message: its producer's own name for it


def records(message: Position, received: datetime, found: Sequence[Found], given_id: str | None) -> Iterator[Raw]:
    """Yield the records of one raw message, told apart by `part`; an empty message is one blank record."""
    for part, (_, line, cut) in enumerate(found or [(0, b"", False)]):
        own_id = given_id if given_id is None or len(found) < 2 else f"{given_id}#{part}"
        yield Raw(Position(message.stream, message.partition, message.offset, part), received, line, own_id, cut)


def by_source(taken: Taken, road: Road) -> list[frames.Tokened]:
    """Sort what `tokenise` gave by source, each in its own order."""
    found: dict[Source, list[Tokened | Tick]] = {}
    for item in taken.passed:
        source = item.source if isinstance(item, Tick) else item[0].position.source
        found.setdefault(source, []).append(item)
    return [frames.Tokened(source, tuple(items), road.revisions) for source, items in found.items()]


def enriched(
    frame: frames.Tokened, offset: int, share: Share, roads: Roads, count: int
) -> tuple[list[frames.Contexts], Counts] | None:
    """Move a source's clock; give a frame for each of `count` partitions, with the events that touch its keys."""
    heard = share.heard(frame.source)
    if offset <= heard.number:
        return None
    road = roads.of(frame.revisions)
    states = Memory()
    states.clocks[frame.source] = heard.clock
    seen = enrich(Taken(frame.items, (), Counter(), Counter()), road, states)
    shares: list[list[Context]] = [[] for _ in range(count)]
    partitions: dict[Key, int] = {}
    fed = [(detector, detector.rules if isinstance(detector, FedByRules) else None) for detector in road.detectors.values()]
    for context in seen.contexts:
        asked = (owner for owner, rules in fed if rules is None or not rules.isdisjoint(context.matches))
        for place in {_place(key, partitions, count) for owner in asked for key in owner.keys(context)}:
            shares[place].append(context)
    moved = seen.clocks[frame.source]
    share.take_in(frame.source, Heard(offset, moved), {}, offset)
    told = Clock(moved.state, moved.maximum, moved.received)  # the rest is enrich's own
    return [_contexts(frame, offset, told, contexts) for contexts in shares], seen.counts


def _place(key: Key, partitions: dict[Key, int], count: int) -> int:
    place = partitions.get(key)
    if place is None:
        place = partitions[key] = frames.partition_of_key(key, count)
    return place


def _contexts(frame: frames.Tokened, number: int, clock: Clock, share: Sequence[Context]) -> frames.Contexts:
    known, copies = frames.copies(share)
    return frames.Contexts(frame.source, number, clock, known, copies, frame.revisions)


class Detected(msgspec.Struct, frozen=True):
    """What a frame of contexts gave. findings: frames, each with the partition of its entities."""

    findings: Sequence[tuple[int, frames.Findings]]
    rejected: Sequence[Rejected]


def detected(frame: frames.Contexts, offset: int, share: Share, roads: Roads, count: int) -> Detected | None:
    """Show detectors the events of this partition's keys, let time pass; None for a frame that was taken before."""
    if frame.number <= share.heard(frame.source).number:
        return None
    road = roads.of(frame.revisions)
    before = share.clocks
    after = {**before, frame.source: frame.clock}
    watermark, contexts = share.watermark(after), frames.contexts(frame)
    places: dict[Key, int] = {}

    def owns(owner: str, key: Key, _: Context) -> bool:
        return _place(key, places, count) == share.number and share.frame(owner, key) < offset

    told = detect(contexts, road, share, owns)
    report = quiet(after.values())
    if not contexts and report == quiet(before.values()):
        report = ""
    passing = roads.passing(share.owners)
    closed = advance(passing, Layered(share, told.states), watermark, report=report)
    findings = (*told.findings, *closed.findings)
    heard = Heard(offset, Clock(maximum=watermark))
    to_all = _struck(share.watermark(before), watermark)
    share.take_in(frame.source, Heard(frame.number, frame.clock), {**told.states, **closed.states}, offset)
    return Detected(_spread(findings, heard, share, to_all, count), (*told.rejected, *closed.rejected))


def _struck(before: datetime | None, after: datetime | None) -> bool:
    """Whether event time passed a full hour: told to every partition, so that incidents are forgotten where nothing is new."""
    return after is not None and (before is None or (after - EPOCH) // HOUR != (before - EPOCH) // HOUR)


def _spread(
    findings: Sequence[Finding], heard: Heard, share: Share, to_all: bool, count: int
) -> list[tuple[int, frames.Findings]]:
    by_place: dict[int, list[Finding]] = {place: [] for place in range(count)} if to_all else {}
    for finding in findings:
        entity = Key(finding.entity.type, finding.entity.id)
        by_place.setdefault(frames.partition_of_key(entity, count), []).append(finding)
    return [(place, one) for place, told in by_place.items() for one in _parts(told, heard, share.number)]


def _parts(told: Sequence[Finding], heard: Heard, origin: int) -> Iterator[frames.Findings]:
    """Cut what is too much for one message: at the end of an hour a window of every key may close at once.

    Always at the same places, so that parts which come again after a crash are known by their numbers.
    """
    if len(told) > AT_ONCE:
        told = sorted(told, key=lambda one: one.id)  # what is said twice of one keeps its order
    watermark = heard.clock.maximum
    for part, start in enumerate(range(0, len(told) or 1, AT_ONCE)):
        some = tuple(told[start : start + AT_ONCE])
        yield frames.Findings(origin, heard.number, watermark, some, part, start + AT_ONCE < len(told))


def grouped(frame: frames.Findings, offset: int, share: Share, road: Road) -> frames.Cases | None:
    """Fold findings into their entities' incidents; None for a frame that was taken before."""
    origin = ("", str(frame.origin))
    before = share.heard(origin)
    if (frame.number, frame.part) <= (before.number, before.clock.part):
        return None
    maximum = before.clock.maximum if frame.more else frame.watermark
    heard = Heard(frame.number, Clock(maximum=maximum, part=frame.part))
    cases = group(frame.findings, road, share, share.watermark({**share.clocks, origin: heard.clock}))
    share.take_in(origin, heard, cases.states, offset)
    return frames.Cases(tuple(cases.findings), tuple(cases.incidents), tuple(cases.intents))


def kept_by_detectors(roads: Roads, participants: Sequence[Source], number: int, count: int) -> Kept:
    """Return what a partition of contexts keeps."""
    initial: dict[Owned, Held] = {}
    for owner, detector in roads.newest.detectors.items():
        for key in detector.initial():
            if frames.partition_of_key(key, count) == number:
                state = detector.start()
                initial[owner, key] = Held(state, detector.due(state))
    return Kept(roads.types, participants, roads.lateness, initial)


def kept_by_grouping(road: Road, count: int) -> Kept:
    """Return what a partition of findings keeps."""
    return Kept({INCIDENTS: road.grouping.state}, [("", str(origin)) for origin in range(count)], _never, {})


def _never(_: str) -> timedelta:
    return timedelta(0)


NOTHING = Kept({}, (), _never, {})  # what a partition of tokened frames keeps besides clocks
