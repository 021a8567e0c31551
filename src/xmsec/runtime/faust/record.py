"""Tokened frames into recordings: acknowledged when their file is durable, and not before.

What is open lies compressed in memory; Kafka has it until then. Before a rebalance and at the end it is sealed, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

import faust

from xmsec.model.errors import ServiceError, XmsecError
from xmsec.model.types import Position
from xmsec.runtime.faust import frames
from xmsec.runtime.faust.inbox import Inbox
from xmsec.runtime.faust.post import RETRY_S, Post, log
from xmsec.runtime.faust.topics import Cluster
from xmsec.store.recorder import Recorder, received

LEG = "record"
BELL_S = 0.5  # how soon it is seen that a part is old, or that a rebalance waits for it
BELL = object()


class Record:
    """One worker's record hop. key_check: of the keys that the worker has now."""

    def __init__(self, app: faust.App, post: Post, cluster: Cluster, recorder: Recorder, key_check: Callable[[], str]) -> None:
        self._app, self._post, self._recorder, self._key_check = app, post, recorder, key_check
        self._reads = cluster.topic("tokened")
        self._inbox = Inbox(app)
        self._epoch = 0
        self._moved = False  # partitions are about to move, and the archive did not answer before
        self._given_up = -1  # the epoch in which that was: what still comes of it would leave a gap
        self._held: dict[int, list[Any]] = {}  # messages of the open parts, not acknowledged

    def register(self) -> None:
        """Make agent and tasks of it."""

        async def ring() -> None:
            while True:
                await asyncio.sleep(BELL_S)
                await self._inbox.put(BELL)

        topic = self._app.topic(self._reads, key_type=bytes, value_type=bytes)
        self._app.agent(topic, name=LEG)(self._inbox.follow)
        self._app.task(self._work)
        self._app.task(ring)

    async def _work(self) -> None:
        while True:
            batch = await self._inbox.batch()
            if self._inbox.epoch == self._given_up:
                self._inbox.leave(batch)
                continue
            if self._inbox.epoch != self._epoch:
                self._leave()
            for place, item in enumerate(batch):
                if item is not BELL and not await self._take(item):
                    self._leave(batch[place:])
                    break
            await self._seal_what_is_due()

    async def _take(self, event: Any) -> bool:
        """Take in a frame; false when partitions moved meanwhile."""
        message = event.message
        partition, offset = message.partition, message.offset
        if await self._certain(self._recorder.known, partition, offset):
            if partition in self._recorder.parts and not await self._seal(partition):
                return False  # a file's frames follow one another, or those between would count as had
            event.ack()
            return True
        if self._moved:
            return False
        try:
            frame = frames.unpack(event.value, frames.Tokened)
            if not self._recorder.ripe(partition, received(frame.items)) or await self._seal(partition):
                await asyncio.to_thread(self._recorder.add, partition, offset, frame.items, frame.revisions, monotonic())
        except Exception as error:  # noqa: BLE001 - the edge: a frame must not stop the others
            await self._post.reject([self._post.broken(LEG, Position(self._reads, str(partition), offset), error)])
        if self._inbox.epoch != self._epoch or self._moved:
            return False
        if partition not in self._recorder.parts:
            event.ack()
            return True
        message.value = event.value = None  # it lies in the part, compressed
        self._held.setdefault(partition, []).append(event)
        return True

    async def _seal_what_is_due(self) -> None:
        everything = self._app.rebalancing or self._app.should_stop
        for partition in list(self._recorder.parts) if everything else self._recorder.old(monotonic()):
            if not await self._seal(partition):
                self._leave()
                return

    async def _seal(self, partition: int) -> bool:
        """Make a part durable and acknowledge its frames; false when partitions moved before that."""
        await self._certain(self._recorder.claim, self._key_check())
        path, content = await asyncio.to_thread(self._recorder.seal, partition)
        await self._certain(self._recorder.written, path, content)
        if self._moved or self._inbox.epoch != self._epoch:
            return False
        for event in self._held.pop(partition, ()):
            event.ack()
        if not self._app.rebalancing:  # whoever has the partition then sums what it finds
            await self._sum_up(path)
        return True

    async def _sum_up(self, path: str) -> None:
        """Sum the use that a file tells; where that fails, it is done with the partition's next file."""
        try:
            await asyncio.to_thread(self._recorder.sum_up, path)
        except (OSError, XmsecError) as error:
            log.warning("use is not summed: %s", error if isinstance(error, XmsecError) else type(error).__name__)

    async def _certain(self, call: Any, *given: Any) -> Any:
        """Ask the archive until it answers; meanwhile nothing is read, so that no memory fills."""
        while True:
            try:
                return await asyncio.to_thread(call, *given)
            except (OSError, ServiceError) as error:
                log.warning(
                    "not recorded, trying again: %s", error if isinstance(error, ServiceError) else type(error).__name__
                )
            if self._app.rebalancing or self._app.should_stop or self._inbox.epoch != self._epoch:
                self._moved = True
                return None
            await asyncio.sleep(RETRY_S)

    def _leave(self, more: Sequence[Any] = ()) -> None:
        """Give up what is not durable: it is read again by whoever has its partition then."""
        self._inbox.leave([*(event for events in self._held.values() for event in events), *more])
        if self._moved:
            self._given_up = self._inbox.epoch
        self._held, self._moved = {}, False
        self._recorder.forget()
        self._epoch = self._inbox.epoch
