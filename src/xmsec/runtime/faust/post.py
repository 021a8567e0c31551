"""Sending that is certain: a message counts as sent when Kafka has acknowledged it, and is sent again until then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime
from typing import Any

import faust
import msgspec
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from faust.exceptions import ProducerSendError

from xmsec.model.types import Position, Rejected
from xmsec.runtime.faust.meter import Meter

RETRY_S = 1.0  # an unreachable broker is asked again so often; meanwhile nothing is read, so that nothing is lost
ACK_S = 30.0  # a producer that says nothing for so long is asked again: what is sent twice is known by its number
log = logging.getLogger("xmsec.worker")


class Message(msgspec.Struct, frozen=True):
    """What goes to a topic's partition; value None deletes a row."""

    topic: Any
    partition: int
    value: bytes | None
    key: bytes | None = None


class Post:
    """One role's way out. meter: what the worker says of itself."""

    def __init__(self, app: faust.App, dead: str, meter: Meter | None = None, role: str = "") -> None:
        self._app, self._role, self.meter = app, role, meter or Meter()
        self.meter.apps[role] = app
        self._dead = app.topic(dead, key_type=bytes, value_type=bytes)

    async def send(self, messages: Sequence[Message]) -> None:
        """Return when all are acknowledged, each partition's in order; one that no topic takes becomes a dead letter."""
        large: dict[int, Message] = {}
        while True:
            try:
                waiting = [await self._send(message) for place, message in enumerate(messages) if place not in large]
                await asyncio.wait_for(asyncio.gather(*waiting), ACK_S)
                break
            except _TooLargeError as error:
                large[messages.index(error.message)] = error.message
            except (KafkaError, ProducerSendError, TimeoutError) as error:
                if self._app.should_stop:
                    raise asyncio.CancelledError from error
                log.warning("not sent, trying again: %s", type(error).__name__)
                self.waits("Kafka", "Kafka takes no messages")
                await asyncio.sleep(RETRY_S)
        self.waits("Kafka", "")
        now = datetime.now(UTC)
        await self.reject(
            [Rejected(_place(message), "send", "message-too-large", now) for message in large.values()] if large else ()
        )

    def waits(self, what: str, why: str) -> None:
        """Say that this role waits for something, and why; without a reason, that it does no more."""
        if why:
            self.meter.waits[self._role, what] = why
        else:
            self.meter.waits.pop((self._role, what), None)

    async def _send(self, message: Message) -> Awaitable[Any]:
        try:
            sent: Awaitable[Any] = await message.topic.send(
                key=message.key,
                value=message.value,
                partition=message.partition,
                key_serializer="raw",
                value_serializer="raw",
            )
        except (KafkaError, ProducerSendError) as error:
            if isinstance(error, MessageSizeTooLargeError) or isinstance(error.__cause__, MessageSizeTooLargeError):
                raise _TooLargeError(message) from error
            raise
        return sent

    async def reject(self, rejected: Sequence[Rejected]) -> None:
        """Write dead letters, as JSON: what `xmsec dead` reads."""
        if rejected:
            self.meter.dead.update((one.leg, one.reason) for one in rejected)
            await self.send([Message(self._dead, 0, msgspec.json.encode(one)) for one in rejected])

    def broken(self, leg: str, position: Position, error: Exception) -> Rejected:
        """Say that a message broke a leg: by the kind of its error, never by its content."""
        log.warning("%s was broken by %s: %s", leg, position, type(error).__name__)
        return Rejected(position, leg, f"broken:{type(error).__name__}", datetime.now(UTC))


class _TooLargeError(Exception):
    def __init__(self, message: Message) -> None:
        super().__init__(len(message.value or b""))
        self.message = message


def _place(message: Message) -> Position:
    """Where it would have gone; it never had an offset."""
    return Position(str(message.topic.get_topic_name()), str(message.partition), -1)
