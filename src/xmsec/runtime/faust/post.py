"""Sending that is certain: a message counts as sent when Kafka has acknowledged it, and is sent again until then."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

import faust
import msgspec
from aiokafka.errors import KafkaError
from faust.exceptions import ProducerSendError

from xmsec.model.types import Position, Rejected
from xmsec.runtime.faust.batches import Parcel, in_batches
from xmsec.runtime.faust.letters import Cap
from xmsec.runtime.faust.meter import Meter

RETRY_S = 1.0  # an unreachable broker is asked again so often; meanwhile nothing is read, so that nothing is lost
ACK_S = 30.0  # a producer that says nothing for so long is asked again: what is sent twice is known by its number
LARGE_BYTES = 512 << 10  # half of Kafka's own limit, which topics have that somebody else made; a frame rarely has as much
TOO_LARGE = "message-too-large"
log = logging.getLogger("xmsec.worker")


Smaller = Callable[[bytes], tuple[Sequence[bytes], Sequence[Rejected]]]


class Message(msgspec.Struct, frozen=True):
    """What goes to a topic's partition; value None deletes a row.

    smaller: of a value that the topic does not take for its size, what goes in its place, and what is refused.
    """

    topic: Any
    partition: int
    value: bytes | None
    key: bytes | None = None
    smaller: Smaller | None = None


class Post:
    """One role's way out. meter: what the worker says of itself."""

    def __init__(self, app: faust.App, dead: str, meter: Meter | None = None, role: str = "") -> None:
        self._app, self._role, self.meter = app, role, meter or Meter()
        self.meter.apps[role] = app
        self._dead = app.topic(dead, key_type=bytes, value_type=bytes)
        self._cap = Cap(token_hex(4))
        self._most: dict[str, int] = {}  # of each topic that refused one for its size, the least that it refused
        self._small: set[str] = set()  # topics that refused a batch

    async def send(self, messages: Sequence[Message]) -> None:
        """Return when all are acknowledged, each partition's in order.

        What a topic does not take for its size goes in smaller messages, or becomes a dead letter.
        """
        waiting, dead = deque(messages), list[Rejected]()
        while waiting:
            some = [waiting.popleft()]
            while waiting and not self._may_be_refused(some[-1]):
                some.append(waiting.popleft())
            refused = range(len(some)) if _way(some[0])[0] in self._most else await self._sent(some)
            first = {_way(some[place]): place for place in reversed(refused)}
            for place, message in enumerate(some):  # those behind were taken: again, so that the last word stays the last
                if place >= first.get(_way(message), len(some)):
                    await self._alone(message, dead)
        await self.reject(dead)

    def _may_be_refused(self, message: Message) -> bool:
        """Whether what follows a message must wait until it was taken: sent together, the next would come before its parts."""
        return len(message.value or b"") >= LARGE_BYTES or _way(message)[0] in self._most

    async def _alone(self, message: Message, dead: list[Rejected]) -> None:
        """Send one message, which may have been refused only because of those that our client sent with it, or smaller ones."""
        name, size = _way(message)[0], len(message.value or b"")
        most = self._most.get(name, sys.maxsize)
        if size < most:
            if not await self._sent([message]):
                return
            self._most[name] = size
            log.warning("%s takes no message of %d bytes; run `xmsec topics ensure`", name, size)
        if message.smaller is None or message.value is None:
            dead.append(Rejected(_place(message), "send", TOO_LARGE, datetime.now(UTC)))
            return
        values, rejected = message.smaller(message.value)
        dead += rejected
        for value in values:
            await self._alone(msgspec.structs.replace(message, value=value), dead)

    async def _sent(self, messages: Sequence[Message]) -> list[int]:
        """Send until all are acknowledged; return the places of those that were too large for their topics."""
        parcels = [Parcel(_way(message), message.key, message.value) for message in messages]
        while True:
            try:
                producer: Any = (
                    await self._app.maybe_start_producer()
                )  # a topic's own send would quote what was refused in the log
                large = await in_batches(producer._ensure_producer(), parcels, ACK_S, self._small)
            except (KafkaError, ProducerSendError, TimeoutError) as error:
                if self._app.should_stop:
                    raise asyncio.CancelledError from error
                log.warning("not sent, trying again: %s", type(error).__name__)
                self.waits("Kafka", "Kafka takes no messages")
                await asyncio.sleep(RETRY_S)
            else:
                self.waits("Kafka", "")
                return large

    def waits(self, what: str, why: str) -> None:
        """Say that this role waits for something, and why; without a reason, that it does no more."""
        if why:
            self.meter.waits[self._role, what] = why
        else:
            self.meter.waits.pop((self._role, what), None)

    async def reject(self, rejected: Sequence[Rejected], found: Sequence[Position] | None = None) -> None:
        """Write dead letters, as JSON: what `xmsec dead` reads. found: the message of each, where that is not its own place."""
        if rejected:
            self.meter.reject(rejected)
            await self.send([Message(self._dead, 0, msgspec.json.encode(one)) for one in self._cap.letters(rejected, found)])

    def broken(self, leg: str, position: Position, error: Exception) -> Rejected:
        """Say that a message broke a leg: by the kind of its error, never by its content."""
        log.warning("%s was broken by %s: %s", leg, position, type(error).__name__)
        return Rejected(position, leg, f"broken:{type(error).__name__}", datetime.now(UTC))


def _place(message: Message) -> Position:
    """Where it would have gone; it never had an offset."""
    return Position(_way(message)[0], str(message.partition), -1)


def _way(message: Message) -> tuple[str, int]:
    return str(message.topic.get_topic_name()), message.partition
