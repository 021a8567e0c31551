"""Deliveries: each destination follows the findings at its own pace, in a thread of its own, and stops no other.

At least once, in order, from a durable cursor. A message counts as told when its receiver took it; what is on its way while the
process dies is sent once more, under the same id.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, tzinfo
from threading import Event, Thread
from typing import Protocol
from zoneinfo import ZoneInfo

import msgspec

from xmsec.content.notify import Destination
from xmsec.model.clock import HOUR
from xmsec.model.errors import ConfigError, XmsecError
from xmsec.model.ids import digest
from xmsec.model.types import Finding
from xmsec.notify import plan
from xmsec.notify.notice import Notice, notice_of
from xmsec.notify.send import Carry, Letter
from xmsec.notify.target import UndeliveredError
from xmsec.runtime.metrics import Metric, Rows, counter, gauge
from xmsec.store.feed import Feed
from xmsec.store.outbox import Outbox

BATCH = 200
LETTERS = 20  # a step: each may take ten seconds, and the last one is still signed within the five minutes that receivers allow
POLL_S = 1.0  # how soon a finding is seen; asking costs some 20 µs
STANDBY_S = 2.0  # how soon another process takes over
log = logging.getLogger("xmsec.notify")


class Route(msgspec.Struct, frozen=True):
    """One destination and what carries to it."""

    destination: Destination
    carry: Carry
    close: Callable[[], None] = lambda: None


class Edge(msgspec.Struct, frozen=True):
    """What lines are given from outside. zone: the deployment's; lock: raises ConfigError while somebody else delivers."""

    now: Callable[[], datetime]
    zone: tzinfo
    lock: Callable[[], AbstractContextManager[object]] = nullcontext


class Line(Protocol):
    """One destination's deliveries: a step does what can be done now and says how many seconds nothing will be."""

    name: str

    def step(self, now: datetime) -> float:
        """Deliver what is due. Returns how long there is nothing to do."""
        ...


class Tally:
    """What lines count; read from other threads."""

    def __init__(self) -> None:
        self.outcomes: Counter[tuple[str, ...]] = Counter()
        self.folded: Counter[tuple[str, ...]] = Counter()
        self.held: dict[tuple[str, ...], float] = {}
        self.failing: dict[tuple[str, ...], float] = {}

    def failed(self, name: str, error: UndeliveredError) -> None:
        """Note that a receiver did not take something, and say so once a series."""
        self.outcomes[name, "failed" if error.retry else "refused"] += 1
        if not self.failing.get((name,)):
            log.warning("%s: %s", name, error)
        self.failing[name,] = 1

    def sent(self, name: str) -> None:
        """Note that a receiver took something."""
        self.outcomes[name, "sent"] += 1
        self.failing[name,] = 0


class ToMachines:
    """Findings one by one, in their order; one that cannot be taken waits, and with it those behind it."""

    def __init__(self, route: Route, feed: Feed, outbox: Outbox, tally: Tally, edge: Edge) -> None:
        self.name = route.destination.id
        self._route, self._feed, self._outbox, self._tally = route, feed, outbox, tally
        self._place = outbox.begin(self.name, feed.head(), edge.now())
        self._tries, self._since = 0, datetime.min

    @property
    def place(self) -> int:
        """How far it has come."""
        return self._place

    def step(self, now: datetime) -> float:
        """Deliver what changed, up to a batch."""
        found = self._feed.after(self._place, LETTERS)
        told = self._outbox.told(self.name, [finding.id for _, finding in found])
        for place, finding in found:
            mark = wanted(self._route.destination, finding, told.get(finding.id))
            if mark is not None and not self._deliver(finding, mark, told.get(finding.id), now):
                return plan.pause(self._tries - 1, self._after_s).total_seconds()
            self._saved(place, {} if mark is None else {finding.id: mark}, now, last=place == found[-1][0])
        return 0.0 if len(found) == LETTERS else POLL_S

    def _deliver(self, finding: Finding, mark: str, told: str | None, now: datetime) -> bool:
        """Carry one; false when it is to be tried again."""
        letter = Letter(digest("letter", self.name, finding.id, mark), finding, again=told is not None)
        if not self._tries:
            self._since = now
        try:
            self._route.carry(letter, now)
        except UndeliveredError as error:
            self._tally.failed(self.name, error)
            if error.retry and now - self._since < plan.GIVE_UP:
                self._tries, self._after_s = self._tries + 1, error.after_s
                return False
            if error.retry:
                self._tally.outcomes[self.name, "given-up"] += 1
        else:
            self._tally.sent(self.name)
        self._tries = 0
        return True

    def _saved(self, place: int, marks: dict[str, str], now: datetime, *, last: bool) -> None:
        if marks or last:
            self._outbox.save(self.name, place, b"", marks, now)
        self._place = place

    _after_s = 0.0


class ToPeople:
    """Notices, folded and held as the destination says; what waits is saved before anything is sent."""

    def __init__(self, route: Route, feed: Feed, outbox: Outbox, tally: Tally, edge: Edge) -> None:
        destination = route.destination
        self.name = destination.id
        quiet = destination.quiet
        own = ZoneInfo(quiet.zone) if quiet is not None and quiet.zone else edge.zone
        self._rules = plan.Rules(own, destination.fold, quiet, destination.rate)
        self._route, self._feed, self._outbox, self._tally = route, feed, outbox, tally
        self._place = outbox.begin(self.name, feed.head(), edge.now())
        kept = outbox.state(self.name)
        self._state = msgspec.msgpack.decode(kept, type=plan.State) if kept else plan.State()

    @property
    def place(self) -> int:
        """How far it has come."""
        return self._place

    def step(self, now: datetime) -> float:
        """Take in what changed, and send what may be sent now."""
        found = self._feed.after(self._place, BATCH)
        if found:
            self._take([finding for _, finding in found], found[-1][0], now)
        self._state = plan.release(self._state, now, self._rules)
        self._send(now)
        self._tally.held[self.name,] = self._state.held + len(self._state.ready)
        if len(found) == BATCH:
            return 0.0
        wakes = plan.wakes(self._state, now, self._rules)
        return POLL_S if wakes is None else min(POLL_S, max(0.05, (wakes - now).total_seconds()))

    def _take(self, findings: Sequence[Finding], place: int, now: datetime) -> None:
        told = self._outbox.told(self.name, [finding.id for finding in findings])
        marks: dict[str, str] = {}
        notices: list[Notice] = []
        for finding in findings:
            mark = wanted(self._route.destination, finding, told.get(finding.id))
            if mark is not None:
                marks[finding.id] = mark
                notices.append(notice_of(finding))
        before = self._state.held
        self._state = plan.take(self._state, notices, now, self._rules)
        self._tally.folded[self.name,] += self._state.held - before
        self._place = place
        self._save(marks, now)

    def _send(self, now: datetime) -> None:
        """Send until nothing may be sent any more."""
        self._state, late = plan.given_up(self._state, now)
        if late:
            self._tally.outcomes[self.name, "given-up"] += late
        while (message := plan.following(self._state, now, self._rules)) is not None:
            try:
                self._route.carry(message, now)
            except UndeliveredError as error:
                self._tally.failed(self.name, error)
                if error.retry:
                    self._state = plan.failed(self._state, now, error.after_s)
                    self._save({}, now)
                    return
            else:
                self._tally.sent(self.name)
            self._state = plan.sent(self._state, message, now)
            self._save({}, now)

    def _save(self, marks: dict[str, str], now: datetime) -> None:
        self._outbox.save(self.name, self._place, msgspec.msgpack.encode(self._state), marks, now)


def wanted(destination: Destination, finding: Finding, told: str | None) -> str | None:
    """Return what is to be said of a finding there, None when nothing new is; what an exception covers is told to nobody."""
    if finding.exception is not None or not destination.where.holds(finding):
        return None
    mark = destination.mark(finding)
    return mark if mark is not None and destination.news(mark, told) else None


class Courier:
    """The lines of a deployment and their threads.

    now: the edge's clock; zone: the deployment's; lock: of who delivers from this home, tried until it is free.
    """

    def __init__(self, routes: Sequence[Route], feed: Feed, outbox: Outbox, edge: Edge) -> None:
        self._routes, self._feed, self._outbox, self._edge, self._tally = routes, feed, outbox, edge, Tally()
        for route in routes:
            outbox.begin(route.destination.id, feed.head(), edge.now())
        self.lines: list[ToMachines | ToPeople] = []
        self._stopped = Event()
        self._threads: list[Thread] = []

    def __enter__(self) -> Courier:
        self._first = Thread(target=self._deliver, daemon=True, name="deliveries")
        self._first.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End; what a receiver is being told at this moment is waited for, for a while."""
        self._stopped.set()
        for thread in (self._first, *self._threads):
            thread.join(2 * POLL_S)
        for route in self._routes:
            route.close()

    def _deliver(self) -> None:
        """Begin as soon as nobody else delivers from this home."""
        while not self._stopped.is_set():
            try:
                lock = self._edge.lock()
            except ConfigError:
                self._stopped.wait(STANDBY_S)
                continue
            with lock:
                self._prune(self._edge.now())
                self.lines = [self._line(route) for route in self._routes]
                self._threads = [Thread(target=self._follow, args=(line,), daemon=True) for line in self.lines]
                for thread in self._threads:
                    thread.start()
                self._stopped.wait()

    def _line(self, route: Route) -> ToMachines | ToPeople:
        if route.destination.to_people:
            return ToPeople(route, self._feed, self._outbox, self._tally, self._edge)
        return ToMachines(route, self._feed, self._outbox, self._tally, self._edge)

    def metrics(self) -> list[Metric]:
        """Return every family; lag: findings that changed since a destination last looked."""
        tally = self._tally
        lag: Rows = {(line.name,): float(self._feed.behind(line.place)) for line in self.lines}
        to = ("destination",)
        return [
            counter("xmsec_deliveries_total", "Messages by what became of them.", (*to, "outcome"), dict(tally.outcomes)),
            counter("xmsec_notices_folded_total", "Findings that were folded or held.", to, dict(tally.folded)),
            gauge("xmsec_notices_waiting", "Findings and messages that wait.", to, dict(tally.held)),
            gauge("xmsec_deliveries_failing", "1 while a receiver takes nothing.", to, dict(tally.failing)),
            gauge("xmsec_delivery_lag_findings", "Findings that a destination has not come to.", to, lag),
        ]

    def _follow(self, line: Line) -> None:
        pruned = self._edge.now()
        while not self._stopped.is_set():
            now = self._edge.now()
            try:
                rest_s = line.step(now)
                if line is self.lines[0] and now - pruned >= HOUR:
                    pruned = now
                    self._prune(now)
            except XmsecError as error:
                log.warning("%s: %s", line.name, error)
                rest_s = plan.LONGEST_PAUSE_S / 10
            except Exception as error:  # noqa: BLE001 - the edge: what breaks one delivery must stop no other
                log.warning("%s was broken: %s", line.name, type(error).__name__)
                self._tally.outcomes[line.name, "broken"] += 1
                rest_s = plan.LONGEST_PAUSE_S / 10
            self._stopped.wait(rest_s)

    def _prune(self, now: datetime) -> None:
        self._outbox.prune([line.name for line in self.lines], now)
