"""What the ledger knows of an event, what the rules match in it, and what time it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

import msgspec

from xmsec.model import clock as event_time
from xmsec.model.ports import States
from xmsec.model.types import Clock, Context, Event, Source, Span, Tick
from xmsec.pipeline.road import Road, Seen, Taken


def enrich(taken: Taken, road: Road, states: States) -> Seen:
    """Join ledger, matches and lateness to events; move the clocks of their partitions."""
    counts: Counter[tuple[str, str, str]] = Counter()
    moved: dict[Source, _Hand] = {}
    timed: list[tuple[Event, tuple[Span, ...], bool] | Tick] = []
    for item in taken.passed:
        source = item.source if isinstance(item, Tick) else item[0].position.source
        hand = moved.get(source)
        if hand is None:
            hand = moved[source] = _Hand(states.clocks.get(source, Clock()), road.lateness(source[0]))
        if isinstance(item, Tick):
            hand.tick(item)
            timed.append(item)
            continue
        event, spans = item
        known, late, time = hand.take(event)
        if known:
            counts[known, event.stream, ""] += 1
            continue
        if late:
            counts["late", event.stream, ""] += 1
        timed.append((event if time is event.time else msgspec.structs.replace(event, time=time), spans, late))
    for source, at in taken.blank.items():
        if source not in moved:
            moved[source] = _Hand(states.clocks.get(source, Clock()), road.lateness(source[0]))
        moved[source].pass_by(at)
    matches = iter(road.matcher.match([item[0] for item in timed if not isinstance(item, Tick)]))
    passed = [item if isinstance(item, Tick) else _context(*item, next(matches), road) for item in timed]
    clocks = {source: hand.clock() for source, hand in moved.items()}
    together = {**states.clocks, **clocks}
    # the youngest first: of thousands of files the last to be read are still open, and that settles both questions at once
    quiet = event_time.quiet(reversed(together.values()))
    return Seen(
        passed,
        clocks,
        counts,
        event_time.watermark((clock, road.lateness(source[0])) for source, clock in reversed(together.items())),
        quiet=quiet if _has_events(passed) or quiet != event_time.quiet(states.clocks.values()) else "",
    )


def _has_events(passed: Sequence[Context | Tick]) -> bool:
    return any(not isinstance(item, Tick) for item in passed)


class _Hand:
    """The moving hand of one partition's clock while a batch passes."""

    def __init__(self, clock: Clock, lateness: timedelta) -> None:
        self._lateness = lateness
        self._state, self._maximum, self._received = clock.state, clock.maximum, clock.received
        self._last = (clock.offset, clock.part)
        self._ids, self._own = clock.ids, False  # copied once, by the first record that brings an id

    def take(self, event: Event) -> tuple[str, bool, datetime]:
        """Return why an event is known already (replayed, duplicate) or "", whether it is late, and its time."""
        position = event.position
        at = (position.offset, position.part)
        if at <= self._last:
            return "replayed", False, event.time
        self._last = at
        self._state, self._received = "open", event.received
        if event.given_id is not None:
            if self._recent(self._ids.get(event.given_id)):
                return "duplicate", False, event.time
            self._remember(event)
        if event.flags:
            if "rejected" in event.flags:
                return "", False, self._maximum or event.time
            if "far_future" in event.flags:
                return "", False, event.time
            if "retried" in event.flags:  # its windows may have closed, and its partition has no time of its own
                return "", True, event.time
        if self._maximum is None or event.time > self._maximum:
            self._maximum = event.time
            return "", False, event.time
        return "", event.time < self._maximum - self._lateness, event.time

    def _recent(self, seen: datetime | None) -> bool:
        """Whether a moment of this clock is within the lateness: asked at every record, so that batches have no say in it."""
        return seen is not None and (self._maximum is None or seen >= self._maximum - self._lateness)

    def _remember(self, event: Event) -> None:
        """Keep a producer's own id under the time of this clock, not of the event, which may be late or far in the future."""
        assert event.given_id is not None
        if not self._own:
            self._ids, self._own = dict(self._ids), True
        moves = "rejected" not in event.flags and "far_future" not in event.flags
        times = [time for time in (self._maximum, event.time if moves else None) if time is not None]
        self._ids[event.given_id] = max(times, default=event_time.EPOCH)

    def pass_by(self, at: tuple[int, int]) -> None:
        """Move over a record that is no event."""
        self._last = max(self._last, at)

    def tick(self, tick: Tick) -> None:
        """Let the source speak: it opens, falls idle (time passes by what was received) or ends."""
        if tick.state == "idle" and self._maximum is not None and self._received is not None:
            self._maximum += max(tick.received - self._received, timedelta(0))
        if tick.state != "open":
            self._received = tick.received
        self._state = tick.state

    def clock(self) -> Clock:
        """Return the clock as it stands, without ids that are past the lateness."""
        ids = {given: seen for given, seen in self._ids.items() if self._recent(seen)}
        return Clock(self._state, self._maximum, self._received, *self._last, ids)


def _context(event: Event, spans: tuple[Span, ...], late: bool, matches: tuple[str, ...], road: Road) -> Context:
    ledger = road.ledger
    labels = tuple(chain.from_iterable(map(ledger.labels, event.datasets))) if event.datasets else ()
    account = event.fields.get("user.id") or event.fields.get("user.name")
    grants: tuple[Any, ...] = ()
    person = None
    if account is not None:
        if event.datasets:
            grants = tuple([grant for dataset in event.datasets for grant in ledger.grants(account, dataset)])
        person = ledger.person(account)
    grade = road.grade(spans, labels) if spans or labels else None
    return Context(event, spans, labels, grade, grants, person, matches, late)
