"""What a hop left is not committed by what came behind it, and what it has not had is read again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, NamedTuple

import faust
from faust.types import TP

from xmsec.runtime.faust.inbox import Inbox


async def played() -> None:
    app = faust.App("left", broker="kafka://127.0.0.1:1", store="memory://")
    inbox = Inbox(app)
    for item in ("first", "second"):
        await inbox.put(item)
    first = await inbox.batch()
    assert not inbox.gone
    inbox.give_up(first)
    assert inbox.gone
    await inbox.put("behind it")
    with_nothing = asyncio.ensure_future(inbox.batch())
    await asyncio.sleep(0)
    assert not with_nothing.done()
    await app.on_partitions_assigned.send(set())
    await inbox.put("read again")
    assert await with_nothing == ["read again"]
    assert not inbox.gone


def test_behind_a_batch_that_was_given_up_nothing_is_given_out_until_partitions_are_assigned() -> None:
    asyncio.run(played())


class Message(NamedTuple):
    """What counts of one."""

    tp: TP
    offset: int


class Partition:
    """Three messages, as Faust's consumer and stream have them. It handed on the last; a seek undid its note of that."""

    tp = TP("topic", 0)

    def __init__(self) -> None:
        self._committed_offset: dict[TP, int | None] = {self.tp: 7}
        self._read_offset: dict[TP, int | None] = {self.tp: None}
        self._gap: dict[TP, Any] = {}
        self._unacked_messages: set[Any] = set()
        self._waiting = [9]

    async def seek(self, _: TP, offset: int) -> None:
        self._waiting += range(offset, 10)

    def noack(self) -> Partition:
        return self

    async def events(self) -> AsyncIterator[Any]:
        while self._waiting:
            offset = self._waiting.pop(0)
            yield SimpleNamespace(message=Message(self.tp, offset), value=b"")


async def taken_in() -> list[int]:
    app = faust.App("again", broker="kafka://127.0.0.1:1", store="memory://")
    partition: Any = Partition()
    app.consumer = partition
    inbox = Inbox(app)
    await asyncio.wait_for(inbox.follow(partition), 30)
    return [event.message.offset for event in await inbox.batch()]


def test_what_is_missing_is_read_again_though_faust_has_forgotten_what_it_handed_on() -> None:
    assert asyncio.run(taken_in()) == [7, 8, 9]
