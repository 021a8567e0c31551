"""The first hop: raw messages in, tokened frames out; nothing after it holds a value. It has no state.

A source that says nothing is spoken for by ticks, which go the way of its records.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import faust
from faust.types import TP

from xmsec.model.types import Position, Raw, Tick
from xmsec.pipeline.tokenise import tokenise
from xmsec.runtime.faust import frames, hops
from xmsec.runtime.faust.inbox import Inbox
from xmsec.runtime.faust.post import Message, Post, log
from xmsec.runtime.faust.roads import Roads
from xmsec.runtime.faust.smaller import of_tokened
from xmsec.runtime.faust.topics import Cluster
from xmsec.runtime.refused import RECEIVE
from xmsec.sources.records import records_of

BATCH = 2_000  # messages of all partitions: where there are four, frames of 500 events; each costs the later hops the same
LINGER_S = 0.1  # for fuller frames: each costs the later hops some 20 ms, whatever it holds


class Classify:
    """One worker's classify hop."""

    def __init__(self, app: faust.App, post: Post, roads: Roads, cluster: Cluster, count: int) -> None:
        self._app, self._post, self._roads, self._count = app, post, roads, count
        self._framing, self._smaller = cluster.framing, of_tokened(roads)
        self._raw = {cluster.raw(stream): stream for stream in cluster.streams}
        self._tokened = app.topic(cluster.topic("tokened"), key_type=bytes, value_type=bytes)
        self._inbox = Inbox(app, BATCH, (LINGER_S, LINGER_S))
        self._spoke: dict[TP, float] = {}  # when a partition last brought a record or was spoken for

    def register(self, idle_s: float) -> None:
        """Make agent and tasks of it."""

        async def speak() -> None:
            while True:
                await asyncio.sleep(idle_s / 4)
                await self._speak(idle_s)

        self._app.agent(self._app.topic(*self._raw, key_type=bytes, value_type=bytes), name="classify")(self._inbox.follow)
        self._app.task(self._work)
        self._app.task(speak)
        signal: Any = self._app.on_partitions_assigned
        signal.connect(self._assigned)

    async def _work(self) -> None:
        while True:
            batch = await self._inbox.batch()
            now = monotonic()
            self._spoke.update((item.message.tp, now) for item in batch if not isinstance(item, Tick))
            await self._carry(batch)

    async def _carry(self, batch: Sequence[Any]) -> None:
        try:
            messages, rejected = self._tokenise(batch)
        except Exception as error:  # noqa: BLE001 - the edge: one message must not stop the others
            if len(batch) > 1:
                for item in batch:
                    await self._carry([item])
                return
            item = batch[0]
            place = Position(*item.source, -1) if isinstance(item, Tick) else self._position(item.message)
            messages, rejected = [], [self._post.broken(RECEIVE, place, error)]
        await self._post.send(messages)
        await self._post.reject(rejected)
        if self._inbox.gone:
            self._inbox.leave(batch)
            return
        for item in batch:
            if not isinstance(item, Tick):
                item.ack()

    def _tokenise(self, batch: Sequence[Any]) -> tuple[list[Message], Sequence[Any]]:
        records: list[Raw | Tick] = []
        for item in batch:
            if isinstance(item, Tick):
                records.append(item)
                continue
            given_id = item.headers.get(hops.ID_HEADER)
            own_id = given_id.decode("utf-8", "replace") if given_id else None
            received = datetime.fromtimestamp(item.message.timestamp, UTC)  # the broker's: the same whenever it is read
            place = self._position(item.message)
            found = records_of(self._framing.get(place.stream), item.value or b"")
            records += hops.records(place, received, found, own_id)
        road = self._roads.newest
        taken = tokenise(records, road)
        self._post.meter.count(taken.counts)
        self._post.meter.observe(taken.proposals)
        messages = [
            Message(self._tokened, frames.partition_of_source(frame.source, self._count), value, smaller=self._smaller)
            for frame in hops.by_source(taken, road)
            for value in frames.packs(frame)
        ]
        return messages, taken.rejected

    def _position(self, message: Any) -> Position:
        return Position(self._raw[message.topic], str(message.partition), message.offset)

    async def _speak(self, idle_s: float) -> None:
        """Say of each partition that was carried to its end and brought nothing for a while that it is idle."""
        now = monotonic()
        mine = sorted(tp for tp in self._app.consumer.assignment() if tp.topic in self._raw)
        due = [tp for tp in mine if now - self._spoke.setdefault(tp, now) >= idle_s]
        if not due or self._app.rebalancing:
            return
        for tp in await self._carried_to_their_ends(due):
            self._spoke[tp] = now
            await self._inbox.put(Tick(self._raw[tp.topic], str(tp.partition), datetime.now(UTC), "idle"))

    async def _carried_to_their_ends(self, tps: Sequence[TP]) -> list[TP]:
        """Which partitions have no record that was not committed: one that waits in a buffer is fetched, but not yet said."""
        consumer: Any = self._app.consumer
        try:
            starts, ends = await asyncio.gather(consumer.earliest_offsets(*tps), consumer.highwaters(*tps))
        except Exception as error:  # noqa: BLE001 - the edge: a partition on its way to another worker has no offsets
            log.info("no offsets now: %s", type(error).__name__)
            return []
        committed = {tp: consumer._committed_offset.get(tp) for tp in tps}
        return [tp for tp in tps if max(committed[tp] or 0, starts[tp]) >= ends[tp]]

    async def _assigned(self, _: Any, *__: Any, **___: Any) -> None:
        self._spoke.clear()
