"""What waits for a hop: messages taken from Faust's stream, not yet acknowledged, given out as batches.

A batch is what waits, and what comes while it lingers: what was sent with the first, and the more, the longer the last batch
took. So a worker that has time hands on at once, and one that has none writes its rows seldom. During a rebalance Faust waits
until all that was taken in is acknowledged: what is in hand is finished before a partition goes to another worker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import Any, cast

import faust
from faust.types import TP

from xmsec.runtime.faust.swift import prompt, swift
from xmsec.runtime.faust.turns import Turns

Item = Any  # a faust.EventT, or a value that goes the same way

FRAMES = 64  # a batch waits for acknowledgements twice (7 ms each on a busy broker), however many frames it has
NOTED_TURNS = 1_000  # of the event loop: Faust notes a message one turn after its stream took it
BATCH_BYTES = 4 << 20  # which a batch may pass by one message
GATHER_S = 0.02  # what a hop sends at once, its reader's requests bring in several answers
SHARE = 0.5  # of the time that the last batch took: how long the next lingers, from its least to its most


class Inbox:
    """A bounded queue between a stream and the loop that carries its messages.

    linger_s: the least and the most that a batch which is not full lingers.
    epoch: grows when partitions are assigned. What was taken in before is not carried after: it is read again, from what was
    committed, by whoever has its partition then.
    """

    def __init__(self, app: faust.App, limit: int = FRAMES, linger_s: tuple[float, float] = (0.0, 0.0)) -> None:
        self._app, self._limit, self._linger_s = app, limit, linger_s
        self._given_s = monotonic()  # when the last batch was given out
        self._queue: asyncio.Queue[tuple[int, Item]] = asyncio.Queue(2 * limit)
        self._turns: Turns[TP] = Turns()
        self.epoch = 0
        self._taken, self._given_up = 0, -1  # the epoch of the last batch, and the last of which a batch was given up
        signal: Any = app.on_partitions_assigned
        signal.connect(self._assigned)

    async def follow(self, stream: Any) -> None:
        """Take in a stream's messages, as fast as they are carried, each in its turn."""
        async for event in stream.noack().events():
            if await self._its_turn(event.message):
                await self.put(event)
            else:
                self.leave([event])

    async def _its_turn(self, message: Any) -> bool:
        """Whether a message is the next of its partition; what a rebalance finds under way is read again after it."""
        tp, consumer = message.tp, cast(Any, self._app.consumer)
        start = consumer._committed_offset.get(tp)
        if start is None and tp not in self._turns:
            start = (await consumer.earliest_offsets(tp))[tp]
        if self._app.rebalancing:
            return False
        self._turns.setdefault(tp, start)
        turn = self._turns.take(tp, message.offset)
        if turn != "now":
            consumer._gap.pop(tp, None)  # no holes: offsets that are still to come, which a commit would step over
        if turn == "seek":
            await self._seek(tp, message.offset)
        return turn == "now"

    async def _seek(self, tp: TP, handed_on: int) -> None:
        """Read from the next offset again, once Faust has noted what it handed on: it drops what is below that.

        It may have noted it long ago, and a seek of its own undone that: where nothing more comes, that is how it stays.
        """
        consumer = cast(Any, self._app.consumer)
        for _ in range(NOTED_TURNS):
            if (consumer._read_offset[tp] or 0) >= handed_on or self._app.rebalancing or self._app.should_stop:
                break
            await asyncio.sleep(0)
        await consumer.seek(tp, self._turns[tp])

    async def put(self, item: Item) -> None:
        """Take in one, behind those that wait."""
        await self._queue.put((self.epoch, item))

    async def batch(self) -> list[Item]:
        """Wait for something, and return all that waits, up to the limits; never nothing."""
        linger_s = lingers(monotonic() - self._given_s, *self._linger_s)
        while True:
            waiting = [await self._queue.get()]
            if linger_s and self._queue.qsize() < self._limit:
                await asyncio.sleep(linger_s)
            size_bytes = size(waiting[0][1])
            while len(waiting) < self._limit and size_bytes < BATCH_BYTES and not self._queue.empty():
                waiting.append(self._queue.get_nowait())
                size_bytes += size(waiting[-1][1])
            now = self.epoch if self.epoch != self._given_up else None
            self.leave([item for epoch, item in waiting if epoch != now])
            batch = [item for epoch, item in waiting if epoch == now]
            if batch:
                self._taken, self._given_s = self.epoch, monotonic()
                return batch

    def leave(self, batch: Sequence[Item]) -> None:
        """Give messages up unacknowledged; a rebalance waits for what is in Faust's set, and must not wait for them."""
        unacked = cast(Any, self._app.consumer)._unacked_messages
        for message in [item.message for item in batch if hasattr(item, "message")]:
            unacked.discard(message)

    def give_up(self, batch: Sequence[Item]) -> None:
        """Leave a batch, and all behind it until partitions are assigned: a later one acknowledged would commit this one."""
        self._given_up = self._taken
        self.leave(batch)

    @property
    def gone(self) -> bool:
        """Whether what the last batch holds is another's now, or was given up: it is not acknowledged."""
        return self._taken == self._given_up or self._taken != self.epoch

    async def _assigned(self, _: Any, *__: Any, **___: Any) -> None:
        self.epoch += 1
        self._turns.clear()
        swift(self._app.consumer)
        prompt(self._app.consumer)


def lingers(took_s: float, least_s: float, most_s: float) -> float:
    """Return how long a batch lingers behind one that took so long.

    >>> [lingers(took_s, least_s=0.02, most_s=0.1) for took_s in (0.01, 0.1, 1.0)]
    [0.02, 0.05, 0.1]
    """
    return min(most_s, max(least_s, took_s * SHARE))


def size(item: Item) -> int:
    """Bytes of a message's value."""
    return len(getattr(item, "value", None) or b"")
