"""What a hop left is not committed by what came behind it."""

from __future__ import annotations

import asyncio

import faust

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
