"""The hops between classify and the stores: what each makes of frames. Send, then write, then acknowledge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

import faust
import msgspec

from xmsec.model.clock import EPOCH
from xmsec.model.errors import ServiceError
from xmsec.model.types import Finding, Incident, Intent, Position, Rejected, Source
from xmsec.runtime.faust import frames, hops
from xmsec.runtime.faust.inbox import GATHER_S, Inbox
from xmsec.runtime.faust.post import RETRY_S, Message, Post, log
from xmsec.runtime.faust.roads import AwaitedError, Roads
from xmsec.runtime.faust.share import Heard
from xmsec.runtime.faust.smaller import of_cases, without_the_largest
from xmsec.runtime.faust.tables import Table
from xmsec.runtime.faust.topics import Cluster

Sink = Callable[[Sequence[Finding], Sequence[Incident], Sequence[Intent]], Mapping[str, str]]  # ids refused for good, and why

Spread = tuple[Sequence[Source], int]  # every partition of the raw topics, and how many those between hops have
LINGER_S = 0.1  # rows are written once a batch: 190 µs an event in a worker of all roles that has no time, 275 without


class Hop(Protocol):
    """What is done with one frame, and the table that remembers it."""

    leg: str
    reads: str
    table: Table

    def take(self, number: int, offset: int, value: bytes, dead: list[Rejected]) -> Iterable[Message]:
        """Give what a frame gives; nothing is sent or written yet."""
        ...


def follow(app: faust.App, post: Post, hop: Hop) -> None:
    """Register a hop: batches of frames are taken one by one, and what they gave is sent and written together."""
    inbox = Inbox(app, linger_s=(GATHER_S, LINGER_S))

    async def carry() -> None:
        while True:
            batch = await inbox.batch()
            messages: list[Message] = []
            dead: list[Rejected] = []
            found: list[Position] = []
            for event in batch:
                message = event.message
                place = Position(hop.reads, str(message.partition), message.offset)
                try:
                    messages += await when_it_may(partial(hop.take, message.partition, message.offset, event.value, dead))
                except AwaitedError:
                    break
                except Exception as error:  # noqa: BLE001 - the edge: a frame must not stop the others
                    dead.append(post.broken(hop.leg, place, error))
                found += [place] * (len(dead) - len(found))
            else:
                await finish(batch, messages, dead, found)
                continue
            inbox.give_up(batch)

    async def finish(
        batch: Sequence[Any], messages: Sequence[Message], dead: Sequence[Rejected], found: Sequence[Position]
    ) -> None:
        await post.send(messages)
        await post.reject(dead, found)
        if inbox.gone:  # the shares that took the frames are gone
            inbox.leave(batch)
            return
        await hop.table.commit()
        for event in batch:
            event.ack()

    async def when_it_may(take: Callable[[], Iterable[Message]]) -> Sequence[Message]:
        while True:
            try:
                messages = list(take())
            except AwaitedError as error:
                post.waits(hop.leg, str(error))
                if app.rebalancing or app.should_stop or inbox.gone:
                    raise
                await asyncio.sleep(RETRY_S)
            else:
                post.waits(hop.leg, "")
                return messages

    app.agent(app.topic(hop.reads, key_type=bytes, value_type=bytes), name=hop.leg)(inbox.follow)
    app.task(carry)


class Enrich:
    """Tokened frames in, frames of contexts out: one for each partition, also when it has no event for it."""

    leg = "enrich"

    def __init__(self, app: faust.App, post: Post, roads: Roads, cluster: Cluster, count: int) -> None:
        self.reads = cluster.topic("tokened")
        self.table = Table(app, post, "clocks", self.reads, lambda _: hops.NOTHING, count)
        self._roads, self._count, self._meter = roads, count, post.meter
        self._events = app.topic(cluster.topic("events"), key_type=bytes, value_type=bytes)

    def take(self, number: int, offset: int, value: bytes, dead: list[Rejected]) -> Iterable[Message]:
        """Move the clock of the frame's source, unless the frame was taken before."""
        told = hops.enriched(frames.unpack(value, frames.Tokened), offset, self.table.share(number), self._roads, self._count)
        if told is None:
            return ()
        self._meter.count(told[1])
        self._meter.clocks.update((one.source, one.clock) for one in told[0][:1])
        return [
            Message(self._events, place, frames.pack(one), smaller=without_the_largest) for place, one in enumerate(told[0])
        ]


class Detect:
    """Frames of contexts in, findings out, by the partition of their entity."""

    leg = "detect"

    def __init__(self, app: faust.App, post: Post, roads: Roads, cluster: Cluster, spread: Spread) -> None:
        sources, count = spread
        self.reads = cluster.topic("events")
        kept = partial(hops.kept_by_detectors, roads, sources, count=count)
        self.table = Table(app, post, "states", self.reads, kept, count)
        self._roads, self._count = roads, count
        self._findings = app.topic(cluster.topic("findings"), key_type=bytes, value_type=bytes)

    def take(self, number: int, offset: int, value: bytes, dead: list[Rejected]) -> Iterable[Message]:
        """Show detectors what the frame holds for this partition's keys; a frame that breaks them still moves the clock."""
        frame = frames.unpack(value, frames.Contexts)
        share = self.table.share(number)
        try:
            told = hops.detected(frame, offset, share, self._roads, self._count)
        except AwaitedError:
            raise
        except Exception:
            share.take_in(frame.source, Heard(frame.number, frame.clock), {}, offset)
            raise
        if told is None:
            return ()
        dead += told.rejected
        return [Message(self._findings, place, frames.pack(one)) for place, one in told.findings]


class Group:
    """Findings in, cases out: the findings, and the incidents and intents that they make."""

    leg = "group"

    def __init__(self, app: faust.App, post: Post, roads: Roads, cluster: Cluster, count: int) -> None:
        self.reads = cluster.topic("findings")
        self.table = Table(app, post, "incidents", self.reads, lambda _: hops.kept_by_grouping(roads.newest, count), count)
        self._roads, self._meter = roads, post.meter
        self._cases = app.topic(cluster.topic("cases"), key_type=bytes, value_type=bytes)

    def take(self, number: int, offset: int, value: bytes, dead: list[Rejected]) -> Iterable[Message]:
        """Fold the frame's findings into their entities' incidents."""
        cases = hops.grouped(frames.unpack(value, frames.Findings), offset, self.table.share(number), self._roads.newest)
        if cases is None or not cases.findings:
            return ()
        self._meter.tell(cases.findings)
        at = Position(self.reads, str(number), offset)
        return [Message(self._cases, number, frames.pack(cases), smaller=of_cases(at))]


class Way(msgspec.Struct, frozen=True):
    """Where cases go. leg: what is done with them; store: who takes them, for people; since: those told before are left out."""

    sink: Sink
    leg: str = "index"
    store: str = "Elasticsearch"
    since: datetime = EPOCH


class Index:
    """Cases in; out to a store that may be slow or away, and is waited for."""

    def __init__(self, app: faust.App, post: Post, cluster: Cluster, way: Way) -> None:
        self._app, self._post, self._way, self._reads, self._leg = app, post, way, cluster.topic("cases"), way.leg
        self._inbox = Inbox(app, linger_s=(GATHER_S, GATHER_S))

    def register(self) -> None:
        """Make agent and task of it."""
        topic = self._app.topic(self._reads, key_type=bytes, value_type=bytes)
        self._app.agent(topic, name=self._leg)(self._inbox.follow)
        self._app.task(self._carry)

    async def _carry(self) -> None:
        while True:
            await self._give(await self._inbox.batch())

    async def _give(self, batch: Sequence[Any]) -> None:
        try:
            since_s = self._way.since.timestamp()
            fresh = [event for event in batch if event.message.timestamp >= since_s]
            cases = [frames.unpack(event.value, frames.Cases) for event in fresh]
            refused = None if self._inbox.gone else await self._hand_over(cases)
        except Exception as error:  # noqa: BLE001 - the edge: what the store refuses must not stop what it takes
            if len(batch) > 1:
                for event in batch:
                    await self._give([event])
                return
            await self._post.reject([self._post.broken(self._leg, self._place(batch[0]), error)])
        else:
            if refused is None or self._inbox.gone:
                self._inbox.give_up(batch)
                return
            await self._post.reject(
                [one for event, held in zip(fresh, cases, strict=True) for one in self._dead(event, held, refused)]
            )
        for event in batch:
            event.ack()

    def _dead(self, event: Any, cases: frames.Cases, refused: Mapping[str, str]) -> Iterable[Rejected]:
        """Say which reasons a store had to refuse records of this message, each once."""
        ids = [one.id for told in (cases.findings, cases.incidents, cases.intents) for one in told]
        reasons = {refused[one] for one in ids if one in refused}
        return [Rejected(self._place(event), self._leg, reason, datetime.now(UTC)) for reason in sorted(reasons)]

    def _place(self, event: Any) -> Position:
        return Position(self._reads, str(event.message.partition), event.message.offset)

    async def _hand_over(self, batch: Sequence[frames.Cases]) -> Mapping[str, str] | None:
        """Hand over until it is taken; return what was refused for good, None when a rebalance or a stop came first."""
        findings = {finding.id: finding for cases in batch for finding in cases.findings}
        incidents = {incident.id: incident for cases in batch for incident in cases.incidents}
        intents = {intent.id: intent for cases in batch for intent in cases.intents}
        told = (list(findings.values()), list(incidents.values()), list(intents.values()))
        while True:
            try:
                refused = await asyncio.to_thread(self._way.sink, *told)
            except ServiceError as error:
                if not error.retry:
                    raise
                log.warning("%s waits, trying again: %s", self._leg, error)
                self._post.waits(self._way.store, f"{self._way.store} takes nothing")
            else:
                self._post.waits(self._way.store, "")
                return refused
            if self._app.rebalancing or self._app.should_stop:
                return None
            await asyncio.sleep(RETRY_S)
