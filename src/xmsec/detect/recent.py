"""What a correlation remembers of one key: counts in narrow slots of time, and when a sliding window is full.

A timespan T has `GRID` slots, and windows of exactly T slide over them slot by slot. So a window that is found is a true one; a
crowd whose extent comes within T/GRID of T may be missed. In exchange all of it is independent of the order of events, and
small: a slot is about 40 bytes, and little more than two timespans (720 slots) are held.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from itertools import accumulate

import msgspec

from xmsec.detect.fold import EVENTS, EVIDENCE, LABELS, Fold, fold
from xmsec.detect.score import graver
from xmsec.model.types import Context, Level

GRID = 360  # slots a timespan: 10 s for an hour, 4 minutes for a day
QUARTER = GRID // 4  # evidence is kept for each quarter of a long timespan, its earliest events: some 8 folds of 4 KiB
LONG = timedelta(minutes=30)  # a shorter one has one fold: folding is what a correlation spends its time on
DIGEST = 5  # bytes a distinct value: two of 10,000 values coincide once in 20,000 cases
_MICROSECOND = timedelta(microseconds=1)
Seen = tuple[Context, Sequence[str]]  # an event and the values of the field that is counted


class Slot(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What happened in one slot: how often, first and last, and the digests of the distinct values, sorted and joined."""

    number: int
    count: int
    first: datetime
    last: datetime
    values: bytes = b""


class Recent(msgspec.Struct, frozen=True):
    """A key's last two timespans: slots in order, and folds of their pieces for evidence, each with its first slot.

    At most 64 KiB with up to 3,000 distinct values (5 bytes each; no slot keeps more than the threshold asks for).
    """

    slots: tuple[Slot, ...] = ()
    folds: tuple[tuple[int, Fold], ...] = ()


class Full(msgspec.Struct, frozen=True):
    """The full windows that start in one bucket: the events of their union, and the most that one of them holds.

    capped: there may have been more, a slot held as many distinct values as were asked for.
    """

    bucket: int
    peak: int
    capped: bool
    fold: Fold


class Grid(msgspec.Struct, frozen=True):
    """How time is divided: slots of a timespan, `GRID` of them a bucket; the first bucket starts at `origin`, a midnight.

    piece: how many slots share their evidence; span_us: the timespan.
    """

    timespan: timedelta
    origin: datetime
    piece: int
    span_us: int

    @classmethod
    def of(cls, timespan: timedelta, origin: datetime) -> Grid:
        """Make the grid of a timespan."""
        return cls(timespan, origin, QUARTER if timespan >= LONG else GRID, timespan // _MICROSECOND)

    def slot(self, time: datetime) -> int:
        """Return the number of the slot that holds a time; in whole numbers, which takes a quarter of what timedeltas do."""
        since = time - self.origin
        return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * GRID // self.span_us

    def start(self, bucket: int) -> datetime:
        """Return when a bucket starts."""
        return self.origin + bucket * self.timespan


def grown(before: Recent, grid: Grid, seen: Sequence[Seen], most: int) -> tuple[Recent, set[int]]:
    """Add events, and say which buckets they are in; any order and any batching give the same.

    most: how many distinct values a slot need hold, 0 for none.
    """
    seen_by_slot: dict[int, list[Seen]] = {}
    contexts_by_piece: dict[int, list[Context]] = {}
    piece, slot_of = grid.piece, grid.slot
    for item in seen:
        number = slot_of(item[0].event.time)
        if number in seen_by_slot:
            seen_by_slot[number].append(item)
        else:
            seen_by_slot[number] = [item]
        first = number - number % piece
        if first in contexts_by_piece:
            contexts_by_piece[first].append(item[0])
        else:
            contexts_by_piece[first] = [item[0]]
    slots = {slot.number: slot for slot in before.slots}
    for number, items in seen_by_slot.items():
        slots[number] = _slot(slots.get(number), number, items, most)
    folds = dict(before.folds)
    for first, contexts in contexts_by_piece.items():
        folds[first] = fold(folds.get(first), contexts)
    in_order = tuple([slots[number] for number in sorted(slots)])
    return Recent(in_order, tuple([(number, folds[number]) for number in sorted(folds)])), {
        number // GRID for number in seen_by_slot
    }


def _slot(before: Slot | None, number: int, seen: Sequence[Seen], most: int) -> Slot:
    digests = b"" if before is None else before.values
    if most:
        digests = _joined({*_digests(digests), *(_digest(value) for _, values in seen for value in values)}, most)
    first = last = seen[0][0].event.time
    if len(seen) > 1:
        times = [context.event.time for context, _ in seen]
        first, last = min(times), max(times)
    if before is None:
        return Slot(number, len(seen), first, last, digests)
    return Slot(number, before.count + len(seen), min(before.first, first), max(before.last, last), digests)


def _digest(value: str) -> bytes:
    return blake2b(value.encode("utf-8", "surrogatepass"), digest_size=DIGEST).digest()


def _digests(joined: bytes) -> list[bytes]:
    return [joined[place : place + DIGEST] for place in range(0, len(joined), DIGEST)]


def _joined(digests: Iterable[bytes], most: int) -> bytes:
    """Join the least digests: with as many as the threshold in one slot, its windows are full whatever else there was."""
    return b"".join(sorted(digests)[:most])


def since(recent: Recent, bucket: int) -> Recent:
    """Forget what lies before a bucket."""
    if not recent.slots or recent.slots[-1].number < bucket * GRID:
        return Recent()
    return Recent(
        tuple(slot for slot in recent.slots if slot.number >= bucket * GRID),
        tuple(item for item in recent.folds if item[0] >= bucket * GRID),
    )


def full(recent: Recent, threshold: int, *, distinct: bool, buckets: Iterable[int] | None = None) -> list[Full]:
    """Return the buckets (of those asked for) in which a window of a timespan starts that holds the threshold or more."""
    slots = recent.slots
    if not distinct and sum(slot.count for slot in slots) < threshold:
        return []
    weights = _distinct(slots) if distinct else _counts(slots)
    wanted = None if buckets is None else set(buckets)
    starts_by_bucket: dict[int, list[int]] = {}
    for place, weight in enumerate(weights):
        bucket = slots[place].number // GRID
        if weight >= threshold and (wanted is None or bucket in wanted):
            starts_by_bucket.setdefault(bucket, []).append(place)
    capped = distinct and any(len(slot.values) >= threshold * DIGEST for slot in slots)
    return [
        Full(bucket, max(weights[place] for place in places), capped, _union(recent, places))
        for bucket, places in starts_by_bucket.items()
    ]


def _counts(slots: Sequence[Slot]) -> list[int]:
    """Return how many events each slot's window holds."""
    before = [0, *accumulate(slot.count for slot in slots)]
    weights, end = [], 0
    for place, slot in enumerate(slots):
        while end < len(slots) and slots[end].number < slot.number + GRID:
            end += 1
        weights.append(before[end] - before[place])
    return weights


def _distinct(slots: Sequence[Slot]) -> list[int]:
    """Return how many distinct values each slot's window holds."""
    inside: Counter[bytes] = Counter()
    digests = [_digests(slot.values) for slot in slots]
    weights, end = [], 0
    for place, slot in enumerate(slots):
        while end < len(slots) and slots[end].number < slot.number + GRID:
            inside.update(digests[end])
            end += 1
        weights.append(len(inside))
        for value in digests[place]:
            inside[value] -= 1
            if not inside[value]:
                del inside[value]
    return weights


def _union(recent: Recent, starts: Sequence[int]) -> Fold:
    """Fold the events of all windows that start at these slots."""
    covered: list[Slot] = []
    ahead = iter(starts)
    following = next(ahead)
    reach = 0
    for place in range(starts[0], len(recent.slots)):
        slot = recent.slots[place]
        if place == following:
            reach = slot.number + GRID
            following = next(ahead, -1)
        if slot.number < reach:
            covered.append(slot)
    first, last = covered[0].first, max(slot.last for slot in covered)
    begins = max((first_slot for first_slot, _ in recent.folds if first_slot <= covered[0].number), default=0)
    pieces = [item for first_slot, item in recent.folds if begins <= first_slot <= covered[-1].number]
    return _evidence(pieces, covered, first, last)


def _evidence(folds: Sequence[Fold], covered: Sequence[Slot], first: datetime, last: datetime) -> Fold:
    """Take the earliest events of the pieces that lie in the union (or, when those kept lie before it, of the pieces)."""
    grade: Level | None = None
    for item in folds:
        grade = graver(grade, item.grade)
    ids = sorted(pair for item in folds for pair in item.ids)
    events = sorted((event for item in folds for event in item.evidence), key=lambda event: (event.time, event.id))
    return Fold(
        count=sum(slot.count for slot in covered),
        first=first,
        last=last,
        ids=tuple(([pair for pair in ids if first <= pair[0] <= last] or ids)[:EVENTS]),
        evidence=tuple(([event for event in events if first <= event.time <= last] or events)[:EVIDENCE]),
        grade=grade,
        labels=tuple(sorted({label for item in folds for label in item.labels})[:LABELS]),
        datasets=tuple(sorted({name for item in folds for name in item.datasets})[:LABELS]),
    )
